"""What `observer doctor` looks at: a file a subject, each giving findings with a remedy; `examine.py` is the order."""
