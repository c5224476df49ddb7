"""Optimising: a search for the parameters that would have done best, which is why its result is IN-SAMPLE.

Grid and random search are built in; ``tpe`` is Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), the
extra ``ffe-lab[optuna]``. Everything that was tried is counted by the trial ledger, and the best is deflated by it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from ffe_core import Candles, Executor, NotConfigured, UsageError
from ffe_lab.backtest import Backtest, Provider, name_of, on_terms, record, run, usual_lab
from ffe_lab.heading import IN_SAMPLE, heading
from ffe_lab.lab import ENSEMBLE, Lab
from ffe_lab.makers import WEIGHT, Maker
from ffe_lab.market import Market
from ffe_lab.returns import MetricsBasis
from ffe_lab.simulate import Setup
from ffe_lab.space import Range, Space, combinations, drawn, plain
from ffe_lab.spread import Progress
from ffe_lab.study import DRAWDOWN, FINAL, ROW, SHARPE, TRADES, Runner, Study, parted, varied
from ffe_lab.sweep import ranked, record_trials, require, rows_of
from ffe_lab.terms import Terms
from ffe_lab.trades import Floats, Indices
from ffe_lab.trials import Tried

if TYPE_CHECKING:
    import pandas as pd

type Point = Mapping[str, Any]

SEARCHES = ("grid", "random", "tpe")
#: what is looked for: the highest Sharpe ratio, or also the shallowest drawdown
OBJECTIVES = ("sharpe", "drawdown")
#: of the account, where nobody said what to try; fractions
ACCOUNT_SPACE = {"stop": Range(0.01, 0.05), "target": Range(0.02, 0.08), "risk": Range(0.005, 0.03)}
#: what a search is told of a trial that failed: worse than any that did not
WORST_SHARPE, WORST_DRAWDOWN = -10.0, 1.0
_FEWEST_DAYS = 2
_BATCH = 64


@dataclass(frozen=True, eq=False)
class Optimisation:
    """All trials in the order in which they were made, and the best of them.

    ``rows`` are those of ``study``; a trial that failed, or has no Sharpe ratio, is NaN there. ``front`` are the places
    of the trials that no other one beats in every objective, the highest Sharpe ratio first.
    """

    lab: Lab = field(repr=False)
    market: Market = field(repr=False)
    provider: Provider
    params: Point
    setup: Setup = field(repr=False)
    maker: Maker = field(repr=False)
    space: Space = field(repr=False)
    search: str
    seed: int
    objectives: tuple[str, ...]
    points: tuple[Point, ...] = field(repr=False)
    rows: Floats = field(repr=False)
    basis: MetricsBasis
    tried: Tried

    def __len__(self) -> int:
        return len(self.points)

    @property
    def failed(self) -> int:
        """Trials that provider or account refused."""
        return int(np.isnan(self.rows[:, FINAL]).sum())

    @property
    def sharpe(self) -> Floats:
        made: Floats = self.rows[:, SHARPE] * math.sqrt(self.basis.periods_per_year)
        return made

    @cached_property
    def front(self) -> Indices:
        """With one objective the best trial alone."""
        order: Indices = ranked(self.rows[:, SHARPE], more=True)
        order = order[~np.isnan(self.rows[order, SHARPE])]
        if not len(order):
            raise UsageError("not one trial has a Sharpe ratio", hint="choose a longer span, or another space")
        if len(self.objectives) == 1:
            best: Indices = order[:1]
            return best
        # From the highest Sharpe ratio down, only what is shallower than all before it is not beaten.
        drawdowns = self.rows[order, DRAWDOWN]
        shallowest = np.minimum.accumulate(np.concatenate(([np.inf], drawdowns[:-1])))
        made: Indices = order[drawdowns < shallowest]
        return made

    @property
    def best(self) -> Point:
        """The point with the highest Sharpe ratio. Raises ``UsageError`` where no trial has one."""
        return self.points[int(self.front[0])]

    @cached_property
    def best_run(self) -> Backtest:
        """The whole backtest of the best point over the span that it was looked for in, deflated by all trials."""
        own, account = parted(self.best)
        return run(
            self.lab, self.market, self.provider, varied(self.setup, account), params={**self.params, **own},
            risk_free=self.basis.risk_free, trials=self.tried, calls=self.maker.calls(self.market, own),
        )  # fmt: skip

    def history(self) -> list[dict[str, Any]]:
        """Every trial: its number, parameters and measures; ``None`` where it failed."""
        return [
            {
                "trial": place,
                "params": dict(point),
                "sharpe": _known(self.sharpe[place]),
                "total_return": _known(self.rows[place, FINAL] / self.setup.initial_balance - 1),
                "max_drawdown": _known(self.rows[place, DRAWDOWN]),
                "total_trades": None if math.isnan(self.rows[place, TRADES]) else int(self.rows[place, TRADES]),
            }
            for place, point in enumerate(self.points)
        ]

    def frame(self) -> pd.DataFrame:
        """A row for each trial."""
        import pandas as pd

        rows = [{"trial": one["trial"], **one.pop("params"), **one} for one in self.history()]
        return pd.DataFrame(rows).set_index("trial")

    def _repr_html_(self) -> str:
        return str(self.frame().to_html())

    def config(self) -> dict[str, Any]:
        """The best point as settings, for ``ffe --config FILE``."""
        own, account = parted({**self.params, **self.best})
        exits: dict[str, Any] = {}
        if "stop" in account:
            exits |= {"stop": "fixed", "fallback": account["stop"]}
        if "target" in account:
            exits["target"] = account["target"]
        made: dict[str, Any] = {"exits": exits} if exits else {}
        if "risk" in account:
            made["sizing"] = {"risk": account["risk"]}
        return made | self.maker.settings(own)

    def config_text(self) -> str:
        """``config`` as YAML; its first lines say what it is worth."""
        import yaml

        market, metrics = self.market, self.best_run.metrics
        dsr = "not shown" if metrics.dsr is None else f"{metrics.dsr:.3f}"
        lines = (
            f"# {name_of(self.provider)} on {market.asset} {market.timeframe}: the best of {len(self)} trials",
            f"# ({self.search}, seed {self.seed}), {IN_SAMPLE}; deflated Sharpe ratio {dsr}. Walk forward first.",
        )
        return "\n".join(lines) + "\n" + yaml.safe_dump(self.config(), sort_keys=True)

    def data(self) -> dict[str, Any]:
        """What ``ffe optimize --json`` prints; fractions."""
        best = self.best_run
        return {
            **heading(self.market, self.provider, {**self.params, **self.best}, best.setup, self.basis),
            "sample": IN_SAMPLE,
            "search": self.search,
            "seed": self.seed,
            "objectives": list(self.objectives),
            "trials": len(self),
            "failed": self.failed,
            "best": {"params": dict(self.best), "sharpe": _known(self.sharpe[self.front[0]])},
            "metrics": record(best.metrics),
            "front": [self.history()[place] for place in self.front.tolist()],
            "config": self.config(),
            "history": self.history(),
            **self.best_run.of_models(),
        }


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def optimize(
    candles: pd.DataFrame | Candles | Market,
    provider: Provider = ENSEMBLE,
    space: Space | None = None,
    *,
    trials: int = 50,
    search: str | None = None,
    multi_objective: bool = False,
    params: Point | None = None,
    executor: Executor | None = None,
    risk_free: float | None = None,
    timeout: float | None = None,
    weights: bool = False,
    progress: Progress | None = None,
    lab: Lab | None = None,
    **terms: Unpack[Terms],
) -> Optimisation:
    """Looks for the parameters with the highest Sharpe ratio among ``trials`` of ``space``.

    ``space`` maps names to choices or to a ``Range``: parameters of the provider, and ``stop``, ``target`` and ``risk``
    of the account; of a panel ``strategy`` and ``weight.NAME``. ``None`` is the provider's usual one and the account's,
    with the ``weights`` of a panel's members where they are wanted. ``search`` is ``grid`` (all combinations,
    whatever ``trials`` says), ``random`` or ``tpe``, by default ``tpe`` where Optuna is installed. With
    ``multi_objective`` the drawdown counts too, and ``front`` is the Pareto front. ``timeout`` seconds end the search
    early. ``executor`` spreads grid and random search; ``tpe`` learns from trial to trial and stays here. Everything
    else as in ``backtest``. Raises ``UsageError``, ``BadData``, ``NoData``, and ``NotConfigured`` without Optuna.
    """
    bench = lab or usual_lab()
    market, setup = on_terms(bench, candles, terms, compiled=True)
    return optimize_over(
        bench, market, provider, setup, space, trials=trials, search=search, multi_objective=multi_objective,
        params=params, executor=executor, seed=terms.get("seed", 0), risk_free=risk_free, timeout=timeout,
        weights=weights, progress=progress,
    )  # fmt: skip


def optimize_over(
    lab: Lab,
    market: Market,
    provider: Provider,
    setup: Setup,
    space: Space | None = None,
    *,
    trials: int = 50,
    search: str | None = None,
    multi_objective: bool = False,
    params: Point | None = None,
    executor: Executor | None = None,
    seed: int = 0,
    risk_free: float | None = None,
    timeout: float | None = None,
    weights: bool = False,
    progress: Progress | None = None,
    maker: Maker | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Optimisation:
    """An optimisation whose market and account are made already."""
    chosen = search or ("tpe" if find_spec("optuna") else "random")
    if chosen not in SEARCHES:
        raise UsageError(f"search {chosen!r} is none of {', '.join(SEARCHES)}")
    if trials < 1:
        raise UsageError(f"{trials} trials find nothing")
    market = market.as_compiled()
    study = Study.of(
        lab, market, provider, setup, params=params, risk_free=risk_free, fewest_days=_FEWEST_DAYS, maker=maker
    )
    held = space_of(study, space, weights=weights)
    objectives = OBJECTIVES if multi_objective else OBJECTIVES[:1]
    runner, until = Runner(study, market), math.inf if timeout is None else clock() + timeout
    basis = MetricsBasis.of(market.asset.kind, study.risk_free)
    in_time = _InTime(clock, until)
    if chosen == "tpe":
        found = list(_tpe(runner, held, trials, seed, objectives, basis.periods_per_year, in_time, progress))
    else:
        rng = np.random.Generator(np.random.Philox(key=seed))
        points = combinations(held) if chosen == "grid" else drawn(held, trials, rng)
        found = list(_listed(runner, points, executor, in_time, progress))
    tried_points, rows = tuple(point for point, _ in found), np.stack([row for _, row in found])
    _require_some(study, tried_points, rows)
    taken = [place for place in range(len(found)) if not math.isnan(rows[place, FINAL])]
    whole = [{**(params or {}), **tried_points[place]} for place in taken]
    tried = record_trials(lab, market, provider, setup, whole, rows[taken])
    return Optimisation(
        lab, market, provider, params or {}, setup, study.maker, held, chosen, seed, objectives, tried_points, rows,
        basis, tried,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _InTime:
    clock: Callable[[], float]
    until: float

    @property
    def always(self) -> bool:
        return self.until == math.inf

    def __call__(self) -> bool:
        return self.always or self.clock() < self.until


def space_of(study: Study, space: Space | None, *, weights: bool) -> Space:
    """What was asked for, with the weights of a panel where those are wanted besides; else the usual."""
    if space is None:
        return default_space(study, weights=weights)
    more = study.maker.space(weights=True) if weights else {}
    return {**{name: values for name, values in more.items() if name.startswith(WEIGHT)}, **space}


def default_space(study: Study, *, weights: bool = False) -> Space:
    """The usual values of who decides, numbers from the least to the most, and what the account's sizing looks at."""
    account = {name: each for name, each in ACCOUNT_SPACE.items() if name != "risk" or _uses_risk(study.setup)}
    return {**{name: _whole(values) for name, values in study.maker.space(weights=weights).items()}, **account}


def _whole(values: Range | Sequence[Any]) -> Range | Sequence[Any]:
    numbers = not isinstance(values, Range) and all(isinstance(each, int | float) for each in values)
    return Range(values[0], values[-1]) if numbers else values  # type: ignore[index]


def _uses_risk(setup: Setup) -> bool:
    return setup.sizing.method in ("risk", "fixed_fraction")


def _listed(
    runner: Runner, points: Sequence[Point], executor: Executor | None, in_time: _InTime, progress: Progress | None
) -> Iterator[tuple[Point, Floats]]:
    """Points that are known beforehand, with their rows; in batches where time may run out."""
    size = len(points) if in_time.always else _BATCH
    for begin in range(0, len(points), size):
        if begin and not in_time():
            return
        batch = points[begin : begin + size]
        fits = [_fits(runner.study, point) for point in batch]
        good = rows_of(runner, [point for point, fit in zip(batch, fits, strict=True) if fit], executor, progress)
        rows = iter(good)
        yield from ((point, next(rows) if fit else _nothing()) for point, fit in zip(batch, fits, strict=True))


def _fits(study: Study, point: Point) -> bool:
    try:
        require(study, point)
    except UsageError:
        return False
    return True


def _nothing() -> Floats:
    return np.full(ROW, np.nan)


def _require_some(study: Study, points: Iterable[Point], rows: Floats) -> None:
    """Raises the first ``UsageError`` where every trial was refused."""
    if np.isnan(rows[:, FINAL]).all():
        for point in points:
            require(study, point)


def _tpe(
    runner: Runner,
    space: Space,
    trials: int,
    seed: int,
    objectives: tuple[str, ...],
    periods: int,
    in_time: _InTime,
    progress: Progress | None,
) -> Iterator[tuple[Point, Floats]]:
    try:
        import optuna
        from optuna.study import StudyDirection
    except ImportError as error:
        raise NotConfigured(
            "the search tpe needs Optuna", hint="pip install 'ffe-lab[optuna]', or --search random"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    directions = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE][: len(objectives)]
    study = optuna.create_study(directions=directions, sampler=optuna.samplers.TPESampler(seed=seed))
    ranges = {name: _distribution(optuna, values) for name, values in space.items()}
    for done in range(trials):
        if done and not in_time():
            return
        trial = study.ask(ranges)
        point = {name: plain(value) if isinstance(value, float) else value for name, value in trial.params.items()}
        row = runner.row(point) if _fits(runner.study, point) else _nothing()
        study.tell(trial, list(_scores(row, periods))[: len(objectives)])
        yield point, row
        if progress is not None:
            progress(done + 1, trials)


def _scores(row: Floats, periods: int) -> tuple[float, float]:
    if math.isnan(row[SHARPE]):
        return WORST_SHARPE, WORST_DRAWDOWN
    return max(float(row[SHARPE]) * math.sqrt(periods), WORST_SHARPE), float(row[DRAWDOWN])


def _distribution(optuna: Any, values: Range | Sequence[Any]) -> Any:
    if not isinstance(values, Range):
        return optuna.distributions.CategoricalDistribution(list(values))
    if values.is_whole:
        return optuna.distributions.IntDistribution(int(values.low), int(values.high), step=int(values.step or 1))
    return optuna.distributions.FloatDistribution(values.low, values.high, step=values.step)


__all__ = ["OBJECTIVES", "SEARCHES", "Optimisation", "Range", "optimize"]
