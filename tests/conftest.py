"""Fixtures that any test may ask for; each lives beside the service that it is about."""

# A plugin comes before those that import it: else pytest cannot rewrite its assertions, and says so.
pytest_plugins = [
    "tests.services.rabbitmq",
    "tests.services.queues",
    "tests.services.mongo",
    "tests.services.stores",
    "tests.services.observer",
    "tests.services.compose",
    "tests.services.logs",
]
