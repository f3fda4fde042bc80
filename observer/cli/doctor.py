"""`observer doctor`: what is wrong with this set-up, and how to mend it."""

import asyncio
import json
from dataclasses import asdict

import click

from observer.app import broker_options
from observer.cli.context import Context
from observer.doctor.examine import examine
from observer.doctor.finding import Finding, Level
from observer.settings import Settings

_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.FAILED: "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts.")
@click.pass_obj
def doctor(context: Context, *, as_json: bool) -> None:
    """Find out what is wrong with this set-up, and how to mend it.

    Looks at the configuration, certificates and keys, the broker and what is declared there, the doors for clients,
    the store and the disk. Bindings and permissions on the broker cannot be seen from here.
    The store is opened as `observer run` would, which brings an older schema forward.

    Exit status: 0 if nothing failed (there may be warnings), 1 if something did, 2 if the configuration is wrong.
    """
    findings = asyncio.run(_examine(context.settings, is_shown=not as_json))
    is_well = not any(finding.level is Level.FAILED for finding in findings)
    if as_json:
        click.echo(json.dumps({"is_well": is_well, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        click.echo(_summary(findings))
    raise SystemExit(0 if is_well else 1)


async def _examine(settings: Settings, *, is_shown: bool) -> list[Finding]:
    findings = []
    async for finding in examine(settings, broker_options(settings.broker)):
        findings.append(finding)
        if is_shown:
            _show(finding)
    return findings


def _show(finding: Finding) -> None:
    level = click.style(f"{finding.level:<8}", fg=_COLOURS[finding.level])
    click.echo(f"{level} {finding.check}: {finding.text}")
    if finding.remedy:
        click.echo(f"         → {finding.remedy}")


def _summary(findings: list[Finding]) -> str:
    counts = [sum(finding.level is level for finding in findings) for level in Level]
    return f"\n{counts[0]} ok, {counts[1]} warnings, {counts[2]} failed"
