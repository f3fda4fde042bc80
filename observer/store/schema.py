"""What both stores hold to about versions of their data: forward by steps, never back."""

from observer.errors import ConfigError


def check_version(found: int, ours: int, name: str) -> None:
    """Raise ConfigError if the data in `name` was written by a later program than this one."""
    if found > ours:
        raise ConfigError(
            f"store.url: {name} has schema version {found}, this program knows {ours} at most: "
            "a later version of the observer wrote it; run that one, or restore a backup of before"
        )
