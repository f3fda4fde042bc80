"""rabbitmq/definitions.json as the broker loads it: the template's entries, once a shard or a retry delay.

An entry that names {{shard}} is repeated for each shard, one that names {{delay_s}} for each retry delay.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from observer.broker.names import RETRY_DELAYS_S

SHARD_LIMIT_POLICY = "chat-shards"
SHARD_MAX_BYTES = 1 << 30

Values = Mapping[str, int]


def render_definitions(template: str, *, shards: int, has_safe_reject: bool) -> str:
    """The definitions for `shards` shard queues, as JSON.

    `has_safe_reject`: this broker answers a publisher whose message a full queue rejects, instead of cutting its
    connection (docs/facts.md, "Full queues"); only then are the shard queues given a limit.
    """
    definitions = json.loads(template)
    rendered = {section: list(_expand(entries, shards)) for section, entries in definitions.items()}
    if has_safe_reject:
        rendered["policies"] += [_shard_limit(), _dead_letters_stay()]
    return json.dumps(rendered, indent=2) + "\n"


def _expand(entries: Sequence[Any], shards: int) -> Iterator[Any]:
    for entry in entries:
        for values in _values_for(json.dumps(entry), shards):
            yield _filled(entry, values)


def _values_for(text: str, shards: int) -> list[Values]:
    if "{{shard}}" in text:
        return [{"shard": shard} for shard in range(shards)]
    if "{{delay_s}}" in text:
        return [{"delay_s": delay_s, "delay_ms": delay_s * 1000} for delay_s in RETRY_DELAYS_S]
    return [{}]


def _filled(node: Any, values: Values) -> Any:
    """`node` with its placeholders filled in; a string that is nothing but a placeholder becomes a number."""
    match node:
        case dict():
            return {key: _filled(value, values) for key, value in node.items()}
        case list():
            return [_filled(value, values) for value in node]
        case str():
            return _filled_text(node, values)
        case _:
            return node


def _filled_text(text: str, values: Values) -> str | int:
    for name, value in values.items():
        if text == f"{{{{{name}}}}}":
            return value
        text = text.replace(f"{{{{{name}}}}}", str(value))
    return text


def _shard_limit() -> dict[str, object]:
    return {
        "vhost": "/",
        "name": SHARD_LIMIT_POLICY,
        "pattern": r"^chat\.in\.",
        "apply-to": "queues",
        "priority": 10,
        "definition": {"max-length-bytes": SHARD_MAX_BYTES},
    }


def _dead_letters_stay() -> dict[str, object]:
    """RabbitMQ 4 throws a message away after 20 deliveries unless told otherwise: 20 looks at the list would do."""
    return {
        "vhost": "/",
        "name": "chat-dead",
        "pattern": r"^chat\.dead$",
        "apply-to": "queues",
        "priority": 10,
        "definition": {"delivery-limit": -1},
    }
