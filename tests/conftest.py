"""Fixtures that any test may ask for; each lives beside the service that it is about."""

pytest_plugins = ["tests.services.rabbitmq", "tests.services.mongo", "tests.services.observer"]
