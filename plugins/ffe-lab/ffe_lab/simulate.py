"""One run: a market, what is called at each of its bars, and an account that acts on it."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import numpy as np

from ffe_core import Instrument, RiskRule, UsageError
from ffe_core.risk.sizing import Exits, Kelly, SizingRules, kelly_fraction
from ffe_lab import entries, loop, past
from ffe_lab.costs import Costs, delays, thin_hours
from ffe_lab.court import Court
from ffe_lab.gate import Calls, Gate, Judged
from ffe_lab.machine import compiled, interpreted
from ffe_lab.market import Market
from ffe_lab.spans import ENDLESS
from ffe_lab.spans_of_lists import Signals
from ffe_lab.stops import stop_fractions
from ffe_lab.trades import Floats, Trades

SIZINGS = ("risk", "kelly", "fixed_fraction", "fixed_amount", "all_in")
#: methods that mean to use the account whole: the gate's limits would make something else of them
UNGATED = ("fixed_amount", "all_in")
#: with the gate on an entry is given up where the price has gone this share of the way to its stop: as in execution
DRIFT = 0.25
#: share of the initial margin that has to be maintained
MAINTENANCE = 0.5


@dataclass(frozen=True, slots=True)
class Setup:
    """How an account trades: the sections ``exits``, ``sizing``, ``costs`` and ``risk`` of the settings, in one place.

    ``gate``: whether sizing and risk rules of the core judge every entry; off, the loop sizes by the same formulas in
    floats. ``leverage`` is what the account may borrow against, 1 for nothing.
    """

    sizing: SizingRules
    costs: Costs = field(default_factory=Costs)
    initial_balance: float = 10_000.0
    gate: bool = True
    threshold: Decimal = Decimal("0.7")
    leverage: float = 1.0
    maintenance: float = MAINTENANCE
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sizing.method not in SIZINGS:
            raise UsageError(f"sizing {self.sizing.method!r} is none of {', '.join(SIZINGS)}")
        if not 0 < self.initial_balance < float("inf"):
            raise UsageError(f"an initial balance of {self.initial_balance:g} buys nothing")
        if not 1 <= self.leverage <= 100:
            raise UsageError(f"leverage {self.leverage:g} is not from 1 to 100")

    @property
    def exits(self) -> Exits:
        return self.sizing.exits

    @property
    def is_realistic(self) -> bool:
        return self.costs.model == "realistic"


@dataclass(frozen=True, slots=True)
class Rulebook:
    """What the gate judges by besides the setup."""

    rules: Sequence[RiskRule]
    risk: dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Simulation:
    """What came of a run. ``equity`` is the account at the close of each traded bar, ``exposure`` a share of bars.

    Counted besides: entries that met a closed market, those too small to trade, and whether nothing was left.
    """

    equity: Floats
    trades: Trades
    exposure: float
    closed_market: int
    price_moved: int
    too_small: int
    ruined: bool
    judged: Sequence[Judged] = ()


def simulate(
    market: Market, calls: Calls, setup: Setup, instrument: Instrument, rulebook: Rulebook | None = None
) -> Simulation:
    """Raises ``UsageError`` where the gate is on and there are no rules to ask."""
    run = _Run(market, calls, setup, instrument)
    if setup.gate:
        if rulebook is None:
            raise UsageError("the gate is on, and there are no risk rules", hint="gate=False")
        return run.gated(rulebook)
    return run.through()


@dataclass
class _Run:
    """The columns of a run in the form that its loop takes: arrays for machine code, lists for the interpreter."""

    market: Market
    calls: Calls
    setup: Setup
    instrument: Instrument

    def __post_init__(self) -> None:
        market, setup = self.market, self.setup
        bars, first = len(market.candles), market.first
        self.form: Callable[[Any], Any] = _frozen if market.compiled else _listed
        self.kernels = (compiled if market.compiled else interpreted)(past, entries)
        realistic = setup.is_realistic
        late = delays(bars, market.timeframe.milliseconds, setup.seed) if realistic else np.empty(0, np.int64)
        stop = market.kept("stop", setup.exits, lambda: self.form(stop_fractions(market, setup.exits)))
        own = (
            thin_hours(market.time) if realistic else np.empty(0),
            late,
            config_of(setup, market, self.instrument),
        )
        columns = _arrays(market) if market.compiled else _lists(market, self.is_watched)
        action = _frozen(self.calls.action) if market.compiled else Signals(self.calls.action)
        self.columns = [*columns, action, stop, *map(self.form, own)]
        self.close = self.columns[4]
        count = int(np.count_nonzero(self.calls.action[first:])) + 1
        self.own = _writable if market.compiled else _cells
        self.state, self.equity = self.own(loop.STATE_SIZE), self.own(bars)
        # A tuple: the compiler knows each column by its place, and makes no view of a table for every cell.
        self.trades = tuple(self.own(count) for _ in range(loop.TRADE_ROWS))
        self.state[loop.CASH] = setup.initial_balance

    @property
    def is_watched(self) -> bool:
        """Whether a position may end inside a bar."""
        exits = self.setup.exits
        return exits.stop == "atr" or exits.fallback > 0 or exits.target > 0 or self.setup.leverage > 1

    def through(self) -> Simulation:
        market = self.market
        run = self.kernels["run"]
        run(market.first, len(market.candles), False, *self.columns, self.state, self.equity, self.trades)
        return self._result(())

    def gated(self, rulebook: Rulebook) -> Simulation:
        court = Court(
            bars=self.market,
            calls=self.calls,
            rules=rulebook.rules,
            sizing=self.setup.sizing,
            risk=rulebook.risk,
            instrument=self.instrument,
            threshold=self.setup.threshold,
            currency=self.instrument.quote_currency,
            trades=self.trades,
        )
        gate = Gate(court, self.form, self.own)
        run, end = self.kernels["run_gated"], len(self.market.candles)

        def go(first: int) -> int:
            return int(run(first, end, *self.columns, self.state, self.equity, self.trades, *gate.columns))

        bar = go(self.market.first)
        while bar < end:
            units = gate.units(bar, self.state)
            self.state[loop.PENDING_UNITS] = units
            if units <= 0.0:
                self.state[loop.PENDING] = loop.NOTHING
            bar = go(bar + 1)
        return self._result(gate.judged())

    def _result(self, judged: Sequence[Judged]) -> Simulation:
        market, state = self.market, self.state
        self.kernels["finish"](len(market.candles) - 1, self.close, state, self.trades)
        count = int(state[loop.TRADES])
        rows = [_as_array(row[:count]) for row in self.trades]
        first = market.first
        trades = Trades(
            side=rows[loop.SIDE].astype(np.int8),
            entry=rows[loop.ENTRY].astype(np.int64) - first,
            exit=rows[loop.EXIT_BAR].astype(np.int64) - first,
            entry_price=rows[loop.ENTRY_AT],
            exit_price=rows[loop.EXIT_AT],
            quantity=rows[loop.QUANTITY],
            fees=rows[loop.FEES],
            pnl=rows[loop.PNL],
            reason=rows[loop.REASON].astype(np.int8),
        )
        return Simulation(
            equity=_as_array(self.equity)[first:],
            trades=trades,
            exposure=state[loop.BARS_HELD] / len(market) if len(market) else 0.0,
            closed_market=int(state[loop.CLOSED_MARKET]),
            price_moved=int(state[loop.PRICE_MOVED]),
            too_small=int(state[loop.TOO_SMALL]),
            ruined=bool(state[loop.RUINED]),
            judged=judged,
        )


def config_of(setup: Setup, market: Market, instrument: Instrument) -> Floats:
    """The numbers that the loop runs by, each at its place."""
    sizing, costs = setup.sizing, setup.costs
    made = np.zeros(loop.CONFIG_SIZE)
    made[loop.FEE], made[loop.MAKER] = costs.fee, costs.maker_fee
    made[loop.SLIPPAGE], made[loop.COMMISSION] = costs.base(market.asset), costs.commission
    made[loop.TARGET] = float(sizing.exits.target)
    made[loop.METHOD], made[loop.SHARE] = _METHODS[sizing.method], _share(sizing)
    made[loop.CONCENTRATION] = float(sizing.max_concentration)
    made[loop.LEVERAGE_LIMIT] = float(sizing.max_leverage)
    made[loop.BUYING_POWER] = float(sizing.buying_power)
    made[loop.LEVERAGE], made[loop.MAINTENANCE] = setup.leverage, setup.maintenance
    made[loop.ALLOW_SHORT] = float(sizing.allow_short)
    made[loop.STEP] = float(instrument.quantity_increment)
    made[loop.SMALLEST] = float(instrument.minimum_notional)
    made[loop.PRICE_STEP] = float(instrument.price_increment)
    # Where no two bars lie further apart, no order needs to look at the time.
    made[loop.LONGEST_GAP] = market.longest_gap if market.has_pauses else ENDLESS
    made[loop.IMPACT] = costs.impact
    made[loop.DRIFT] = DRIFT if setup.gate else 0.0
    return made


def _share(sizing: SizingRules) -> float:
    if sizing.method == "kelly":
        return float(kelly_fraction(sizing.kelly))
    return float(sizing.amount if sizing.method == "fixed_amount" else sizing.risk)


_METHODS = {
    "risk": loop.RISK,
    "kelly": loop.KELLY,
    "fixed_fraction": loop.FIXED_FRACTION,
    "fixed_amount": loop.FIXED_AMOUNT,
    "all_in": loop.ALL_IN,
}


def _arrays(market: Market) -> list[Any]:
    columns = (market.time, market.open, market.high, market.low, market.close, market.volume)
    return [_frozen(column) for column in columns]


def _lists(market: Market, watched: bool) -> list[Any]:
    """Lists of what is passed over; what is read at orders alone is quicker left where it is."""
    held = market.candles
    high, low = (market.listed("high"), market.listed("low")) if watched else (held.high, held.low)
    return [held.time, held.open, high, low, market.listed("close"), held.volume]


def _frozen(column: Any) -> Any:
    """A contiguous read-only view: one type for the compiler, so that each kernel is compiled once."""
    view = np.ascontiguousarray(column).view()
    view.flags.writeable = False
    return view


def _listed(column: Any) -> list[Any]:
    made: list[Any] = column.tolist()
    return made


def _as_array(column: Any) -> Floats:
    """Of a list by way of a buffer, which is twice as quick."""
    return np.frombuffer(array("d", column)) if isinstance(column, list) else column


def _writable(count: int) -> Any:
    return np.zeros(count)


def _cells(count: int) -> list[float]:
    return [0.0] * count


def without_exits(exits: Exits, stop: Decimal | str | None, target: Decimal | None) -> Exits:
    """``exits`` with a fixed ``stop`` (0 for none) or ``"atr"``, and another ``target`` (0 for none), where given."""
    if isinstance(stop, str):
        exits = replace(exits, stop=stop)
    elif stop is not None:
        exits = replace(exits, stop="fixed", fallback=stop)
    return exits if target is None else replace(exits, target=target)


__all__ = ["SIZINGS", "UNGATED", "Kelly", "Rulebook", "Setup", "Simulation", "simulate", "without_exits"]
