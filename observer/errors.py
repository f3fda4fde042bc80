"""The error tree: an error is named by what must be done about it (docs/architecture.md, "When something fails").

ObserverError
├── InvalidMessage        refuse it, tell the sender, do not try again
│   ├── InvalidTopic
│   └── InvalidPayload
├── Unavailable           nothing is wrong with the message: wait and try again
│   ├── BrokerUnavailable
│   └── StoreUnavailable
├── ShardLost             another process writes this shard: stop at once, write nothing more
├── Refused               the caller may not, or asked for something that is not there (HTTP API, command line)
├── ConfigError           say which key is wrong and how to mend it, then exit with status 2
├── PolicyFailed          a policy crashed: do not deliver its message, try again later (policies/chain.py)
└── Problem               answer the request with it (observer/api/problems.py)
"""


class ObserverError(Exception):
    """What one part of this program raises for another to act on; what never leaves its own part need not be one."""


class InvalidMessage(ObserverError):
    """A message that no retry can mend.

    `code` is the stable word that clients switch on (docs/protocol.md, "Refusals"); `reason` is a sentence for a human.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class InvalidTopic(InvalidMessage):
    """The topic is not one that a client may publish to, or an id in it is outside the alphabet."""


class InvalidPayload(InvalidMessage):
    """The payload is not what the topic asks for."""


class Unavailable(ObserverError):
    """A service that we need does not answer now; the same call may succeed later."""


class BrokerUnavailable(Unavailable):
    """RabbitMQ is out of reach, or closed the connection."""


class StoreUnavailable(Unavailable):
    """The store is out of reach, out of space, or gave up for a reason that passes."""


class ShardLost(ObserverError):
    """The store holds an offset that this process was about to write: another process owns the shard now."""


class Refused(ObserverError):
    """The caller's request is understood and will not be done; the text says why."""


class ConfigError(ObserverError):
    """The configuration cannot work; the text names the key, the value and the remedy."""
