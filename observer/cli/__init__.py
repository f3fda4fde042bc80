"""The command line `observer`: one file a command, listed here."""

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="inbox-observer")
def main() -> None:
    """Self-hosted one-to-one chat over MQTT."""
