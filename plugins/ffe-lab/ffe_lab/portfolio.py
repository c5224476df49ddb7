"""Several assets on shared cash: correlated positions are made smaller, and one stop watches over all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ffe_core import AssetKind, Candles, NoData, UsageError, from_ms
from ffe_core.domain.clock import iso
from ffe_lab import shared_cash as pool
from ffe_lab.backtest import Provider, market_of, money, name_of, record, trade_rows_of, usual_lab
from ffe_lab.costs import Costs
from ffe_lab.gate import Calls
from ffe_lab.lab import ENSEMBLE, Lab
from ffe_lab.machine import COMPILED_PAYS_FROM, compiled
from ffe_lab.market import Market
from ffe_lab.metrics import Metrics, measure
from ffe_lab.returns import MetricsBasis, daily_equity
from ffe_lab.simulate import Setup
from ffe_lab.trades import Floats, Indices, Trades

if TYPE_CHECKING:
    import pandas as pd

JOINS = ("intersection", "union")
#: dates that all assets have in common, at least
FEWEST_DATES = 5
_COLUMNS = ("open", "high", "low", "close")


@dataclass(frozen=True, slots=True)
class Sharing:
    """How assets share an account. Shares are fractions of equity, but ``cash``, which is one of the cash.

    ``threshold``: the correlation of the last ``window`` returns with anything held from which on positions become
    smaller, down to half at a correlation of 1. ``stop``: the drawdown of the account that closes everything and ends
    the run, 0 for none. ``join`` says on which dates: those that all assets have, or all that any of them has.
    """

    share: float = 0.01
    cash: float = 0.9
    threshold: float = 0.7
    window: int = 30
    stop: float = 0.05
    short_limit: float = 2.0
    most_positions: int | None = None
    join: str = "intersection"

    def __post_init__(self) -> None:
        if self.join not in JOINS:
            raise UsageError(f"dates are joined by {' or '.join(JOINS)}, not by {self.join!r}")
        if not (0 < self.share <= 1 and 0 < self.cash <= 1 and 0 <= self.threshold <= 1 and 0 <= self.stop < 1):
            raise UsageError("share, cash, threshold and stop of a portfolio are fractions")
        if self.window < 2 or self.short_limit < 0 or (self.most_positions is not None and self.most_positions < 1):
            raise UsageError("window, short limit and positions of a portfolio are numbers above nothing")


@dataclass(frozen=True, eq=False)
class Portfolio:
    """A run of several assets. ``time`` and ``closes`` are its dates: when its bars open, and when they end."""

    lab: Lab
    markets: tuple[Market, ...]
    provider: str
    params: Mapping[str, Any]
    setup: Setup
    sharing: Sharing
    time: Indices
    closes: Indices
    #: the account at the close of each date, up to the one on which everything was closed
    equity: Floats
    trades: Trades
    #: which asset each trade was of
    of_asset: Indices
    metrics: Metrics
    basis: MetricsBasis
    refused: Mapping[str, int] = field(default_factory=dict)

    @property
    def stopped(self) -> bool:
        """Whether the account fell so far that everything was closed."""
        return bool((self.trades.reason == int(pool.BY_PORTFOLIO_STOP)).any())

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(market.asset.symbol for market in self.markets)

    def attribution(self) -> dict[str, dict[str, float | int | None]]:
        """What each asset brought: ``pnl``, its trades, the share of them that won, and its share of the sum.

        The ``pnl`` of all assets add up to what the account gained; ``contribution`` is ``None`` where that is nothing.
        """
        total = float(self.trades.pnl.sum())
        made: dict[str, dict[str, float | int | None]] = {}
        for place, symbol in enumerate(self.symbols):
            pnl = self.trades.pnl[self.of_asset == place]
            brought, count = float(pnl.sum()), len(pnl)
            made[symbol] = {
                "pnl": brought,
                "trades": count,
                "win_rate": float(np.count_nonzero(pnl > 0) / count) if count else None,
                "contribution": brought / total if total else None,
            }
        return made

    @cached_property
    def assumptions(self) -> tuple[str, ...]:
        return tuple(line for line in _assumptions(self) if line)

    def frame(self) -> pd.DataFrame:
        """Equity of every date, indexed by the UTC time at which its bars open."""
        import pandas as pd

        index = pd.to_datetime(self.time, unit="ms", utc=True)
        return pd.DataFrame({"equity": self.equity}, index=index.rename("time"))

    def _repr_html_(self) -> str:
        import pandas as pd

        return str(pd.DataFrame(self.attribution()).T.to_html())

    def data(self) -> dict[str, Any]:
        """What ``ffe backtest A B --json`` prints."""
        first = self.markets[0]
        return {
            "asset_pairs": list(self.symbols),
            "timeframe": first.timeframe.value,
            "start": iso(from_ms(int(self.time[0]))),
            "end": iso(from_ms(int(self.closes[-1]))),
            "source": ",".join(dict.fromkeys(market.candles.source for market in self.markets)),
            "synthetic": any(market.candles.synthetic for market in self.markets),
            "provider": self.provider,
            "params": dict(self.params),
            "assumptions": list(self.assumptions),
            "fingerprints": {market.asset.symbol: market.candles.fingerprint for market in self.markets},
            "metrics_basis": record(self.basis),
            "metrics": record(self.metrics),
            "attribution": {
                symbol: {**found, "pnl": money(float(found["pnl"] or 0.0))}
                for symbol, found in self.attribution().items()
            },
            "portfolio_stop": self.stopped,
            "trades": [
                {"asset_pair": self.symbols[place], **row}
                for place, row in zip(self.of_asset.tolist(), trade_rows_of(self.trades, self.time), strict=True)
            ],
            "equity": [
                {"time": iso(from_ms(at)), "value": value}
                for at, value in zip(self.closes.tolist(), self.equity.tolist(), strict=True)
            ],
            "refused": dict(self.refused),
        }


def portfolio(
    assets: Mapping[str, pd.DataFrame | Candles] | Sequence[Market],
    provider: Provider = ENSEMBLE,
    *,
    params: Mapping[str, Any] | None = None,
    sharing: Sharing | None = None,
    costs: Costs | None = None,
    stop: float | None = None,
    target: float | None = None,
    initial_balance: float | None = None,
    allow_short: bool | None = None,
    risk_free: float | None = None,
    compiled: bool | None = None,
    lab: Lab | None = None,
) -> Portfolio:
    """What ``provider`` would have made of several assets of one timeframe with one account.

    ``assets``: DataFrames or candles by name, or markets; each may begin with bars for warm-up. Stop and target are
    fractions of the fill, 2 % and 5 % where settings say nothing else. No risk rule is asked: size, correlation and the
    portfolio's own stop are the rules here. Raises ``UsageError``, ``BadData``, and ``NoData`` where the assets have
    fewer than five dates in common.
    """
    bench, sharing = lab or usual_lab(), sharing or Sharing()
    markets = _markets(assets)
    rules = bench.setup(gate=False)
    setup = bench.setup(
        costs=costs, gate=False, stop=float(rules.exits.fallback) if stop is None else stop, target=target,
        initial_balance=initial_balance, allow_short=allow_short,
    )  # fmt: skip
    if setup.is_realistic:
        raise UsageError("several assets are simulated with flat slippage", hint="--execution basic")
    calls = [bench.calls(market, provider, params) for market in markets]
    table = _Table.of(markets, calls, sharing.join)
    fast = table.cells >= COMPILED_PAYS_FROM if compiled is None else compiled
    done = _run(bench, markets, table, setup, sharing, machine=fast)
    rate = bench.own.risk_free_rate if risk_free is None else risk_free
    kind = _kind(markets)
    time, closes = table.time[: len(done.equity)], table.closes[: len(done.equity)]
    metrics = measure(
        closes=closes,
        equity=done.equity,
        trades=done.trades,
        initial_balance=setup.initial_balance,
        kind=kind,
        risk_free=rate,
        exposure=done.exposure,
        benchmark=_benchmark(table, closes, kind),
        begins=int(time[0]),
    )
    return Portfolio(
        bench, markets, name_of(provider), dict(params or {}), setup, sharing, time, closes, done.equity, done.trades,
        done.of_asset, metrics, MetricsBasis.of(kind, rate), done.refused,
    )  # fmt: skip


def _markets(assets: Mapping[str, pd.DataFrame | Candles] | Sequence[Market]) -> tuple[Market, ...]:
    made = (
        tuple(market_of(bars, asset=name) for name, bars in assets.items())
        if isinstance(assets, Mapping)
        else tuple(assets)
    )
    if not made:
        raise UsageError("a portfolio without assets makes nothing")
    names = [market.asset.symbol for market in made]
    if len(set(names)) < len(names):
        raise UsageError(f"{', '.join(names)}: an asset is named twice")
    if len({market.timeframe for market in made}) > 1:
        raise UsageError("the assets of a portfolio have bars of one length")
    return made


def _kind(markets: Sequence[Market]) -> AssetKind:
    """Of the days that returns are measured over: the assets' own, or calendar days where they differ."""
    kinds = {market.asset.kind for market in markets}
    return kinds.pop() if len(kinds) == 1 else AssetKind.UNKNOWN


@dataclass(frozen=True)
class _Table:
    """The columns of all assets on common dates: [asset][date]."""

    time: Indices
    closes: Indices
    prices: Mapping[str, Floats]
    present: NDArray[np.int8]
    action: NDArray[np.int8]
    confidence: NDArray[np.int8]

    @property
    def cells(self) -> int:
        return int(self.present.size)

    @classmethod
    def of(cls, markets: Sequence[Market], calls: Sequence[Calls], join: str) -> _Table:
        spans = [market.time[market.first :] for market in markets]
        shared = reduce(np.intersect1d if join == "intersection" else np.union1d, spans)
        if len(shared) < FEWEST_DATES:
            raise NoData(f"the assets have {len(shared)} dates in common; {FEWEST_DATES} are needed")
        shape = (len(markets), len(shared))
        prices = {name: np.zeros(shape) for name in _COLUMNS}
        present, action, confidence = (np.zeros(shape, np.int8) for _ in range(3))
        closes = np.zeros(len(shared), np.int64)
        for place, (market, span, called) in enumerate(zip(markets, spans, calls, strict=True)):
            to = np.searchsorted(shared, span)
            known = (to < len(shared)) & (shared[np.minimum(to, len(shared) - 1)] == span)
            to = to[known]
            for name in _COLUMNS:
                prices[name][place, to] = getattr(market, name)[market.first :][known]
            closes[to] = np.maximum(closes[to], market.closes[market.first :][known])
            present[place, to] = 1
            action[place, to] = called.action[market.first :][known]
            confidence[place, to] = called.confidence[market.first :][known]
            _carry_forward(prices["close"][place], present[place])
        return cls(shared, closes, prices, present, action, confidence)


def _carry_forward(close: Floats, present: NDArray[np.int8]) -> None:
    last = np.maximum.accumulate(np.where(present > 0, np.arange(len(close)), -1))
    close[:] = np.where(last >= 0, close[last], 0.0)


@dataclass(frozen=True)
class _Done:
    equity: Floats
    trades: Trades
    of_asset: Indices
    exposure: float
    refused: dict[str, int]


def _run(lab: Lab, markets: Sequence[Market], table: _Table, setup: Setup, sharing: Sharing, *, machine: bool) -> _Done:
    kernels: dict[str, Callable[..., Any]] = (
        compiled(pool) if machine else {"run_together": pool.run_together, "mark_together": pool.mark_together}
    )
    form: Callable[[Any], Any] = _arrays if machine else _lists
    columns = [*(table.prices[name] for name in _COLUMNS), table.present, table.action, table.confidence]
    assets, dates = table.present.shape
    most = int(np.count_nonzero(table.action)) + assets
    own_form: Callable[[Floats], Any] = _kept if machine else _lists
    account, equity = own_form(_opened(setup)), own_form(np.zeros(dates))
    book, trades = own_form(np.zeros((pool.BOOK_ROWS, assets))), own_form(np.zeros((pool.TRADE_COLUMNS, most)))
    time, *columns = (form(one) for one in (table.time, *columns))
    rates, own = form(_rates(setup, sharing, assets)), form(_own(lab, markets, table, setup))
    count = kernels["run_together"](time, *columns, rates, own, account, book, equity, trades)
    kernels["mark_together"](count - 1, columns[3], book, trades)
    return _done(np.asarray(equity)[:count], np.asarray(account), np.asarray(trades))


def _done(equity: Floats, account: Floats, table: Floats) -> _Done:
    rows = table[:, : int(account[pool.ROWS])]
    trades = Trades(
        side=rows[pool.LONG_SHORT].astype(np.int8),
        entry=rows[pool.ENTERED].astype(np.int64),
        exit=rows[pool.LEFT].astype(np.int64),
        entry_price=rows[pool.GOT_IN],
        exit_price=rows[pool.GOT_OUT],
        quantity=rows[pool.SIZE],
        fees=rows[pool.COSTS_PAID],
        pnl=rows[pool.RESULT],
        reason=rows[pool.WHY].astype(np.int8),
    )
    counted = {"market_closed": int(account[pool.SHUT]), "too_small": int(account[pool.TOO_LITTLE])}
    refused = {name: count for name, count in counted.items() if count}
    exposure = float(account[pool.DATES_HELD]) / len(equity)
    return _Done(equity, trades, rows[pool.OF_ASSET].astype(np.int64), exposure, refused)


def _rates(setup: Setup, sharing: Sharing, assets: int) -> Floats:
    costs, exits = setup.costs, setup.exits
    made = np.zeros(pool.RATES_SIZE)
    made[pool.FEE_RATE], made[pool.MAKER_RATE], made[pool.COMMISSION_PAID] = (
        costs.fee,
        costs.maker_fee,
        costs.commission,
    )
    made[pool.STOP_SHARE], made[pool.TARGET_SHARE] = float(exits.fallback), float(exits.target)
    made[pool.RISK_SHARE], made[pool.CASH_SHARE] = sharing.share, sharing.cash
    made[pool.CORRELATED_FROM], made[pool.WINDOW] = sharing.threshold, sharing.window
    made[pool.MOST_POSITIONS] = sharing.most_positions or assets
    made[pool.SHORTS], made[pool.SHORT_LIMIT] = float(setup.sizing.allow_short), sharing.short_limit
    made[pool.MOST_DRAWDOWN] = sharing.stop
    return made


def _own(lab: Lab, markets: Sequence[Market], table: _Table, setup: Setup) -> Floats:
    """By asset: slippage, the longest gap between bars, the step of sizes and the smallest order."""
    made = np.zeros((pool.OWN_ROWS, len(markets)))
    for place, market in enumerate(markets):
        instrument = lab.instrument(market.asset, float(market.close[market.first]), setup)
        made[:, place] = (
            setup.costs.base(market.asset),
            market.longest_gap,
            float(instrument.quantity_increment),
            float(instrument.minimum_notional),
        )
    return made


def _benchmark(table: _Table, closes: Indices, kind: AssetKind) -> Floats:
    """Daily returns of putting as much into each asset at its first close, and keeping it."""
    worth = np.zeros(len(closes))
    for close in table.prices["close"]:
        known = close[: len(closes)]
        begins = int(np.argmax(known > 0))
        worth += np.where(known > 0, known / known[begins], 1.0) if known[begins] > 0 else 1.0
    return daily_equity(closes, worth / len(table.prices["close"]), kind, 1.0).returns


def _arrays(column: Any) -> Any:
    view = np.ascontiguousarray(column).view()
    view.flags.writeable = False
    return view


def _opened(setup: Setup) -> Floats:
    made = np.zeros(pool.ACCOUNT_SIZE)
    made[pool.MONEY] = setup.initial_balance
    return made


def _kept(column: Any) -> Any:
    return column


def _lists(column: Any) -> Any:
    return column.tolist()


def _assumptions(made: Portfolio) -> list[str]:
    sharing, costs, exits = made.sharing, made.setup.costs, made.setup.exits
    dates = "that all assets have" if sharing.join == "intersection" else "that any asset has"
    return [
        f"decisions are made at the close of each {made.markets[0].timeframe} bar and know nothing later",
        f"bars are those of the dates {dates}",
        "an order decided at a close fills at the asset's next open; an entry after a gap is cancelled",
        "inside a bar the stop is looked at before the target, on the bar of the entry too",
        "a bar that opens beyond a stop or a target fills at its open",
        f"stop {float(exits.fallback) * 100:g} % and target {float(exits.target) * 100:g} % from the fill; 0 is off",
        f"fee {costs.fee * 100:g} % per fill, commission {costs.commission:g}, slippage {costs.slippage * 100:g} %",
        f"{sharing.share * 100:g} % of equity, times the confidence (a half at least), goes into a position",
        f"less of it, down to a half, where returns of {sharing.window} bars correlate above {sharing.threshold:g}",
        f"at most {sharing.cash * 100:g} % of the cash is put into a position",
        f"shorts are opened, up to {sharing.short_limit:g} times equity in all"
        if made.setup.sizing.allow_short
        else "no shorts: a SELL only leaves a long position",
        f"a drawdown of {sharing.stop * 100:g} % closes everything at the next opens and ends the run"
        if sharing.stop > 0
        else "",
        "no risk rule judges entries",
        "equity is marked at every close; a position at the end is marked and not sold",
        "all assets are quoted in the account's currency",
    ]
