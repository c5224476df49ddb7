"""A store on either database, as the store's own tests have it."""

from tests.store.conftest import clock, database, postgres_database, sqlite_store, store

__all__ = ["clock", "database", "postgres_database", "sqlite_store", "store"]
