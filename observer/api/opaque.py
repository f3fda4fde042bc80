"""Bytes as a word that fits into a URL: unpadded base64url. Cursors and sync tokens are made of it."""

from base64 import b64decode, urlsafe_b64encode


def encode_opaque(raw: bytes) -> str:
    """The word for `raw`."""
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_opaque(word: str) -> bytes:
    """The bytes behind `word`; raises ValueError if it holds a character that `encode_opaque` never writes."""
    return b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
