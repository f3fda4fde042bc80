"""`observer doctor`: what is wrong with this set-up, and how to mend it."""

import asyncio
import json
from dataclasses import asdict
from pathlib import Path

import click

from observer.app import broker_options, policy_options
from observer.cli.context import Context
from observer.doctor.examine import examine
from observer.doctor.finding import Finding, Level
from observer.local.run import DEFAULT_DIRECTORY
from observer.settings import Settings
from observer.setup.set_up import SETTINGS_FILE
from policies import build_policies

USUAL_FILE = DEFAULT_DIRECTORY / SETTINGS_FILE
"""Where `make run` and `observer setup` leave the settings, below the folder that they are called in."""
_COLOURS = {Level.OK: "green", Level.WARNING: "yellow", Level.FAILED: "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for scripts.")
@click.pass_obj
def doctor(context: Context, *, as_json: bool) -> None:
    """Find out what is wrong with this set-up, and how to mend it.

    Looks at the configuration, certificates and keys, the broker and what is declared there, the doors for clients,
    the store and the disk. Bindings and permissions on the broker cannot be seen from here.
    Without --config it looks at var/observer.toml, which `make run` and `observer setup` write, if that is there.
    The store is opened as `observer run` would, which brings an older schema forward.

    Exit status: 0 if nothing failed (there may be warnings), 1 if something did, 2 if the configuration is wrong.
    """
    file, settings_from = settings_file(context.config_file)
    settings = Context(file).settings
    build_policies(policy_options(settings.policies))  # a third-party one may be missing, or not take its options
    findings = asyncio.run(_examine(settings, settings_from, is_shown=not as_json))
    is_well = not any(finding.level is Level.FAILED for finding in findings)
    if as_json:
        click.echo(json.dumps({"is_well": is_well, "findings": [asdict(finding) for finding in findings]}, indent=2))
    else:
        click.echo(_summary(findings))
    raise SystemExit(0 if is_well else 1)


def settings_file(named: Path | None) -> tuple[Path | None, str]:
    """The file to read settings from, and in words which set-up that is."""
    if named is not None:
        return named, f"the settings are those of {named}"
    if USUAL_FILE.exists():
        return USUAL_FILE, f"no --config is given, so the settings are those that lie here, in {USUAL_FILE}"
    return None, f"no --config is given and there is no {USUAL_FILE} here, so the settings are the defaults"


async def _examine(settings: Settings, settings_from: str, *, is_shown: bool) -> list[Finding]:
    findings = []
    async for finding in examine(settings, broker_options(settings.broker), settings_from=settings_from):
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
