"""What risk needs to remember: trading states, what accounts were worth, and exposure promised to decisions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    whole = sa.BigInteger() if postgresql else sa.Integer()
    instant = sa.DateTime(timezone=True) if postgresql else sa.Text()
    identifier = sa.Text(collation="C") if postgresql else sa.Text()
    exact = sa.Numeric() if postgresql else sa.Text()

    def account() -> tuple[sa.Column[str], sa.Column[str], sa.Column[str], sa.Column[bool]]:
        return (
            sa.Column("mode", sa.Text(), nullable=False),
            sa.Column("platform", sa.Text(), nullable=False),
            sa.Column("account", sa.Text(), nullable=False),
            sa.Column("synthetic", sa.Boolean(), nullable=False),
        )

    op.create_table(
        "trading_states",
        sa.Column("seq", whole, nullable=False, autoincrement=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_trading_states"),
        sa.CheckConstraint("state IN ('ACTIVE', 'REDUCING', 'HALTED')", name=op.f("ck_trading_states_state")),
    )
    op.create_table(
        "equity_marks",
        *account(),
        sa.Column("seq", whole, nullable=False, autoincrement=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("equity", exact, nullable=False),
        sa.Column("paid_in", exact, nullable=True),
        sa.PrimaryKeyConstraint("mode", "platform", "account", "synthetic", "seq", name="pk_equity_marks"),
        sa.CheckConstraint("kind IN ('mark', 'breach', 'restart')", name=op.f("ck_equity_marks_kind")),
    )
    op.create_index(
        "ix_equity_marks_mode_platform_account_synthetic_at",
        "equity_marks",
        ["mode", "platform", "account", "synthetic", "at"],
    )
    op.create_table(
        "reservations",
        sa.Column("decision_id", identifier, nullable=False),
        *account(),
        sa.Column("asset", sa.Text(), nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.Column("quote", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("notional", exact, nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("expires_at", instant, nullable=False),
        sa.Column("released_at", instant, nullable=True),
        sa.PrimaryKeyConstraint("decision_id", name="pk_reservations"),
    )
    op.create_index("ix_reservations_expires_at", "reservations", ["expires_at"])
    for statement in POSTGRESQL if postgresql else SQLITE:
        op.execute(statement)


SQLITE = (
    "CREATE TRIGGER trading_states_no_update BEFORE UPDATE ON trading_states "
    "BEGIN SELECT RAISE(ABORT, 'trading states are immutable'); END",
    "CREATE TRIGGER trading_states_no_delete BEFORE DELETE ON trading_states "
    "BEGIN SELECT RAISE(ABORT, 'trading states are immutable'); END",
    "CREATE TRIGGER equity_marks_no_update BEFORE UPDATE ON equity_marks "
    "BEGIN SELECT RAISE(ABORT, 'equity marks are immutable'); END",
    "CREATE TRIGGER equity_marks_no_delete BEFORE DELETE ON equity_marks "
    "BEGIN SELECT RAISE(ABORT, 'equity marks are immutable'); END",
)

POSTGRESQL = (
    "CREATE TRIGGER trading_states_no_change BEFORE UPDATE OR DELETE ON trading_states "
    "FOR EACH ROW EXECUTE FUNCTION ffe_refuse_change()",
    "CREATE TRIGGER trading_states_no_truncate BEFORE TRUNCATE ON trading_states "
    "FOR EACH STATEMENT EXECUTE FUNCTION ffe_refuse_change()",
    "CREATE TRIGGER equity_marks_no_change BEFORE UPDATE OR DELETE ON equity_marks "
    "FOR EACH ROW EXECUTE FUNCTION ffe_refuse_change()",
    "CREATE TRIGGER equity_marks_no_truncate BEFORE TRUNCATE ON equity_marks "
    "FOR EACH STATEMENT EXECUTE FUNCTION ffe_refuse_change()",
)
