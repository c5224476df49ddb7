"""What Alembic runs: the migrations on the connection that it is handed."""

from __future__ import annotations

from alembic import context

from ffe_core.store.models import metadata

connection = context.config.attributes["connection"]
# SQLite changes a table by building it anew, which is what batch mode writes.
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True)
context.run_migrations()
