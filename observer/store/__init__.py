"""The stores: one port (base.py), SQLite and MongoDB behind it."""

from observer.store.factory import open_store

__all__ = ["open_store"]
