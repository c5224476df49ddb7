"""Walk-forward: parameters are chosen on one part of the past and judged on the next, window after window.

A window never sees a bar after its own end. The headline is the tests, stitched together; what training shows is
labelled IN-SAMPLE.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from ffe_core import Candles, Executor, UsageError, from_ms, to_ms
from ffe_core.domain.clock import iso
from ffe_lab.backtest import Backtest, Provider, name_of, on_terms, record, run, usual_lab
from ffe_lab.heading import IN_SAMPLE, heading
from ffe_lab.lab import ENSEMBLE, Lab
from ffe_lab.makers import Maker, Recorded
from ffe_lab.market import Market
from ffe_lab.metrics import Metrics, measure, sharpe_ratio
from ffe_lab.returns import MetricsBasis
from ffe_lab.simulate import Setup
from ffe_lab.space import Space, combinations, drawn
from ffe_lab.spread import Arrays, Progress, known, spread
from ffe_lab.study import ROW, SHARPE, Runner, Study, parted, trial_of, varied
from ffe_lab.sweep import accepted, ranked, rows_of, span_of
from ffe_lab.terms import Terms
from ffe_lab.trades import Floats, Indices, Trades
from ffe_lab.trials import Tried
from ffe_lab.windows import Lengths, Severity, Window, held, lengths_of, mean, windows

if TYPE_CHECKING:
    import pandas as pd

type Point = Mapping[str, Any]

#: a Sharpe ratio that only ranks runs of one window may rest on fewer days than one that is shown
_FEWEST_DAYS = 2
OUT_OF_SAMPLE = "OUT-OF-SAMPLE"


@dataclass(frozen=True, eq=False)
class Judged:
    """A window: the point that did best in training, and what it made of the test.

    ``train_sharpe`` and ``test_sharpe`` are annualised, of however few days; the metrics show none below thirty.
    """

    window: Window
    best: Point
    train: Metrics
    test: Metrics
    train_sharpe: float | None
    test_sharpe: float | None

    @property
    def sharpe_ratio(self) -> float:
        return held(self.test_sharpe, self.train_sharpe)

    @property
    def win_rate_ratio(self) -> float | None:
        """``None`` where either side has no trade."""
        if self.train.win_rate is None or self.test.win_rate is None:
            return None
        return held(self.test.win_rate, self.train.win_rate)

    def data(self) -> dict[str, Any]:
        spans = {
            "train": (self.window.train_start, self.window.train_end, IN_SAMPLE, self.train, self.train_sharpe),
            "test": (self.window.test_start, self.window.test_end, OUT_OF_SAMPLE, self.test, self.test_sharpe),
        }
        made: dict[str, Any] = {
            name: {
                "start": iso(start), "end": iso(end), "sample": sample, "sharpe": sharpe, "metrics": record(metrics),
            }
            for name, (start, end, sample, metrics, sharpe) in spans.items()
        }  # fmt: skip
        return {
            "params": dict(self.best),
            **made,
            "sharpe_ratio": self.sharpe_ratio,
            "win_rate_ratio": self.win_rate_ratio,
        }


@dataclass(frozen=True, eq=False)
class WalkForward:
    """``metrics`` are those of the tests, stitched: each test up to the next one's beginning, the last one whole.

    The account goes from test to test; a position that is open at the end of one is marked there. ``equity`` float64[n]
    at ``closes``, epoch milliseconds. ``combinations`` were tried in each window, ``tried`` is what the ledger knows.
    ``models`` are ``ai`` and ``hindsight`` of the whole span and the account as it was given, where models were asked.
    """

    market: Market = field(repr=False)
    provider: Provider
    params: Point
    setup: Setup = field(repr=False)
    lengths: Lengths
    windows: tuple[Judged, ...] = field(repr=False)
    metrics: Metrics
    basis: MetricsBasis
    closes: Indices = field(repr=False)
    equity: Floats = field(repr=False)
    combinations: int
    skipped: int
    tried: Tried
    models: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def average_test_sharpe(self) -> float:
        return mean([each.test_sharpe or 0.0 for each in self.windows])

    @property
    def average_test_return(self) -> float:
        return mean([each.test.total_return for each in self.windows])

    @property
    def average_test_win_rate(self) -> float | None:
        known_rates = [each.test.win_rate for each in self.windows if each.test.win_rate is not None]
        return mean(known_rates) if known_rates else None

    @property
    def average_sharpe_ratio(self) -> float:
        return mean([each.sharpe_ratio for each in self.windows])

    @property
    def average_win_rate_ratio(self) -> float:
        """Over the windows that have one; 0 where none has."""
        return mean([each.win_rate_ratio for each in self.windows if each.win_rate_ratio is not None])

    @property
    def severity(self) -> Severity:
        """The worse of what Sharpe ratio and win rate say."""
        found = [Severity.of(self.average_sharpe_ratio), Severity.of(self.average_win_rate_ratio)]
        return max(found, key=list(Severity).index)

    def frame(self) -> pd.DataFrame:
        """A row for each window."""
        import pandas as pd

        return pd.DataFrame(
            [
                {
                    "test_start": each.window.test_start,
                    "test_end": each.window.test_end,
                    **each.best,
                    "train_sharpe": each.train_sharpe,
                    "test_sharpe": each.test_sharpe,
                    "test_return": each.test.total_return,
                    "test_win_rate": each.test.win_rate,
                    "sharpe_ratio": each.sharpe_ratio,
                }
                for each in self.windows
            ]
        )

    def _repr_html_(self) -> str:
        return str(self.frame().to_html())

    def data(self) -> dict[str, Any]:
        """What ``ffe walk-forward --json`` prints; fractions."""
        made = heading(self.market, self.provider, self.params, self.setup, self.basis)
        lengths = self.lengths
        return {
            **made,
            "assumptions": [*made["assumptions"], *_assumptions(lengths)],
            "sample": OUT_OF_SAMPLE,
            "metrics": record(self.metrics),
            "train_days": lengths.train,
            "test_days": lengths.test,
            "step_days": lengths.step,
            "embargo_days": lengths.embargo,
            "purge_days": lengths.purge,
            "combinations": self.combinations,
            "skipped": self.skipped,
            "windows": [each.data() for each in self.windows],
            "average_test_sharpe": self.average_test_sharpe,
            "average_test_return": self.average_test_return,
            "average_test_win_rate": self.average_test_win_rate,
            "average_sharpe_ratio": self.average_sharpe_ratio,
            "average_win_rate_ratio": self.average_win_rate_ratio,
            "overfitting": {
                "severity": self.severity.value,
                "detected": self.severity.is_overfit,
                "recommendation": self.severity.recommendation,
            },
            "equity": [
                {"time": iso(from_ms(at)), "value": value}
                for at, value in zip(self.closes.tolist(), self.equity.tolist(), strict=True)
            ],
            **self.models,
        }


def _assumptions(lengths: Lengths) -> list[str]:
    return [
        f"parameters are chosen by the Sharpe ratio of {lengths.train} days and judged on {lengths.test} days, "
        f"{lengths.embargo} later; the last {lengths.purge} days of the training are left out",
        "the headline is the tests, each up to the next one's beginning; a position that is open there is marked",
        "a window in which training found no profit counts as nothing kept",
    ]


def walk_forward(
    candles: pd.DataFrame | Candles | Market,
    provider: Provider = ENSEMBLE,
    space: Space | None = None,
    *,
    ratio: float = 0.7,
    lengths: Lengths | None = None,
    draws: int | None = None,
    params: Point | None = None,
    executor: Executor | None = None,
    risk_free: float | None = None,
    trials: int | None = None,
    progress: Progress | None = None,
    lab: Lab | None = None,
    **terms: Unpack[Terms],
) -> WalkForward:
    """Chooses from ``space`` on each window's training and judges the choice on its test.

    ``space`` as in ``sweep``; by default half, once and twice each number of the provider, or the strategies that a
    panel can vote by. All its combinations are tried, or ``draws`` of it by lot. ``lengths`` of the windows come from
    ``ratio`` and the span unless given. ``trials`` replaces the ledger's count. Everything else as in ``backtest``.
    Raises ``UsageError``, also for a span that is too short, ``BadData``, ``NoData``.
    """
    bench = lab or usual_lab()
    market, setup = on_terms(bench, candles, terms, compiled=True)
    return walk_over(
        bench, market, provider, setup, space, ratio=ratio, lengths=lengths, draws=draws, params=params,
        executor=executor, risk_free=risk_free, trials=trials, progress=progress,
    )  # fmt: skip


def walk_over(
    lab: Lab,
    market: Market,
    provider: Provider,
    setup: Setup,
    space: Space | None = None,
    *,
    ratio: float = 0.7,
    lengths: Lengths | None = None,
    draws: int | None = None,
    params: Point | None = None,
    executor: Executor | None = None,
    risk_free: float | None = None,
    trials: int | None = None,
    progress: Progress | None = None,
    maker: Maker | None = None,
) -> WalkForward:
    """A walk-forward whose market and account are made already, and who decides where ``maker`` is given."""
    market = market.as_compiled()
    first, last = days_of(market)
    sizes = lengths or lengths_of((last - first).days, ratio)
    spans = windows(first, last, sizes)
    study = Study.of(
        lab, market, provider, setup, params=params, risk_free=risk_free, fewest_days=_FEWEST_DAYS, maker=maker
    )
    points, skipped = _points(study, space, draws, setup.seed)
    rows = _trained(study, market, spans, points, executor, progress)
    tried = _record(lab, market, provider, params or {}, setup, points, rows, trials)
    over = _Over(lab, market, provider, study, params or {})
    judged = []
    for window, row in zip(spans, rows, strict=True):
        judged.append(_judged(over, window, points[int(ranked(row[:, SHARPE], more=True)[0])]))
    basis = MetricsBasis.of(market.asset.kind, study.risk_free)
    closes, equity, metrics = _stitched(over, judged, tried)
    return WalkForward(
        market, provider, params or {}, setup, sizes, tuple(judged), metrics, basis, closes, equity, len(points),
        skipped, tried, _of_models(over),
    )  # fmt: skip


def days_of(market: Market) -> tuple[datetime, datetime]:
    """Midnights of the first day that is traded, and of the last."""
    opened, closed = from_ms(int(market.time[market.first])), from_ms(int(market.closes[-1]) - 1)
    midnight = {"hour": 0, "minute": 0, "second": 0, "microsecond": 0}
    return opened.astimezone(UTC).replace(**midnight), closed.astimezone(UTC).replace(**midnight)  # type: ignore[arg-type]


def _points(study: Study, space: Space | None, draws: int | None, seed: int) -> tuple[tuple[Point, ...], int]:
    chosen = space
    if chosen is None:
        chosen = study.maker.space()
    if not chosen:
        # Nothing can be tuned: the same in every window.
        return ({},), 0
    if draws is None:
        return accepted(study, combinations(chosen))
    rng = np.random.Generator(np.random.Philox(key=seed))
    return accepted(study, drawn(chosen, draws, rng))


def part_of(market: Market, start: datetime, end: datetime) -> Market:
    """Bars that open in ``[start, end)`` and what was known before; nothing after. Raises ``UsageError`` for none."""
    first, stop = (int(np.searchsorted(market.time, to_ms(at))) for at in (start, end))
    if first >= stop:
        raise UsageError(f"there is no bar from {start:%Y-%m-%d} to {end:%Y-%m-%d}", hint="choose another span")
    longer = [None if frame is None else frame.as_of(end) for frame in market.longer_frames]
    return Market(market.candles.slice(0, stop), first, longer[0], longer[1], compiled=True, synthetic=market.synthetic)


def _trained(
    study: Study,
    market: Market,
    spans: Sequence[Window],
    points: Sequence[Point],
    executor: Executor | None,
    progress: Progress | None,
) -> list[Floats]:
    """For each window the rows of all points in its training."""
    if executor is not None:
        chunks = [
            {
                "start": to_ms(each.train_start), "end": to_ms(each.train_end),
                "points": [dict(point) for point in points],
            }
            for each in spans
        ]  # fmt: skip
        return list(spread(executor, "ffe_lab.walkforward:chunk", chunks, study, market, progress))
    made = []
    for done, each in enumerate(spans):
        made.append(rows_of(Runner(study, part_of(market, each.train_start, each.train_end)), points))
        if progress is not None:
            progress(done + 1, len(spans))
    return made


def chunk(arguments: Mapping[str, Any], shared: Arrays) -> Floats:
    """The task of an executor: the training of one window."""
    study, market = known(arguments["key"], shared, lambda *both: both)
    part = part_of(market, from_ms(arguments["start"]), from_ms(arguments["end"]))
    runner = Runner(study, part)
    return np.stack([runner.row(point) for point in arguments["points"]]).reshape(-1, ROW)


def _record(
    lab: Lab,
    market: Market,
    provider: Provider,
    params: Point,
    setup: Setup,
    points: Sequence[Point],
    rows: Sequence[Floats],
    pinned: int | None,
) -> Tried:
    """Every combination is a trial of the whole span, with the mean of its Sharpe ratios in training."""
    sharpes: dict[str, float | None] = {}
    for place, point in enumerate(points):
        own, account = parted(point)
        known_ones = [float(row[place, SHARPE]) for row in rows if not math.isnan(row[place, SHARPE])]
        name = trial_of(name_of(provider), {**params, **own}, varied(setup, account), market.timeframe)
        sharpes[name] = mean(known_ones) if known_ones else None
    return lab.ledger.record(market.asset.symbol, span_of(market), sharpes, pinned=pinned)


@dataclass(frozen=True, slots=True)
class _Over:
    """What is run over part after part of a market."""

    lab: Lab
    market: Market
    provider: Provider
    study: Study
    params: Point

    def run(self, best: Point, start: datetime, end: datetime, balance: float | None = None) -> Backtest:
        """With ``best`` of the parameters, and with another balance where one is given."""
        own, account = parted(best)
        setup = varied(self.study.setup, account)
        setup = setup if balance is None else replace(setup, initial_balance=balance)
        part = part_of(self.market, start, end)
        return run(
            self.lab, part, self.provider, setup, params={**self.params, **own}, risk_free=self.study.risk_free,
            calls=self.study.maker.calls(part, own),
        )  # fmt: skip


def _of_models(over: _Over) -> dict[str, Any]:
    maker, setup = over.study.maker, over.study.setup
    if not isinstance(maker, Recorded):
        return {}
    return run(over.lab, over.market, over.provider, setup, calls=maker.whole).of_models()


def _judged(over: _Over, window: Window, best: Point) -> Judged:
    train = over.run(best, window.train_start, window.train_end)
    test = over.run(best, window.test_start, window.test_end)
    kind = over.market.asset.kind
    sharpes = [sharpe_ratio(each.daily.returns, kind, over.study.risk_free) for each in (train, test)]
    return Judged(window, best, train.metrics, test.metrics, sharpes[0], sharpes[1])


def _stitched(over: _Over, judged: Sequence[Judged], tried: Tried) -> tuple[Indices, Floats, Metrics]:
    """The account as it goes from test to test, each with the parameters that its window chose."""
    parts: list[Backtest] = []
    initial = balance = over.study.setup.initial_balance
    for place, each in enumerate(judged):
        end = each.window.test_end
        if place + 1 < len(judged):
            end = min(end, judged[place + 1].window.test_start)
        parts.append(over.run(each.best, each.window.test_start, end, balance))
        balance = float(parts[-1].equity[-1])
        if balance <= 0:
            break
    closes = np.concatenate([part.closes for part in parts])
    equity = np.concatenate([part.equity for part in parts])
    bars = sum(len(part.equity) * (part.metrics.exposure or 0.0) for part in parts)
    metrics = measure(
        closes=closes,
        equity=equity,
        trades=_joined(parts),
        initial_balance=initial,
        kind=over.market.asset.kind,
        risk_free=over.study.risk_free,
        exposure=bars / len(equity),
        trials=tried,
        begins=int(parts[0].time[0]),
    )
    return closes, equity, metrics


def _joined(parts: Sequence[Backtest]) -> Trades:
    """The trades of all parts in order, their bars counted through."""
    offsets = np.cumsum([0, *(len(part.equity) for part in parts)]).tolist()
    columns = {
        name: np.concatenate([getattr(part.trades, name) for part in parts]) for name in Trades.__dataclass_fields__
    }
    for name in ("entry", "exit"):
        pieces = [getattr(part.trades, name) + offset for part, offset in zip(parts, offsets, strict=False)]
        columns[name] = np.concatenate(pieces)
    return Trades(**columns)


__all__ = ["Judged", "Lengths", "Severity", "WalkForward", "walk_forward"]
