"""The names of everything we declare on the broker: definitions (observer/setup), consumers and tools agree here."""

TOPIC_EXCHANGE = "amq.topic"  # the MQTT plugin's exchange
OUT_EXCHANGE = "chat.out"  # fanout into amq.topic: what we publish goes through it, see rabbitmq/README.md
SHARD_EXCHANGE = "chat.shard"  # x-consistent-hash, internal: no client can publish to it
DEAD_EXCHANGE = "chat.dead"  # where rejected and undeliverable deliveries go
DEAD_QUEUE = "chat.dead"
# Short and constant: a dead message is readable even if its topic was not (docs/facts.md, "Topics over 255 bytes").
DEAD_ROUTING_KEY = "dead"
RETRY_DELAYS_S = (1, 10, 60)  # one queue each: a queue expires from its head, so one delay per queue
MEMBER_EXCHANGE = "chat.members"  # fanout: the observer processes tell each other that they live
MEMBER_QUEUE_PREFIX = "chat.member."
USER = "observer"  # the observer's broker user = common name of its client certificate


def shard_queue(shard: int) -> str:
    """Name of the queue that holds shard `shard`."""
    return f"chat.in.{shard}"


def retry_queue(delay_s: int) -> str:
    """Name of the queue in which a delivery waits `delay_s` before it goes back to its shard."""
    return f"chat.retry.{delay_s}s"
