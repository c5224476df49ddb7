"""The ledger: every movement of cash and holdings of an account, written once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    whole = sa.BigInteger() if postgresql else sa.Integer()
    instant = sa.DateTime(timezone=True) if postgresql else sa.Text()
    exact = sa.Numeric() if postgresql else sa.Text()
    op.create_table(
        "ledger_entries",
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("synthetic", sa.Boolean(), nullable=False),
        sa.Column("seq", whole, nullable=False, autoincrement=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("asset", sa.Text(), nullable=True),
        sa.Column("quantity", exact, nullable=False),
        sa.Column("price", exact, nullable=True),
        sa.Column("amount", exact, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("fill_id", sa.Text(), nullable=True),
        sa.Column("order_id", sa.Text(), nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("mode", "platform", "account", "synthetic", "seq", name="pk_ledger_entries"),
    )
    op.create_index(
        "uq_ledger_entries_fill",
        "ledger_entries",
        ["mode", "platform", "account", "synthetic", "fill_id", "kind"],
        unique=True,
        sqlite_where=sa.text("fill_id IS NOT NULL"),
        postgresql_where=sa.text("fill_id IS NOT NULL"),
    )
    for statement in POSTGRESQL if postgresql else SQLITE:
        op.execute(statement)


SQLITE = (
    "CREATE TRIGGER ledger_entries_no_update BEFORE UPDATE ON ledger_entries "
    "BEGIN SELECT RAISE(ABORT, 'ledger entries are immutable'); END",
    "CREATE TRIGGER ledger_entries_no_delete BEFORE DELETE ON ledger_entries "
    "BEGIN SELECT RAISE(ABORT, 'ledger entries are immutable'); END",
)

POSTGRESQL = (
    "CREATE TRIGGER ledger_entries_no_change BEFORE UPDATE OR DELETE ON ledger_entries "
    "FOR EACH ROW EXECUTE FUNCTION ffe_refuse_change()",
    "CREATE TRIGGER ledger_entries_no_truncate BEFORE TRUNCATE ON ledger_entries "
    "FOR EACH STATEMENT EXECUTE FUNCTION ffe_refuse_change()",
)
