"""The schema's history. Alembic is imported when a store is upgraded, and at no other time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's settings for these migrations, on a connection that the caller commits."""
    from alembic.config import Config

    config = Config()
    # Alembic expands percent signs; a folder may have one in its name.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Runs what is missing up to ``revision``, within the connection's transaction."""
    from alembic import command

    command.upgrade(configuration(connection), revision)
