"""A backtest: what a provider would have done with an account, measured, beside what doing nothing clever brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from ffe_core import Asset, Candles, NoData, Timeframe, UsageError, VectorProvider, from_ms
from ffe_core.domain.clock import iso
from ffe_lab.assumptions import assumptions
from ffe_lab.behind import decisions_of, refusals_of
from ffe_lab.bootstrap import Intervals, intervals
from ffe_lab.gate import Calls
from ffe_lab.lab import ENSEMBLE, Lab
from ffe_lab.machine import COMPILED_PAYS_FROM
from ffe_lab.market import Market, candles_of
from ffe_lab.metrics import Metrics, measure
from ffe_lab.returns import Daily, MetricsBasis, daily_equity
from ffe_lab.simulate import Rulebook, Setup, Simulation, simulate
from ffe_lab.terms import Account, Terms, require_known
from ffe_lab.trades import EXIT_REASONS, NO_TRADES, Floats, Indices, Trades
from ffe_lab.trials import Tried, digest_of

if TYPE_CHECKING:
    import pandas as pd

#: points of an account's course that are spelled together
_PIECE = 2048

type Provider = str | VectorProvider | Sequence[str]


@dataclass(frozen=True, eq=False)
class Backtest:
    """A run and what was measured of it. ``intervals`` and ``baselines`` are computed when they are asked for."""

    lab: Lab
    market: Market
    provider: str
    params: Mapping[str, Any]
    setup: Setup
    simulation: Simulation
    metrics: Metrics
    basis: MetricsBasis
    calls: Calls = field(repr=False)

    @property
    def equity(self) -> Floats:
        """The account at the close of each traded bar, float64[n]."""
        return self.simulation.equity

    @property
    def trades(self) -> Trades:
        return self.simulation.trades

    @property
    def time(self) -> Indices:
        """When the traded bars open, epoch milliseconds."""
        return self.market.time[self.market.first :]

    @property
    def closes(self) -> Indices:
        """When they are complete."""
        return self.market.closes[self.market.first :]

    @cached_property
    def daily(self) -> Daily:
        return daily_equity(self.closes, self.equity, self.market.asset.kind, self.setup.initial_balance)

    def intervals(self, *, resamples: int = 2000, seed: int = 0) -> Intervals:
        """Where return, Sharpe ratio and drawdown would lie in 95 % of histories of these days."""
        return intervals(
            self.daily.returns, self.market.asset.kind, self.basis.risk_free, resamples=resamples, seed=seed
        )

    def baselines(self, *, random_runs: int = 1000, seed: int = 0) -> dict[str, Any]:
        """What others would have made of the same bars, at the same costs."""
        from ffe_lab.baselines import baselines

        return baselines(self, random_runs=random_runs, seed=seed)

    def cost_sensitivity(self) -> list[dict[str, Any]]:
        """What twice the cost, the venue's usual fee and the break-even cost make of the run."""
        from ffe_lab.sensitivity import cost_sensitivity

        return cost_sensitivity(self)

    @cached_property
    def assumptions(self) -> tuple[str, ...]:
        return assumptions(self.market, self.setup)

    def frame(self) -> pd.DataFrame:
        """Equity and close of every traded bar, indexed by the UTC time at which it opens."""
        import pandas as pd

        index = pd.to_datetime(self.time, unit="ms", utc=True)
        close = self.market.close[self.market.first :]
        return pd.DataFrame({"equity": self.equity, "close": close}, index=index.rename("time"))

    def _repr_html_(self) -> str:
        import pandas as pd

        shown = {one.name: getattr(self.metrics, one.name) for one in fields(self.metrics)}
        return str(pd.DataFrame({self.provider: shown}).to_html())

    def data(self, *, full: bool = True) -> dict[str, Any]:
        """What ``ffe backtest --json`` prints; with ``full`` intervals, baselines and other costs, which take time."""
        times = isos(self.closes)
        points = [{"time": at, "value": value} for at, value in zip(times, self.equity.tolist(), strict=True)]
        return self.told(points, full=full)

    def told(self, equity: object, *, full: bool = True) -> dict[str, Any]:
        """``data`` with ``equity`` in the place of its points."""
        market, first = self.market, self.market.first
        made: dict[str, Any] = {
            "asset_pair": market.asset.symbol,
            "timeframe": market.timeframe.value,
            "start": iso(from_ms(int(market.time[first]))),
            "end": iso(from_ms(int(market.closes[-1]))),
            "source": market.candles.source,
            "synthetic": market.candles.synthetic,
            "provider": self.provider,
            "params": dict(self.params),
            "assumptions": list(self.assumptions),
            "fingerprint": market.candles.fingerprint,
            "metrics_basis": record(self.basis),
            "metrics": record(self.metrics),
        }
        if full:
            found = self.intervals()
            made["intervals"] = {one.name: pair(getattr(found, one.name)) for one in fields(found)}
            made["baselines"] = self.baselines()
        made["trades"] = self.trade_rows()
        made["equity"] = equity
        made["refused"] = self.refusals()
        if full:
            made["cost_sensitivity"] = self.cost_sensitivity()
        return made | self.of_models()

    def points_text(self) -> list[str]:
        """``data()["equity"]`` as JSON has it, in pieces, for a fifth of what a dictionary for every point costs.

        Every float is finite: ``measure`` has looked. A piece at a time takes the same little memory again and again;
        fresh memory costs as much as what is written into it.
        """
        pieces = ["["]
        for begin in range(0, len(self.equity), _PIECE):
            bars = slice(begin, begin + _PIECE)
            columns = zip(isos(self.closes[bars]), float_texts(self.equity[bars]), strict=True)
            points = ", ".join([f'{{"time": "{at}", "value": {value}}}' for at, value in columns])
            pieces += (", ", points) if begin else (points,)
        return [*pieces, "]"]

    def of_models(self) -> dict[str, Any]:
        """``ai`` and ``hindsight`` where models were asked, else nothing."""
        votes = self.calls.heard
        if votes is None:
            return {}
        from ffe_lab.exposure import Decided, Result, expenses, hindsight

        settings, bars = self.lab.settings, np.arange(len(self.market))
        decided = Decided.of(
            votes, self.market, self.calls, self.setup, settings.decision.horizon, at=self.market.first + bars, bar=bars
        )
        of_asset = np.zeros(len(self.trades), np.int64)
        result = Result(self.closes, self.daily, self.basis, self.trades, of_asset)
        panel = self.lab.panel(self.provider.split(","))
        return {"ai": expenses(votes, len(self.trades)), "hindsight": hindsight([decided], result, panel, settings)}

    def trade_rows(self) -> list[dict[str, Any]]:
        """One object for each trade, money as text and fractions as numbers."""
        return trade_rows_of(self.trades, self.time)

    def decisions(self) -> list[dict[str, Any]]:
        """What stood behind each trade: the call at the close before its entry, and what the risk rules said."""
        bars = (self.trades.entry + (self.market.first - 1)).tolist()
        return decisions_of(self.market, self.calls, self.simulation.judged, bars)

    def refusals(self) -> dict[str, int]:
        """How many entries came to nothing, by why: rules that vetoed, a market that had closed, a size too small."""
        done = self.simulation
        counted = {
            "market_closed": done.closed_market,
            "price_moved": done.price_moved,
            "too_small": done.too_small,
        }
        return refusals_of(done.judged, counted)


def backtest(
    candles: pd.DataFrame | Candles | Market,
    provider: Provider = ENSEMBLE,
    *,
    params: Mapping[str, Any] | None = None,
    risk_free: float | None = None,
    compiled: bool | None = None,
    trials: Tried | None = None,
    lab: Lab | None = None,
    **terms: Unpack[Terms],
) -> Backtest:
    """What ``provider`` would have made of these bars.

    ``candles``: a DataFrame of bars indexed by the time at which they open, or ``Candles``. ``provider``: the name of a
    rule, several names or ``"ensemble"`` for a panel, or an object of your own. ``terms`` say which bars are traded,
    those before ``start`` being read for warm-up alone, and by what account; see ``terms.Terms``. What is not given
    comes from the settings of ``lab``, by default the user's own.
    ``compiled`` runs machine code (by default from 400,000 bars on, or where it is loaded already): same numbers.
    Raises ``UsageError``, ``BadData``, ``NoData``, and ``TypeError`` for a keyword that there is not.
    """
    bench = lab or usual_lab()
    market, setup = on_terms(bench, candles, terms, compiled=compiled)
    return run(bench, market, provider, setup, params=params, risk_free=risk_free, trials=trials)


def setup_of(lab: Lab, account: Account) -> Setup:
    """Raises like ``Lab.setup``."""
    return lab.setup(
        costs=account.get("costs"), sizing=account.get("sizing"), gate=account.get("gate"), stop=account.get("stop"),
        target=account.get("target"), initial_balance=account.get("initial_balance"),
        allow_short=account.get("allow_short"), leverage=account.get("leverage", 1.0), seed=account.get("seed", 0),
    )  # fmt: skip


def on_terms(
    lab: Lab, candles: pd.DataFrame | Candles | Market, terms: Terms, *, compiled: bool | None
) -> tuple[Market, Setup]:
    """The market and the account of an experiment.

    Raises ``TypeError`` for a keyword that is none of ``Terms``, and what ``market_of`` and ``Lab.setup`` do.
    """
    require_known(terms)
    setup = setup_of(lab, terms)
    market = market_of(
        candles, start=terms.get("start"), end=terms.get("end"), asset=terms.get("asset"),
        timeframe=terms.get("timeframe"), compiled=compiled,
    )  # fmt: skip
    return market, setup


def run(
    lab: Lab,
    market: Market,
    provider: Provider,
    setup: Setup,
    *,
    params: Mapping[str, Any] | None = None,
    risk_free: float | None = None,
    trials: Tried | None = None,
    calls: Calls | None = None,
    rulebook: Rulebook | None = None,
) -> Backtest:
    """A backtest whose market and account are made already; ``calls`` where the answers are, too.

    ``rulebook`` holds other risk rules than the user's.
    """
    called = calls or lab.calls(market, provider, params)
    instrument = lab.instrument(market.asset, float(market.close[market.first]), setup)
    done = simulate(market, called, setup, instrument, (rulebook or lab.rulebook) if setup.gate else None)
    rate = lab.own.risk_free_rate if risk_free is None else risk_free
    measured = _measured(market, setup, rate, done.equity, done.trades, done.exposure, trials)
    basis = MetricsBasis.of(market.asset.kind, rate)
    return Backtest(lab, market, name_of(provider), dict(params or {}), setup, done, measured, basis, called)


def _measured(
    market: Market,
    setup: Setup,
    rate: float,
    equity: Floats,
    trades: Trades,
    exposure: float | None,
    trials: Tried | None = None,
) -> Metrics:
    kind, first = market.asset.kind, market.first
    column, lag = market.stamps
    closes = column[first:]
    return measure(
        closes=closes,
        lag=lag,
        equity=equity,
        trades=trades,
        initial_balance=setup.initial_balance,
        kind=kind,
        risk_free=rate,
        exposure=exposure,
        benchmark=daily_equity(closes, market.close[first:], kind, float(market.open[first]), lag=lag).returns,
        trials=trials,
        begins=int(market.time[first]),
    )


def measured_again(made: Backtest, trials: Tried) -> Backtest:
    """The run with what the ledger of trials knows of it."""
    done = made.simulation
    metrics = _measured(made.market, made.setup, made.basis.risk_free, done.equity, done.trades, done.exposure, trials)
    return replace(made, metrics=metrics)


def measured_of(made: Backtest, equity: Floats) -> Metrics:
    """Another course of the account over the same bars, without trades of its own."""
    return _measured(made.market, made.setup, made.basis.risk_free, equity, NO_TRADES, None)


def market_of(
    candles: pd.DataFrame | Candles | Market,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    asset: Asset | str | None = None,
    timeframe: Timeframe | str | None = None,
    compiled: bool | None = None,
) -> Market:
    """Bars as a market, traded from ``start`` on. Raises ``NoData`` where nothing is left of them."""
    if isinstance(candles, Market):
        return candles
    held = candles_of(candles, asset=asset, timeframe=timeframe).between(None, end)
    first = 0
    if start is not None:
        from bisect import bisect_left

        from ffe_core import to_ms

        first = bisect_left(held.time, to_ms(start))
    if first >= len(held):
        raise NoData(f"no bar of {held.asset} in that span")
    fast = _is_compiled(len(held)) if compiled is None else compiled
    return Market(held, first, compiled=fast, synthetic=held.synthetic)


def _is_compiled(bars: int) -> bool:
    """Where the machine code is loaded, or loading it pays, or the process will run more than one experiment."""
    import sys

    return bars >= COMPILED_PAYS_FROM or "numba" in sys.modules


@lru_cache(maxsize=1)
def usual_lab() -> Lab:
    """The bench of the user's own settings, made once for a process."""
    return Lab.from_settings()


def trade_rows_of(trades: Trades, opens: Indices) -> list[dict[str, Any]]:
    """Trades as JSON has them; ``opens`` are those of the traded bars."""
    columns = zip(
        trades.side.tolist(), isos(opens[trades.entry]), isos(opens[trades.exit]),
        trades.entry_price.tolist(), trades.exit_price.tolist(), trades.quantity.tolist(), trades.fees.tolist(),
        trades.pnl.tolist(), trades.pnl_fraction.tolist(), trades.reason.tolist(), strict=True,
    )  # fmt: skip
    return [
        {
            "side": "long" if side > 0 else "short",
            "entry_time": entered,
            "exit_time": left,
            "entry_price": money(entry),
            "exit_price": money(exit_),
            "quantity": money(quantity),
            "fees": money(fees),
            "pnl": money(pnl),
            "pnl_fraction": share,
            "exit_reason": EXIT_REASONS[reason],
        }
        for side, entered, left, entry, exit_, quantity, fees, pnl, share, reason in columns
    ]


def name_of(provider: Provider) -> str:
    if isinstance(provider, str):
        return provider
    return provider.name if isinstance(provider, VectorProvider) else ",".join(provider)


def configuration(made: Backtest) -> str:
    """What the trial ledger knows a run by: everything that could have changed its result but the data."""
    held = {"provider": made.provider, "params": dict(made.params), "setup": repr(made.setup)}
    return digest_of({**held, "timeframe": made.market.timeframe.value})


def isos(times: Indices) -> list[str]:
    """``iso`` of whole seconds in epoch milliseconds, all at once; of other instants one by one."""
    if not len(times) or (times % 1000).any():
        return [iso(from_ms(at)) for at in times.tolist()]
    days = times // 86_400_000
    first, last = int(days.min()), int(days.max())
    clocks, clock_of = np.unique(times - days * 86_400_000, return_inverse=True)
    # Bars begin at few times of few days: each is spelled once, and put together.
    texts = np.empty(len(times), [("day", "U10"), ("clock", "U10")])
    texts["day"] = np.arange(first, last + 1).astype("M8[D]").astype("U10")[days - first]
    texts["clock"] = np.array([iso(from_ms(clock))[10:] for clock in clocks.tolist()])[clock_of]
    whole: list[str] = texts.view("U20").tolist()
    return whole


def float_texts(values: Floats) -> list[str]:
    """``repr`` of each; of the same number in a row, as of an account without a position, only once."""
    bits = values.view(np.int64)
    new = np.flatnonzero(np.diff(bits, prepend=~bits[:1]))
    texts = np.array([repr(value) for value in values[new].tolist()], object)
    repeated: list[str] = texts.repeat(np.diff(new, append=len(values))).tolist()
    return repeated


def money(value: float) -> str:
    """An amount as text, to eight decimals, without trailing zeros."""
    text = f"{value:.8f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def record(value: Any) -> dict[str, Any]:
    """A dataclass of numbers as JSON has it; amounts of the account stay numbers."""
    return {one.name: _number(getattr(value, one.name)) for one in fields(value)}


def _number(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def pair(found: Any) -> list[float] | None:
    return None if found is None else [found.low, found.high]


__all__ = ["Backtest", "Provider", "UsageError", "backtest", "market_of", "run", "usual_lab"]
