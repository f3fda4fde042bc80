"""The API key of the embedding app's own server: its text is kept in one file, the observer knows its SHA-256 only."""

import hashlib
import secrets
from pathlib import Path

from observer.errors import ConfigError
from observer.setup.files import write_once

API_KEY_NAME = "setup"
"""The key's name in the settings (`identity.api_keys.setup`)."""
KEY_BYTES = 32


def ensure_api_key(path: Path) -> str:
    """Make the key if it is not there; return its SHA-256 in hex. Raises ConfigError for a file without one."""
    if not path.exists():
        write_once(path, secrets.token_urlsafe(KEY_BYTES).encode() + b"\n")
    try:
        text = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"cannot read the API key in {path}: {error.strerror}") from error
    if not text:
        raise ConfigError(f"the API key in {path} is empty: remove the file, and a new key is made")
    return hashlib.sha256(text).hexdigest()
