"""Every combination of some parameters over the same bars, and which of them did best."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from ffe_core import Candles, Executor, UsageError
from ffe_lab.backtest import Backtest, Provider, name_of, on_terms, record, run, usual_lab
from ffe_lab.heading import IN_SAMPLE, heading
from ffe_lab.lab import Lab
from ffe_lab.makers import Maker
from ffe_lab.market import Market
from ffe_lab.metrics import Headline
from ffe_lab.returns import MetricsBasis
from ffe_lab.simulate import Setup
from ffe_lab.space import Space, combinations
from ffe_lab.spread import Arrays, Progress, known, spread, threaded
from ffe_lab.study import DRAWDOWN, FINAL, ROW, SHARPE, TRADES, Runner, Study, parted, trial_of, varied
from ffe_lab.terms import Terms
from ffe_lab.trades import Floats, Indices
from ffe_lab.trials import Span, Tried

if TYPE_CHECKING:
    import pandas as pd

#: what a sweep can be ranked by, and whether more of it is better
RANKS = {"sharpe": True, "total_return": True, "final_value": True, "max_drawdown": False, "total_trades": True}
#: combinations of a chunk
_CHUNK = 64

type Point = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Sweep:
    """The runs of all combinations that the provider accepts, as columns in the order of the combinations.

    ``sharpe`` is annualised and NaN where there is none; ``skipped`` counts combinations that were refused. Whatever is
    best here was looked for here: it is ``IN_SAMPLE``, and ``tried`` is what the trial ledger makes of that.
    """

    lab: Lab = field(repr=False)
    market: Market = field(repr=False)
    provider: Provider
    setup: Setup = field(repr=False)
    maker: Maker = field(repr=False)
    points: tuple[Point, ...] = field(repr=False)
    rows: Floats = field(repr=False)
    skipped: int
    rank: str
    basis: MetricsBasis
    tried: Tried | None = None

    def __len__(self) -> int:
        return len(self.points)

    @property
    def final_value(self) -> Floats:
        return self.rows[:, FINAL]

    @property
    def total_return(self) -> Floats:
        made: Floats = self.final_value / self.setup.initial_balance - 1
        return made

    @property
    def sharpe(self) -> Floats:
        made: Floats = self.rows[:, SHARPE] * math.sqrt(self.basis.periods_per_year)
        return made

    @property
    def max_drawdown(self) -> Floats:
        return self.rows[:, DRAWDOWN]

    @property
    def total_trades(self) -> Indices:
        made: Indices = self.rows[:, TRADES].astype(np.int64)
        return made

    def headline(self, place: int) -> Headline:
        """The numbers of combination ``place``, as ``metrics.headline`` gives them."""
        sharpe = float(self.sharpe[place])
        return Headline(
            float(self.final_value[place]),
            float(self.total_return[place]),
            None if math.isnan(sharpe) else sharpe,
            float(self.max_drawdown[place]),
            int(self.total_trades[place]),
        )

    @property
    def order(self) -> Indices:
        """Places from the best to the worst; what has no number comes last, and the first of equals first."""
        return ranked(getattr(self, self.rank).astype(np.float64), more=RANKS[self.rank])

    @property
    def best(self) -> Point:
        """The parameters that did best."""
        return self.points[int(self.order[0])]

    def best_run(self) -> Backtest:
        """The whole backtest of the best combination, deflated by all that were tried."""
        params, account = parted(self.best)
        return run(
            self.lab, self.market, self.provider, varied(self.setup, account), params=params,
            risk_free=self.basis.risk_free, trials=self.tried, calls=self.maker.calls(self.market, params),
        )  # fmt: skip

    def frame(self) -> pd.DataFrame:
        """A row for each combination, the best first."""
        import pandas as pd

        names = ("final_value", "total_return", "sharpe", "max_drawdown", "total_trades")
        held = {name: [point.get(name) for point in self.points] for name in self.points[0]}
        made = pd.DataFrame({**held, **{name: getattr(self, name) for name in names}})
        return made.iloc[self.order].reset_index(drop=True)

    def _repr_html_(self) -> str:
        return str(self.frame().head(20).to_html())

    def data(self) -> dict[str, Any]:
        """Everything as JSON has it, the best combination first."""
        order = self.order.tolist()
        return {
            **heading(self.market, self.provider, self.best, self.setup, self.basis),
            "sample": IN_SAMPLE,
            "rank": self.rank,
            "skipped": self.skipped,
            "trials": None if self.tried is None else self.tried.count,
            "runs": [{"params": dict(self.points[place]), **record(self.headline(place))} for place in order],
        }


def sweep(
    candles: pd.DataFrame | Candles | Market,
    provider: Provider,
    space: Space,
    *,
    executor: Executor | None = None,
    rank: str = "sharpe",
    risk_free: float | None = None,
    progress: Progress | None = None,
    lab: Lab | None = None,
    **terms: Unpack[Terms],
) -> Sweep:
    """Runs ``provider`` with every combination of ``space``, such as ``{"fast": range(5, 25), "slow": [50, 100]}``.

    Beside the provider's own parameters ``stop``, ``target`` and ``risk`` of the account can be varied, fractions, and
    of a panel its ``strategy`` and the weights ``weight.NAME``. Models are asked once, whatever is tried.
    Combinations that the provider refuses are skipped and counted. All are trials: the ledger counts them.
    ``executor`` spreads the runs over workers, ``None`` over threads of this process; the numbers are the same bits,
    in the same order. Everything else as in ``backtest``. Raises ``UsageError``, also where no combination is left.
    """
    bench = lab or usual_lab()
    market, setup = on_terms(bench, candles, terms, compiled=True)
    return sweep_over(
        bench, market, provider, setup, space, executor=executor, rank=rank, risk_free=risk_free, progress=progress
    )


def sweep_over(
    lab: Lab,
    market: Market,
    provider: Provider,
    setup: Setup,
    space: Space,
    *,
    executor: Executor | None = None,
    rank: str = "sharpe",
    risk_free: float | None = None,
    progress: Progress | None = None,
) -> Sweep:
    """A sweep whose market and account are made already."""
    if rank not in RANKS:
        raise UsageError(f"a sweep is ranked by none of {rank!r}; there are {', '.join(RANKS)}")
    study = Study.of(lab, market, provider, setup, risk_free=risk_free)
    points, skipped = accepted(study, combinations(space))
    rows = rows_of(Runner(study, market), points, executor, progress)
    tried = record_trials(lab, market, provider, setup, points, rows)
    basis = MetricsBasis.of(market.asset.kind, study.risk_free)
    return Sweep(lab, market, provider, setup, study.maker, points, rows, skipped, rank, basis, tried)


def accepted(study: Study, points: Iterable[Point]) -> tuple[tuple[Point, ...], int]:
    """The points that provider and account take, and how many they do not. Raises ``UsageError`` where none is left."""
    taken: list[Point] = []
    refusal: UsageError | None = None
    skipped = 0
    for point in points:
        try:
            require(study, point)
            taken.append(point)
        except UsageError as error:
            refusal = refusal or error
            skipped += 1
    if not taken:
        raise refusal or UsageError("there is no combination to try")
    return tuple(taken), skipped


def require(study: Study, point: Point) -> None:
    """Raises ``UsageError`` for a point that provider or account does not take."""
    params, account = parted(point)
    varied(study.setup, account)
    study.maker.require(params)


def rows_of(
    runner: Runner, points: Sequence[Point], executor: Executor | None = None, progress: Progress | None = None
) -> Floats:
    """float64[points, ROW]: a run of each, measured."""
    chunks = [{"points": [dict(each) for each in points[i : i + _CHUNK]]} for i in range(0, len(points), _CHUNK)]
    if executor is None:
        found = list(threaded(runner, _rows, chunks, progress))
    else:
        found = list(spread(executor, "ffe_lab.sweep:chunk", chunks, runner.study, runner.market, progress))
    return np.concatenate(found) if found else np.empty((0, ROW))


def chunk(arguments: Mapping[str, Any], shared: Arrays) -> Floats:
    """The task of an executor: rows of its points."""
    return _rows(known(arguments["key"], shared, Runner), arguments)


def _rows(runner: Runner, arguments: Mapping[str, Any]) -> Floats:
    return np.stack([runner.row(point) for point in arguments["points"]])


def ranked(values: Floats, *, more: bool) -> Indices:
    """Places from the best to the worst; NaN comes last, and the first of equals first."""
    made: Indices = np.argsort(-values if more else values, kind="stable")
    return made


def record_trials(
    lab: Lab, market: Market, provider: Provider, setup: Setup, points: Sequence[Point], rows: Floats
) -> Tried:
    """What the trial ledger counts once these runs are in it."""
    sharpes = {}
    asked, same = name_of(provider), repr(setup)
    for point, sharpe in zip(points, rows[:, SHARPE].tolist(), strict=True):
        params, account = parted(point)
        name = trial_of(asked, params, varied(setup, account) if account else same, market.timeframe)
        sharpes[name] = None if math.isnan(sharpe) else sharpe
    return lab.ledger.record(market.asset.symbol, span_of(market), sharpes)


def span_of(market: Market) -> Span:
    return Span(int(market.time[market.first]), int(market.closes[-1]))


__all__ = ["IN_SAMPLE", "RANKS", "Sweep", "sweep"]
