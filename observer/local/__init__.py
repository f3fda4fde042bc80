"""RabbitMQ as a private child process, for a first run and for tests."""
