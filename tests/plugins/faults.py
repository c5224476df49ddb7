"""Ways to misbehave, and what each port's methods are asked and should answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import timedelta
from decimal import Decimal
from functools import cache
from types import SimpleNamespace
from typing import Any

from ffe_core.analysis.series import CandleSeries
from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.decisions import Ask, Note, Opinion, Round, Ruling, RulingOutcome, Trust, Verdict
from ffe_core.domain.market import Candles, Quote
from ffe_core.domain.trading import Action, Fill, OrderReport, OrderState, Position, Side
from ffe_core.errors import FfeError, PlatformError, PluginError, ProviderFailed, SourceFailed, Unknown
from ffe_core.ports import Chunk, Clearance, Holding, Prospect, Readiness, Result, Signals
from ffe_core.testing.samples import (
    NOON,
    make_agenda,
    make_ballot,
    make_briefing,
    make_candles,
    make_instrument,
    make_order,
    make_portfolio,
    make_proposal,
    make_risk_context,
)

BTC = Asset.parse("BTCUSD")
HOUR = timedelta(hours=1)
TEN_MEGABYTES = "x" * 10_000_000


@dataclass(frozen=True)
class Method:
    """One method of one kind of object: how it is called, what a sound object answers, how its failure is named."""

    kind: str
    name: str
    call: Callable[[Any], Any]
    sound: Callable[[], Any]
    raises: type[FfeError]
    capability: str = ""
    #: whatever comes back is the task's or nobody's business
    any_answer: bool = False
    #: None is an answer
    optional: bool = False

    def __str__(self) -> str:
        return f"{self.kind}.{self.name}"


def _fill() -> Fill:
    return Fill("fake", "f1", "order-1", BTC, Side.BUY, Decimal(1), Decimal(10), Decimal(0), "USD", NOON)


def _report() -> OrderReport:
    return OrderReport("order-1", "v1", OrderState.FILLED, Decimal(1), Decimal(10), (_fill(),), "done", NOON)


@cache
def prospect() -> Prospect:
    """Of two entries."""
    import numpy as np

    sides, whole, prices = np.ones(2, np.int8), np.zeros(2, np.int64), np.ones(2)
    names = ("agreement", "price", "low", "high", "volatility", "returns")
    return Prospect(
        BTC, make_instrument(), {}, whole, sides, sides, since=whole, until=whole, **dict.fromkeys(names, prices)
    )


def _signals() -> Signals:
    import numpy as np

    return Signals(np.zeros(30, np.int8), np.zeros(30, np.int8))


@cache
def candles() -> Candles:
    return make_candles(bars=30)


POSITION = Position(BTC, Decimal(1), Decimal(10), Decimal(10))
ORDER = make_order()
BRIEFING, BALLOT, PROPOSAL, CONTEXT = (
    make_briefing(),
    make_ballot((Action.BUY, 60)),
    make_proposal(),
    make_risk_context(),
)
AGENDA = make_agenda()
ROUNDS = [Round(Ask(("a",), BRIEFING), BALLOT.opinions)]
PRICES = {"BTCUSD": Decimal(10)}
CHUNKS = [Chunk(0, {"n": [1]}), Chunk(1, {"n": [2]})]
#: everything that methods are handed, to be compared after a plugin had its way with it
INPUTS = (BRIEFING, BALLOT, PROPOSAL, CONTEXT, ORDER, POSITION, AGENDA, ROUNDS, PRICES, CHUNKS)


def _note() -> Note:
    return Note("x", Trust.MEASURED, NOON, "news")


def _verdict() -> Verdict:
    return Verdict(Action.BUY, 60, 60, "because", Decimal(1), {"agreement_score": 0.7})


METHODS = [
    Method("source", "serves", lambda it: it.serves(BTC), lambda: True, SourceFailed),
    Method(
        "source",
        "candles",
        lambda it: it.candles(BTC, Timeframe.H1, start=None, end=None, limit=None),
        candles,
        SourceFailed,
    ),
    Method(
        "source",
        "quote",
        lambda it: it.quote(BTC),
        lambda: Quote(BTC, Decimal(1), Decimal(2), NOON, "x"),
        SourceFailed,
        "QuoteSource",
    ),
    Method("source", "news", lambda it: it.news(BTC, NOON - HOUR, NOON), lambda: [_note()], SourceFailed, "NewsSource"),
    Method("source", "macro", lambda it: it.macro(NOON), lambda: [_note()], SourceFailed, "MacroSource"),
    Method(
        "source",
        "holdings",
        lambda it: it.holdings(),
        lambda: [Holding(BTC, Timeframe.H1, 3, NOON, NOON, "a file")],
        SourceFailed,
        "Catalogued",
    ),
    Method(
        "provider",
        "ask",
        lambda it: it.ask(BRIEFING, timeout=0.01),
        lambda: Opinion("", "m", Action.BUY, 60, "because", latency_ms=1.0),
        ProviderFailed,
    ),
    Method(
        "provider",
        "check",
        lambda it: it.check(timeout=0.01),
        lambda: Readiness(reachable=True, detail="there"),
        ProviderFailed,
        "CheckedProvider",
    ),
    Method("provider", "with_params", lambda it: it.with_params(n=3), lambda: None, PluginError, "VectorProvider"),
    Method(
        "provider",
        "ask_all",
        lambda it: it.ask_all(CandleSeries(candles())),
        _signals,
        ProviderFailed,
        "VectorProvider",
    ),
    Method("strategy", "combine", lambda it: it.combine(BALLOT), _verdict, PluginError),
    Method(
        "strategy",
        "next_round",
        lambda it: it.next_round(AGENDA, ROUNDS),
        lambda: [Ask(("a",), BRIEFING)],
        PluginError,
        "RoundStrategy",
    ),
    Method(
        "rule",
        "check",
        lambda it: it.check(PROPOSAL, CONTEXT),
        lambda: Ruling("", RulingOutcome.PASSED, "fine", inputs={"n": 1.5}),
        PluginError,
    ),
    Method("rule", "clearance", lambda it: it.clearance(prospect()), Clearance, PluginError, "VectorRule"),
    Method("platform", "portfolio", lambda it: it.portfolio(), lambda: make_portfolio(POSITION), PlatformError),
    Method("platform", "flat", lambda it: it.flat(), make_portfolio, PlatformError, "FlatAccount"),
    Method("platform", "instrument", lambda it: it.instrument(BTC), make_instrument, PlatformError),
    Method(
        "platform",
        "quote",
        lambda it: it.quote(BTC),
        lambda: Quote(BTC, Decimal(1), Decimal(2), NOON, "x"),
        PlatformError,
    ),
    Method("platform", "prepare", lambda it: it.prepare(ORDER), lambda: {"id": "1"}, PlatformError),
    Method("platform", "submit", lambda it: it.submit(ORDER), _report, Unknown),
    Method("platform", "find", lambda it: it.find(ORDER), _report, PlatformError, optional=True),
    Method("platform", "cancel", lambda it: it.cancel(ORDER), _report, Unknown),
    Method("platform", "close", lambda it: it.close(POSITION, client_order_id="order-1"), _report, Unknown),
    Method(
        "platform",
        "protect",
        lambda it: it.protect(POSITION, Decimal(9), None, client_order_id="order-1"),
        _report,
        Unknown,
    ),
    Method("platform", "open_orders", lambda it: it.open_orders(), lambda: [_report()], PlatformError),
    Method("platform", "fills", lambda it: it.fills(None), lambda: ([_fill()], "next"), PlatformError),
    Method("platform", "check", lambda it: it.check(), lambda: {"api_auth": True}, PlatformError),
    Method(
        "platform",
        "update_prices",
        lambda it: it.update_prices(PRICES),
        lambda: None,
        PlatformError,
        "MarkToMarket",
        any_answer=True,
    ),
    Method("platform", "watching", lambda it: it.watching(), lambda: {BTC: NOON}, PlatformError, "BarFed"),
    Method(
        "platform",
        "update_bars",
        lambda it: it.update_bars(make_candles(bars=2)),
        lambda: None,
        PlatformError,
        "BarFed",
        any_answer=True,
    ),
    Method("platform", "watching", lambda it: it.watching(), lambda: {BTC: NOON}, PlatformError, "BarFed"),
    Method(
        "platform",
        "update_bars",
        lambda it: it.update_bars(candles()),
        lambda: None,
        PlatformError,
        "BarFed",
        any_answer=True,
    ),
    Method("platform", "paid_in", lambda it: it.paid_in(), lambda: Decimal(10), PlatformError, "FundedAccount"),
    Method(
        "executor",
        "map",
        lambda it: list(it.map("m:f", CHUNKS, shared={})),
        lambda: iter([Result(0, 1.0), Result(1, 2.0)]),
        PluginError,
    ),
    Method("executor", "close", lambda it: it.close(), lambda: None, PluginError, any_answer=True),
]


def bare(method: Method, function: Callable[..., Any]) -> Any:
    """An object with that method, and no more than its guard reads."""
    return SimpleNamespace(name="culprit", model="m", local=False, **{method.name: function})


# what a plugin may do instead


def raises(*_: Any, **__: Any) -> Any:
    raise RuntimeError("boom")


def leaves(*_: Any, **__: Any) -> Any:
    raise SystemExit(3)


def interrupts(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


def hangs(*_: Any, **__: Any) -> Any:
    time.sleep(20)


def recurses(*args: Any, **kwargs: Any) -> Any:
    return recurses(*args, **kwargs)


class Unspeakable(Exception):
    """Its text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text either")


def raises_unspeakably(*_: Any, **__: Any) -> Any:
    raise Unspeakable


def shouts(*_: Any, **__: Any) -> Any:
    raise RuntimeError(f"\x1b[31mred\x1b[0m\n\x07bell \u202egnp.exe\r\n{TEN_MEGABYTES}")


class Garbage:
    """An answer of a type that nobody asked for, hostile where it is looked at."""

    def __iter__(self) -> Iterator[Any]:
        raise SystemExit("looked at")

    def __bool__(self) -> bool:
        raise SystemExit("looked at")

    def __eq__(self, other: object) -> bool:
        raise SystemExit("looked at")

    __hash__ = None  # type: ignore[assignment]


FAULTS: dict[str, Callable[..., Any]] = {
    "raises": raises,
    "raises SystemExit": leaves,
    "raises KeyboardInterrupt": interrupts,
    "raises what has no text": raises_unspeakably,
    "raises ten megabytes": shouts,
    "recurses for ever": recurses,
    "answers garbage": lambda *_, **__: Garbage(),
    "answers a number": lambda *_, **__: 17,
}


def vandal(answer: Callable[[], Any]) -> Callable[..., Any]:
    """Answers soundly after changing everything it was handed."""

    def method(*args: Any, **kwargs: Any) -> Any:
        for given in (*args, *kwargs.values()):
            wreck(given)
        return answer()

    return method


def wreck(given: Any, depth: int = 0) -> None:
    if depth > 6:
        return
    if is_dataclass(given) and not isinstance(given, type):
        for field in fields(given):
            wreck(getattr(given, field.name), depth + 1)
        for field in fields(given):
            object.__setattr__(given, field.name, None)
    elif isinstance(given, dict):
        for value in list(given.values()):
            wreck(value, depth + 1)
        given.clear()
        given["wrecked"] = True
    elif isinstance(given, list):
        for value in given:
            wreck(value, depth + 1)
        given.clear()
    elif isinstance(given, tuple):
        for value in given:
            wreck(value, depth + 1)


def spoiled(answer: Any, spoil: Any) -> Any:
    """``answer`` with its first number (or text, for a text) replaced behind the constructor's back."""
    wanted = str if isinstance(spoil, str) else (float, Decimal)
    made, done = _spoiled(answer, spoil, wanted)
    return made if done else spoil


def _spoiled(value: Any, spoil: Any, wanted: Any) -> tuple[Any, bool]:
    if isinstance(value, wanted):
        return (type(value)(spoil) if isinstance(value, Decimal) else spoil), True
    if isinstance(value, Candles):
        from array import array

        columns = (
            {"close": memoryview(array("d", [float("nan")] * len(value)))} if spoil != spoil else {"source": spoil}
        )
        return _rebuilt(value, columns), True
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            made, done = _spoiled(getattr(value, field.name), spoil, wanted)
            if done:
                return _rebuilt(value, {field.name: made}), True
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            made, done = _spoiled(item, spoil, wanted)
            if done:
                return type(value)((*value[:index], made, *value[index + 1 :])), True
    if isinstance(value, Mapping):
        for key, item in value.items():
            made, done = _spoiled(item, spoil, wanted)
            if done:
                return {**value, key: made}, True
    return value, False


def _rebuilt(value: Any, changes: Mapping[str, Any]) -> Any:
    made = object.__new__(type(value))
    for field in fields(value):
        object.__setattr__(made, field.name, changes.get(field.name, getattr(value, field.name)))
    return made
