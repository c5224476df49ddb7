"""The tables as statements see them: names, types and keys, without the models that declare the rest.

``decisions`` carries the fields that lists and filters need beside the record itself, so that nobody parses a record
to print a line. A test holds these equal to ``models``, which makes them.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Integer, MetaData, Table, Text

from ffe_core.store.types import DecimalText, Identifier, UtcTime, WholeNumber

#: Every schema that was ever released, oldest first; the last one is what this version reads and writes.
REVISIONS = ("0001", "0002", "0003", "0004", "0005")
HEAD = REVISIONS[-1]

#: What precedes the first record of a chain.
GENESIS = "0" * 64

metadata = MetaData()

decisions = Table(
    "decisions",
    metadata,
    Column("seq", WholeNumber, primary_key=True, autoincrement=False),
    Column("id", Identifier, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("as_of", UtcTime, nullable=False),
    Column("asset_pair", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("confidence", Integer, nullable=False),
    Column("mode", Text, nullable=False),
    Column("effect", Text, nullable=False),
    Column("signal_only", Boolean, nullable=False),
    Column("vetoed", Boolean, nullable=False),
    Column("synthetic", Boolean, nullable=False),
    Column("previous_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("bytes", WholeNumber, nullable=False),
    Column("record", Text, nullable=False),
)

decision_events = Table(
    "decision_events",
    metadata,
    Column("decision_seq", WholeNumber, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("detail", Text, nullable=False),
)

chain_head = Table(
    "chain_head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", WholeNumber, nullable=False),
    Column("hash", Text, nullable=False),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("seq", WholeNumber, primary_key=True, autoincrement=False),
    Column("hash", Text, nullable=False),
    Column("removed", WholeNumber, nullable=False),
    Column("at", UtcTime, nullable=False),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("mode", Text, primary_key=True),
    Column("platform", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("synthetic", Boolean, primary_key=True),
    Column("seq", WholeNumber, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("kind", Text, nullable=False),
    Column("asset", Text),
    Column("quantity", DecimalText, nullable=False),
    Column("price", DecimalText),
    Column("amount", DecimalText, nullable=False),
    Column("currency", Text, nullable=False),
    Column("fill_id", Text),
    Column("order_id", Text),
    Column("detail", Text, nullable=False),
)

outcomes = Table(
    "outcomes",
    metadata,
    Column("decision_id", Identifier, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("asset_pair", Text, nullable=False),
    Column("asset_type", Text, nullable=False),
    Column("synthetic", Boolean, nullable=False),
    Column("as_of", UtcTime, nullable=False),
    Column("resolved_at", UtcTime, nullable=False),
    Column("action", Text, nullable=False),
    Column("gross_return", Float),
    Column("net_return", Float),
    Column("price_return", Float),
    Column("cost", Float),
    Column("pnl", DecimalText),
    Column("exit_reason", Text, nullable=False),
    Column("verdict_action", Text),
    Column("raw_confidence", Integer),
    Column("opinions", Text, nullable=False),
)

orders = Table(
    "orders",
    metadata,
    Column("client_order_id", Text, primary_key=True),
    Column("mode", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("synthetic", Boolean, nullable=False),
    Column("decision_id", Identifier, nullable=False),
    Column("leg", Text, nullable=False),
    Column("asset", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("body", Text, nullable=False),
)

order_events = Table(
    "order_events",
    metadata,
    Column("client_order_id", Text, primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("filled", DecimalText, nullable=False),
    Column("price", DecimalText),
    Column("venue_order_id", Text),
    Column("reason", Text, nullable=False),
)

fills = Table(
    "fills",
    metadata,
    Column("venue", Text, primary_key=True),
    Column("venue_fill_id", Text, primary_key=True),
    Column("client_order_id", Text, nullable=False),
    Column("asset", Text, nullable=False),
    Column("base", Text, nullable=False),
    Column("quote", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("side", Text, nullable=False),
    Column("quantity", DecimalText, nullable=False),
    Column("price", DecimalText, nullable=False),
    Column("fee", DecimalText, nullable=False),
    Column("fee_currency", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
)

#: How far the fills of an account have been read: what a venue tells twice is known by its id all the same.
venue_cursors = Table(
    "venue_cursors",
    metadata,
    Column("mode", Text, primary_key=True),
    Column("platform", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("synthetic", Boolean, primary_key=True),
    Column("cursor", Text, nullable=False),
)

trading_states = Table(
    "trading_states",
    metadata,
    Column("seq", WholeNumber, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("asset", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

equity_marks = Table(
    "equity_marks",
    metadata,
    Column("mode", Text, primary_key=True),
    Column("platform", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("synthetic", Boolean, primary_key=True),
    Column("seq", WholeNumber, primary_key=True, autoincrement=False),
    Column("at", UtcTime, nullable=False),
    Column("kind", Text, nullable=False),
    Column("equity", DecimalText, nullable=False),
    Column("paid_in", DecimalText),
)

reservations = Table(
    "reservations",
    metadata,
    Column("decision_id", Identifier, primary_key=True),
    Column("mode", Text, nullable=False),
    Column("platform", Text, nullable=False),
    Column("account", Text, nullable=False),
    Column("synthetic", Boolean, nullable=False),
    Column("asset", Text, nullable=False),
    Column("base", Text, nullable=False),
    Column("quote", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("notional", DecimalText, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("released_at", UtcTime),
)

#: Parents before children: the order in which rows are copied.
COPIED = (
    checkpoints,
    decisions,
    decision_events,
    ledger_entries,
    outcomes,
    orders,
    order_events,
    fills,
    venue_cursors,
    trading_states,
    equity_marks,
    reservations,
)
