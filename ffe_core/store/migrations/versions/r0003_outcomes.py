"""Outcomes: what came of decisions, written once."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    instant = sa.DateTime(timezone=True) if postgresql else sa.Text()
    identifier = sa.Text(collation="C") if postgresql else sa.Text()
    op.create_table(
        "outcomes",
        sa.Column("decision_id", identifier, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("asset_pair", sa.Text(), nullable=False),
        sa.Column("asset_type", sa.Text(), nullable=False),
        sa.Column("synthetic", sa.Boolean(), nullable=False),
        sa.Column("as_of", instant, nullable=False),
        sa.Column("resolved_at", instant, nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("gross_return", sa.Float(), nullable=True),
        sa.Column("net_return", sa.Float(), nullable=True),
        sa.Column("price_return", sa.Float(), nullable=True),
        sa.Column("cost", sa.Float(), nullable=True),
        sa.Column("pnl", sa.Numeric() if postgresql else sa.Text(), nullable=True),
        sa.Column("exit_reason", sa.Text(), nullable=False),
        sa.Column("verdict_action", sa.Text(), nullable=True),
        sa.Column("raw_confidence", sa.Integer(), nullable=True),
        sa.Column("opinions", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("decision_id", "kind", name="pk_outcomes"),
        sa.CheckConstraint("kind IN ('horizon', 'trade')", name=op.f("ck_outcomes_kind")),
        sa.CheckConstraint("raw_confidence BETWEEN 0 AND 100", name=op.f("ck_outcomes_raw_confidence")),
    )
    op.create_index(
        "ix_outcomes_synthetic_resolved_at", "outcomes", ["synthetic", "resolved_at", "decision_id", "kind"]
    )
    op.create_index("ix_outcomes_asset_pair_resolved_at", "outcomes", ["asset_pair", "synthetic", "resolved_at"])
    for statement in POSTGRESQL if postgresql else SQLITE:
        op.execute(statement)


SQLITE = (
    "CREATE TRIGGER outcomes_no_update BEFORE UPDATE ON outcomes "
    "BEGIN SELECT RAISE(ABORT, 'outcomes are immutable'); END",
    "CREATE TRIGGER outcomes_no_delete BEFORE DELETE ON outcomes "
    "BEGIN SELECT RAISE(ABORT, 'outcomes are immutable'); END",
)

POSTGRESQL = (
    "CREATE TRIGGER outcomes_no_change BEFORE UPDATE OR DELETE ON outcomes "
    "FOR EACH ROW EXECUTE FUNCTION ffe_refuse_change()",
    "CREATE TRIGGER outcomes_no_truncate BEFORE TRUNCATE ON outcomes "
    "FOR EACH STATEMENT EXECUTE FUNCTION ffe_refuse_change()",
)
