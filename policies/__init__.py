"""The policies, and their order."""
