"""What must not be shown: masks tokens, private keys and passwords, in values of any kind and in free text. Pure."""

import re
from collections.abc import Mapping, Sequence

MASK = "***"
MAX_VALUE_LENGTH = 2_000
MAX_EXCEPTION_LENGTH = 20_000

_PRIVATE_KEY_WORDS = re.compile(
    r"token|passw|secret|authorization|credential|cookie|jwt|api_?key|private_?key|^(key|body|payload|text|content)$",
    re.IGNORECASE,
)
# Every repetition is bounded or possessive: a hostile text must not cost more than a long one.
_MASKED_PATTERNS = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {MASK}"),
    (re.compile(r"(?<![A-Za-z0-9])(?:eyJ|eyA|ewo)[\w-]{5,2000}+(?:\.[\w-]*+){1,4}+", re.ASCII), MASK),
    (re.compile(r"\b([a-z][a-z0-9+.-]{0,20}://)[^\s'\"<>]{0,1000}@", re.IGNORECASE), rf"\1{MASK}@"),
    (
        re.compile(r"(passw\w{0,20}|pwd|token|secret|api_?key)(=|['\"]\s*:\s*['\"])[^\s&'\",;}]+", re.IGNORECASE),
        rf"\1\2{MASK}",
    ),
)


def mask_value(key: str, value: object) -> object:
    """What may be shown of `value`, which stands under `key`, in types that JSON has."""
    if value is None or isinstance(value, bool):
        return value
    if _PRIVATE_KEY_WORDS.search(key):
        return MASK
    match value:
        case int() | float():
            return value
        case str():
            return mask_text(value, max_length=MAX_EXCEPTION_LENGTH if key == "exception" else MAX_VALUE_LENGTH)
        case bytes():
            return f"<{len(value)} bytes>"
        case Mapping():
            return {str(name): mask_value(str(name), inner) for name, inner in value.items()}
        case Sequence() | set() | frozenset():
            return [mask_value("", inner) for inner in value]
        case _:
            return mask_text(str(value))


def mask_text(text: str, *, max_length: int = MAX_VALUE_LENGTH) -> str:
    """`text` without tokens, private keys and passwords in addresses, cut at `max_length` characters."""
    shown = text[: 2 * max_length]
    for pattern, replacement in _MASKED_PATTERNS:
        shown = pattern.sub(replacement, shown)
    return shown if len(shown) <= max_length else f"{shown[:max_length]}… ({len(text)} characters)"
