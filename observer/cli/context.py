"""What every command is given: the settings, loaded when they are first asked for, and once."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from observer.settings import Settings
    from observer.settings_load import Loaded


@dataclass
class Context:
    """The object that `@click.pass_obj` hands to a command."""

    config_file: Path | None = None

    @cached_property
    def loaded(self) -> "Loaded":
        """Settings with the origin of each value. Raises ConfigError."""
        from observer.settings_load import load  # here, because it takes longer than all of `--help`

        return load(self.config_file, os.environ)

    @property
    def settings(self) -> "Settings":
        """Raises ConfigError."""
        return self.loaded.settings
