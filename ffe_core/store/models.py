"""The schema: SQLModel tables, what keeps their rows from being changed, and the making of a new SQLite store.

Rows that record a decision or money are written once: triggers refuse every UPDATE, and every DELETE but that of a
prefix which a checkpoint stands for. What PostgreSQL needs besides stands in the migrations, which alone make its
tables. Imported only to make a store or to migrate one; reading and writing take ``tables``, which costs half as much.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import CheckConstraint, Connection, ForeignKey, Index, MetaData, Text, event, text
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from ffe_core.store.tables import GENESIS, HEAD
from ffe_core.store.types import DecimalText, Identifier, UtcTime, WholeNumber

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Row(SQLModel, registry=registry(metadata=MetaData(naming_convention=_NAMES))):
    """Base of the store's tables, apart from the models that plugins may declare."""


class DecisionRow(Row, table=True):
    """One link of the chain. ``record`` is the canonical JSON that ``hash`` is made of; ``bytes`` is its length."""

    __tablename__ = "decisions"
    __table_args__ = (
        Index("ix_decisions_asset_pair_seq", "asset_pair", "seq"),
        CheckConstraint("confidence BETWEEN 0 AND 100", name="confidence"),
    )

    seq: int = Field(primary_key=True, sa_type=WholeNumber, sa_column_kwargs={"autoincrement": False})
    id: str = Field(sa_type=Identifier, unique=True)
    created_at: datetime = Field(sa_type=UtcTime)
    as_of: datetime = Field(sa_type=UtcTime)
    asset_pair: str = Field(sa_type=Text)
    action: str = Field(sa_type=Text)
    confidence: int
    mode: str = Field(sa_type=Text)
    effect: str = Field(sa_type=Text)
    signal_only: bool
    vetoed: bool
    synthetic: bool
    previous_hash: str = Field(sa_type=Text)
    hash: str = Field(sa_type=Text)
    bytes: int = Field(sa_type=WholeNumber)
    # Last, so that SQLite reads the columns before it without touching a long record's further pages.
    record: str = Field(sa_type=Text)


class DecisionEventRow(Row, table=True):
    """What happened to a decision afterwards: executed, approved, modified. ``detail`` is canonical JSON."""

    __tablename__ = "decision_events"
    __table_args__ = (
        Index(
            "uq_decision_events_executed",
            "decision_seq",
            unique=True,
            sqlite_where=text("kind = 'executed'"),
        ),
    )

    decision_seq: int = Field(sa_type=WholeNumber, primary_key=True, sa_column_args=(ForeignKey("decisions.seq"),))
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    kind: str = Field(sa_type=Text)
    at: datetime = Field(sa_type=UtcTime)
    detail: str = Field(sa_type=Text)


class ChainHeadRow(Row, table=True):
    """The one row that every writer locks: how long the chain is and what the next record's hash builds on."""

    __tablename__ = "chain_head"
    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)

    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    seq: int = Field(sa_type=WholeNumber)
    hash: str = Field(sa_type=Text)


class CheckpointRow(Row, table=True):
    """Stands for every record up to ``seq``, all removed: the last of them, when, and how many went this time."""

    __tablename__ = "checkpoints"

    seq: int = Field(primary_key=True, sa_type=WholeNumber, sa_column_kwargs={"autoincrement": False})
    hash: str = Field(sa_type=Text)
    removed: int = Field(sa_type=WholeNumber)
    at: datetime = Field(sa_type=UtcTime)


class LedgerEntryRow(Row, table=True):
    """One movement of an account: ``quantity`` of ``asset`` against ``amount`` of ``currency``, both signed."""

    __tablename__ = "ledger_entries"
    __table_args__ = (
        Index(
            "uq_ledger_entries_fill",
            "mode",
            "platform",
            "account",
            "synthetic",
            "fill_id",
            "kind",
            unique=True,
            sqlite_where=text("fill_id IS NOT NULL"),
        ),
    )

    mode: str = Field(sa_type=Text, primary_key=True)
    platform: str = Field(sa_type=Text, primary_key=True)
    account: str = Field(sa_type=Text, primary_key=True)
    synthetic: bool = Field(primary_key=True)
    seq: int = Field(sa_type=WholeNumber, primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: datetime = Field(sa_type=UtcTime)
    kind: str = Field(sa_type=Text)
    asset: str | None = Field(default=None, sa_type=Text)
    quantity: Decimal = Field(sa_type=DecimalText)
    price: Decimal | None = Field(default=None, sa_type=DecimalText)
    amount: Decimal = Field(sa_type=DecimalText)
    currency: str = Field(sa_type=Text)
    fill_id: str | None = Field(default=None, sa_type=Text)
    order_id: str | None = Field(default=None, sa_type=Text)
    detail: str = Field(default="{}", sa_type=Text)


class OutcomeRow(Row, table=True):
    """What came of a decision, whether or not the decision itself is (still) here; ``opinions`` is canonical JSON.

    Returns and costs are fractions. Newest first within one reality of prices is how they are asked for.
    """

    __tablename__ = "outcomes"
    __table_args__ = (
        Index("ix_outcomes_synthetic_resolved_at", "synthetic", "resolved_at", "decision_id", "kind"),
        Index("ix_outcomes_asset_pair_resolved_at", "asset_pair", "synthetic", "resolved_at"),
        CheckConstraint("kind IN ('horizon', 'trade')", name="kind"),
        CheckConstraint("raw_confidence BETWEEN 0 AND 100", name="raw_confidence"),
    )

    decision_id: str = Field(sa_type=Identifier, primary_key=True)
    kind: str = Field(sa_type=Text, primary_key=True)
    asset_pair: str = Field(sa_type=Text)
    asset_type: str = Field(sa_type=Text)
    synthetic: bool
    as_of: datetime = Field(sa_type=UtcTime)
    resolved_at: datetime = Field(sa_type=UtcTime)
    action: str = Field(sa_type=Text)
    gross_return: float | None = None
    net_return: float | None = None
    price_return: float | None = None
    cost: float | None = None
    pnl: Decimal | None = Field(default=None, sa_type=DecimalText)
    exit_reason: str = Field(default="", sa_type=Text)
    verdict_action: str | None = Field(default=None, sa_type=Text)
    raw_confidence: int | None = None
    opinions: str = Field(default="{}", sa_type=Text)


class OrderRow(Row, table=True):
    """What was meant, before it was sent; ``body`` is the canonical JSON of the order."""

    __tablename__ = "orders"
    __table_args__ = (Index("ix_orders_decision_id", "decision_id"), Index("ix_orders_created_at", "created_at"))

    client_order_id: str = Field(sa_type=Text, primary_key=True)
    mode: str = Field(sa_type=Text)
    platform: str = Field(sa_type=Text)
    account: str = Field(sa_type=Text)
    synthetic: bool
    decision_id: str = Field(sa_type=Identifier)
    leg: str = Field(sa_type=Text)
    asset: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcTime)
    body: str = Field(sa_type=Text)


class OrderEventRow(Row, table=True):
    """What was done with an order, or heard of it; the newest is its state."""

    __tablename__ = "order_events"

    client_order_id: str = Field(sa_type=Text, primary_key=True, sa_column_args=(ForeignKey("orders.client_order_id"),))
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    state: str = Field(sa_type=Text)
    at: datetime = Field(sa_type=UtcTime)
    filled: Decimal = Field(sa_type=DecimalText)
    price: Decimal | None = Field(default=None, sa_type=DecimalText)
    venue_order_id: str | None = Field(default=None, sa_type=Text)
    reason: str = Field(default="", sa_type=Text)


class FillRow(Row, table=True):
    """An execution; a venue reports it as often as it likes, and it is here once."""

    __tablename__ = "fills"
    __table_args__ = (Index("ix_fills_client_order_id", "client_order_id"),)

    venue: str = Field(sa_type=Text, primary_key=True)
    venue_fill_id: str = Field(sa_type=Text, primary_key=True)
    client_order_id: str = Field(sa_type=Text)
    asset: str = Field(sa_type=Text)
    base: str = Field(sa_type=Text)
    quote: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    side: str = Field(sa_type=Text)
    quantity: Decimal = Field(sa_type=DecimalText)
    price: Decimal = Field(sa_type=DecimalText)
    fee: Decimal = Field(sa_type=DecimalText)
    fee_currency: str = Field(sa_type=Text)
    at: datetime = Field(sa_type=UtcTime)


class VenueCursorRow(Row, table=True):
    """How far the fills of an account have been read."""

    __tablename__ = "venue_cursors"

    mode: str = Field(sa_type=Text, primary_key=True)
    platform: str = Field(sa_type=Text, primary_key=True)
    account: str = Field(sa_type=Text, primary_key=True)
    synthetic: bool = Field(primary_key=True)
    cursor: str = Field(sa_type=Text)


class TradingStateRow(Row, table=True):
    """What may be traded from ``at`` on: everything (``asset`` empty) or one asset; the newest row of each holds."""

    __tablename__ = "trading_states"
    __table_args__ = (CheckConstraint("state IN ('ACTIVE', 'REDUCING', 'HALTED')", name="state"),)

    seq: int = Field(primary_key=True, sa_type=WholeNumber, sa_column_kwargs={"autoincrement": False})
    at: datetime = Field(sa_type=UtcTime)
    asset: str = Field(sa_type=Text)
    state: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)


class EquityMarkRow(Row, table=True):
    """What an account was worth at an instant, and how much cash had been paid in by then, net of withdrawals."""

    __tablename__ = "equity_marks"
    __table_args__ = (
        Index("ix_equity_marks_mode_platform_account_synthetic_at", "mode", "platform", "account", "synthetic", "at"),
        CheckConstraint("kind IN ('mark', 'breach', 'restart')", name="kind"),
    )

    mode: str = Field(sa_type=Text, primary_key=True)
    platform: str = Field(sa_type=Text, primary_key=True)
    account: str = Field(sa_type=Text, primary_key=True)
    synthetic: bool = Field(primary_key=True)
    seq: int = Field(sa_type=WholeNumber, primary_key=True, sa_column_kwargs={"autoincrement": False})
    at: datetime = Field(sa_type=UtcTime)
    kind: str = Field(sa_type=Text)
    equity: Decimal = Field(sa_type=DecimalText)
    paid_in: Decimal | None = Field(default=None, sa_type=DecimalText)


class ReservationRow(Row, table=True):
    """Exposure promised to a decision, in account currency, until it is released or runs out."""

    __tablename__ = "reservations"
    __table_args__ = (Index("ix_reservations_expires_at", "expires_at"),)

    decision_id: str = Field(sa_type=Identifier, primary_key=True)
    mode: str = Field(sa_type=Text)
    platform: str = Field(sa_type=Text)
    account: str = Field(sa_type=Text)
    synthetic: bool
    asset: str = Field(sa_type=Text)
    base: str = Field(sa_type=Text)
    quote: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    notional: Decimal = Field(sa_type=DecimalText)
    at: datetime = Field(sa_type=UtcTime)
    expires_at: datetime = Field(sa_type=UtcTime)
    released_at: datetime | None = Field(default=None, sa_type=UtcTime)


metadata: MetaData = Row.metadata


def _refuse(name: str, when: str, table: str, condition: str, message: str) -> str:
    where = f" WHEN {condition}" if condition else ""
    return f"CREATE TRIGGER {name} BEFORE {when} ON {table}{where} BEGIN SELECT RAISE(ABORT, '{message}'); END"


def _uncovered(column: str) -> str:
    return f"OLD.{column} > coalesce((SELECT max(seq) FROM checkpoints), 0)"  # noqa: S608 - our own names


#: What a new SQLite store is guarded by; PostgreSQL's counterpart is written in the migrations that make it.
SQLITE_TRIGGERS = (
    _refuse("decisions_no_update", "UPDATE", "decisions", "", "decisions are immutable"),
    _refuse(
        "decisions_no_delete",
        "DELETE",
        "decisions",
        _uncovered("seq"),
        "only the oldest decisions are removed, behind a checkpoint",
    ),
    _refuse("decision_events_no_update", "UPDATE", "decision_events", "", "decision events are immutable"),
    _refuse(
        "decision_events_no_delete",
        "DELETE",
        "decision_events",
        _uncovered("decision_seq"),
        "decision events go with their decision",
    ),
    _refuse("checkpoints_no_update", "UPDATE", "checkpoints", "", "checkpoints are immutable"),
    _refuse("checkpoints_no_delete", "DELETE", "checkpoints", "", "checkpoints are immutable"),
    _refuse("ledger_entries_no_update", "UPDATE", "ledger_entries", "", "ledger entries are immutable"),
    _refuse("ledger_entries_no_delete", "DELETE", "ledger_entries", "", "ledger entries are immutable"),
    _refuse("outcomes_no_update", "UPDATE", "outcomes", "", "outcomes are immutable"),
    _refuse("outcomes_no_delete", "DELETE", "outcomes", "", "outcomes are immutable"),
    _refuse("orders_no_update", "UPDATE", "orders", "", "orders are immutable"),
    _refuse("orders_no_delete", "DELETE", "orders", "", "orders are immutable"),
    _refuse("order_events_no_update", "UPDATE", "order_events", "", "order events are immutable"),
    _refuse("order_events_no_delete", "DELETE", "order_events", "", "order events are immutable"),
    _refuse("fills_no_update", "UPDATE", "fills", "", "fills are immutable"),
    _refuse("fills_no_delete", "DELETE", "fills", "", "fills are immutable"),
    _refuse("trading_states_no_update", "UPDATE", "trading_states", "", "trading states are immutable"),
    _refuse("trading_states_no_delete", "DELETE", "trading_states", "", "trading states are immutable"),
    _refuse("equity_marks_no_update", "UPDATE", "equity_marks", "", "equity marks are immutable"),
    _refuse("equity_marks_no_delete", "DELETE", "equity_marks", "", "equity marks are immutable"),
)


@event.listens_for(metadata, "after_create")
def _guard(_target: MetaData, connection: Connection, **_facts: Any) -> None:
    if connection.dialect.name == "sqlite":
        for statement in SQLITE_TRIGGERS:
            connection.exec_driver_sql(statement)


def create_schema(connection: Connection) -> None:
    """Every table at the newest revision, in an empty SQLite file; the same as running all migrations."""
    metadata.create_all(connection, checkfirst=False)
    connection.exec_driver_sql(
        "CREATE TABLE alembic_version "
        "(version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})
    connection.execute(metadata.tables["chain_head"].insert(), {"id": 1, "seq": 0, "hash": GENESIS})
