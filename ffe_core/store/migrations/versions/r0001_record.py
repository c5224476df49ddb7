"""The record: decisions in a chain, what happened to them, checkpoints."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

GENESIS = "0" * 64


def upgrade() -> None:
    postgresql = op.get_bind().dialect.name == "postgresql"
    whole = sa.BigInteger() if postgresql else sa.Integer()
    instant = sa.DateTime(timezone=True) if postgresql else sa.Text()
    identifier = sa.Text(collation="C") if postgresql else sa.Text()
    op.create_table(
        "decisions",
        sa.Column("seq", whole, nullable=False, autoincrement=False),
        sa.Column("id", identifier, nullable=False),
        sa.Column("created_at", instant, nullable=False),
        sa.Column("as_of", instant, nullable=False),
        sa.Column("asset_pair", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("confidence", sa.Integer(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("effect", sa.Text(), nullable=False),
        sa.Column("signal_only", sa.Boolean(), nullable=False),
        sa.Column("vetoed", sa.Boolean(), nullable=False),
        sa.Column("synthetic", sa.Boolean(), nullable=False),
        sa.Column("previous_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("bytes", whole, nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_decisions"),
        sa.UniqueConstraint("id", name="uq_decisions_id"),
        sa.CheckConstraint("confidence BETWEEN 0 AND 100", name=op.f("ck_decisions_confidence")),
    )
    op.create_index("ix_decisions_asset_pair_seq", "decisions", ["asset_pair", "seq"])
    op.create_table(
        "decision_events",
        sa.Column("decision_seq", whole, nullable=False, autoincrement=False),
        sa.Column("number", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("decision_seq", "number", name="pk_decision_events"),
        sa.ForeignKeyConstraint(["decision_seq"], ["decisions.seq"], name="fk_decision_events_decision_seq"),
    )
    op.create_index(
        "uq_decision_events_executed",
        "decision_events",
        ["decision_seq"],
        unique=True,
        sqlite_where=sa.text("kind = 'executed'"),
        postgresql_where=sa.text("kind = 'executed'"),
    )
    head = op.create_table(
        "chain_head",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("seq", whole, nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_chain_head"),
        sa.CheckConstraint("id = 1", name=op.f("ck_chain_head_one_row")),
    )
    op.bulk_insert(head, [{"id": 1, "seq": 0, "hash": GENESIS}])
    op.create_table(
        "checkpoints",
        sa.Column("seq", whole, nullable=False, autoincrement=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("removed", whole, nullable=False),
        sa.Column("at", instant, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_checkpoints"),
    )
    for statement in POSTGRESQL if postgresql else SQLITE:
        op.execute(statement)


SQLITE = (
    "CREATE TRIGGER decisions_no_update BEFORE UPDATE ON decisions "
    "BEGIN SELECT RAISE(ABORT, 'decisions are immutable'); END",
    "CREATE TRIGGER decisions_no_delete BEFORE DELETE ON decisions "
    "WHEN OLD.seq > coalesce((SELECT max(seq) FROM checkpoints), 0) "
    "BEGIN SELECT RAISE(ABORT, 'only the oldest decisions are removed, behind a checkpoint'); END",
    "CREATE TRIGGER decision_events_no_update BEFORE UPDATE ON decision_events "
    "BEGIN SELECT RAISE(ABORT, 'decision events are immutable'); END",
    "CREATE TRIGGER decision_events_no_delete BEFORE DELETE ON decision_events "
    "WHEN OLD.decision_seq > coalesce((SELECT max(seq) FROM checkpoints), 0) "
    "BEGIN SELECT RAISE(ABORT, 'decision events go with their decision'); END",
    "CREATE TRIGGER checkpoints_no_update BEFORE UPDATE ON checkpoints "
    "BEGIN SELECT RAISE(ABORT, 'checkpoints are immutable'); END",
    "CREATE TRIGGER checkpoints_no_delete BEFORE DELETE ON checkpoints "
    "BEGIN SELECT RAISE(ABORT, 'checkpoints are immutable'); END",
)

# Messages are joined, not formatted: a percent sign would be the driver's placeholder.
POSTGRESQL = (
    "CREATE FUNCTION ffe_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "RAISE EXCEPTION USING MESSAGE = replace(TG_TABLE_NAME, '_', ' ') || ' are immutable'; END $$",
    "CREATE FUNCTION ffe_refuse_uncovered_decision() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "IF OLD.seq > coalesce((SELECT max(seq) FROM checkpoints), 0) THEN "
    "RAISE EXCEPTION USING MESSAGE = 'only the oldest decisions are removed, behind a checkpoint'; END IF; "
    "RETURN OLD; END $$",
    "CREATE FUNCTION ffe_refuse_uncovered_event() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
    "IF OLD.decision_seq > coalesce((SELECT max(seq) FROM checkpoints), 0) THEN "
    "RAISE EXCEPTION USING MESSAGE = 'decision events go with their decision'; END IF; "
    "RETURN OLD; END $$",
    "CREATE TRIGGER decisions_no_update BEFORE UPDATE ON decisions FOR EACH ROW EXECUTE FUNCTION ffe_refuse_change()",
    "CREATE TRIGGER decisions_no_delete BEFORE DELETE ON decisions "
    "FOR EACH ROW EXECUTE FUNCTION ffe_refuse_uncovered_decision()",
    "CREATE TRIGGER decisions_no_truncate BEFORE TRUNCATE ON decisions "
    "FOR EACH STATEMENT EXECUTE FUNCTION ffe_refuse_change()",
    "CREATE TRIGGER decision_events_no_update BEFORE UPDATE ON decision_events "
    "FOR EACH ROW EXECUTE FUNCTION ffe_refuse_change()",
    "CREATE TRIGGER decision_events_no_delete BEFORE DELETE ON decision_events "
    "FOR EACH ROW EXECUTE FUNCTION ffe_refuse_uncovered_event()",
    "CREATE TRIGGER decision_events_no_truncate BEFORE TRUNCATE ON decision_events "
    "FOR EACH STATEMENT EXECUTE FUNCTION ffe_refuse_change()",
    "CREATE TRIGGER checkpoints_no_change BEFORE UPDATE OR DELETE ON checkpoints "
    "FOR EACH ROW EXECUTE FUNCTION ffe_refuse_change()",
    "CREATE TRIGGER checkpoints_no_truncate BEFORE TRUNCATE ON checkpoints "
    "FOR EACH STATEMENT EXECUTE FUNCTION ffe_refuse_change()",
)
