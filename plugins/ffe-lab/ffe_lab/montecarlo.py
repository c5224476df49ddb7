"""Monte Carlo: what an account might have ended with, had the bars or the trades come a little otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, Unpack

import numpy as np

from ffe_core import Candles, ColumnProvider, Executor, UsageError
from ffe_lab import paths
from ffe_lab.backtest import Backtest, Provider, on_terms, record, run, usual_lab
from ffe_lab.courses import Courses
from ffe_lab.drawdown import drawdown
from ffe_lab.heading import heading
from ffe_lab.lab import ENSEMBLE, Lab
from ffe_lab.machine import compiled
from ffe_lab.makers import models_among
from ffe_lab.market import Market, buffer_of
from ffe_lab.spread import Arrays, Progress, known, spread, threaded
from ffe_lab.study import Runner, Study
from ffe_lab.terms import Terms
from ffe_lab.trades import Floats

if TYPE_CHECKING:
    import pandas as pd

METHODS = ("noise", "bootstrap", "shuffle")
PERCENTILES = (5, 25, 50, 75, 95)
#: bars of a block that are drawn together, on average: a day of hourly ones
BLOCK = 24.0
#: columns of the results
FINAL, DRAWDOWN, TRADES = range(3)
RESULTS = 3
#: paths of a chunk
_CHUNK = 256
#: paths that a rule is asked for at once, and whose noise is of one stream: their columns stay in a processor's cache
_ROWS = 32


@dataclass(frozen=True, slots=True)
class Variation:
    """How paths differ from what happened. ``noise_std`` is a fraction, ``block`` bars, drawn from ``seed``."""

    method: str = "noise"
    noise_std: float = 0.001
    block: float = BLOCK
    seed: int = 0

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"method {self.method!r} is none of {', '.join(METHODS)}")
        if not 0 <= self.noise_std < 1:
            raise UsageError(f"a noise of {self.noise_std:g} is no fraction below 1")
        if not 1 <= self.block < float("inf"):
            raise UsageError(f"a block of {self.block:g} bars is none")
        if not 0 <= self.seed < 2**64:
            raise UsageError(f"seed {self.seed} is not from 0 to 2^64 - 1")


@dataclass(frozen=True, eq=False)
class MonteCarlo:
    """The outcomes of all paths beside the ``base`` run on what really happened.

    ``results`` float64[paths, 3]: final value in account currency, deepest drawdown as a fraction, number of trades.
    """

    base: Backtest = field(repr=False)
    variation: Variation
    results: Floats = field(repr=False)

    def __len__(self) -> int:
        return len(self.results)

    @property
    def final_values(self) -> Floats:
        return self.results[:, FINAL]

    @property
    def drawdowns(self) -> Floats:
        return self.results[:, DRAWDOWN]

    @cached_property
    def percentiles(self) -> dict[str, float]:
        """p5 to p95 of the final values, interpolated linearly."""
        return _percentiles(self.final_values)

    @cached_property
    def drawdown_percentiles(self) -> dict[str, float]:
        return _percentiles(self.drawdowns)

    @property
    def initial_balance(self) -> float:
        return self.base.setup.initial_balance

    @property
    def expected_return(self) -> float:
        """mean - initial balance, account currency."""
        return float(self.final_values.mean()) - self.initial_balance

    @property
    def var_95(self) -> float:
        """initial balance - p5, account currency: what is lost at least in the worst twentieth of paths."""
        return self.initial_balance - self.percentiles["p5"]

    @property
    def loss_probability(self) -> float:
        """The share of paths that end below the initial balance."""
        return float(np.count_nonzero(self.final_values < self.initial_balance) / len(self))

    def frame(self) -> pd.DataFrame:
        """A row for each path."""
        import pandas as pd

        columns = {"final_value": self.final_values, "max_drawdown": self.drawdowns}
        trades = self.results[:, TRADES].astype(np.int64)
        return pd.DataFrame({**columns, "total_trades": trades}).rename_axis("path")

    def _repr_html_(self) -> str:
        return str(self.frame().describe().to_html())

    def data(self) -> dict[str, Any]:
        """What ``ffe monte-carlo --json`` prints: fractions, but for balances and what they differ by."""
        values, initial = self.final_values, self.initial_balance
        base = self.base
        made = heading(base.market, base.provider, base.params, base.setup, base.basis)
        return {
            **made,
            "assumptions": [*made["assumptions"], told(self.variation)],
            "method": self.variation.method,
            "simulations": len(self),
            "noise_std": self.variation.noise_std if self.variation.method == "noise" else None,
            "block": self.variation.block if self.variation.method == "bootstrap" else None,
            "seed": self.variation.seed,
            "metrics": record(base.metrics),
            "initial_balance": initial,
            "base_final_balance": base.metrics.final_value,
            "percentiles": self.percentiles,
            "mean": float(values.mean()),
            "expected_return": self.expected_return,
            "expected_return_fraction": self.expected_return / initial,
            "var_95": self.var_95,
            "var_95_fraction": self.var_95 / initial,
            "worst": float(values.min()),
            "best": float(values.max()),
            "std": float(values.std(ddof=1)) if len(self) > 1 else None,
            "loss_probability": self.loss_probability,
            "drawdown_percentiles": self.drawdown_percentiles,
            **base.of_models(),
        }


def told(variation: Variation) -> str:
    """The assumption that paths rest on."""
    if variation.method == "noise":
        return (
            f"each path moves every traded bar by a factor of its own, 1 + a normal draw x {variation.noise_std:g}; "
            "bars before them stay"
        )
    if variation.method == "bootstrap":
        return (
            f"each path chains the moves of bars drawn in blocks of {variation.block:g} on average "
            "(stationary bootstrap); times stay, bars before the traded ones too"
        )
    return "each path has the trades of the run in another order, each with its share of the account; gains compound"


def monte_carlo(
    candles: pd.DataFrame | Candles | Market,
    provider: Provider = ENSEMBLE,
    *,
    simulations: int = 1000,
    method: str = "noise",
    noise_std: float = 0.001,
    block: float = BLOCK,
    params: Mapping[str, Any] | None = None,
    executor: Executor | None = None,
    risk_free: float | None = None,
    progress: Progress | None = None,
    lab: Lab | None = None,
    **terms: Unpack[Terms],
) -> MonteCarlo:
    """Runs ``provider`` over ``simulations`` other courses of the same market.

    ``method``: ``noise`` moves each bar by a factor of its own, ``bootstrap`` chains moves drawn in blocks, ``shuffle``
    keeps the trades and changes their order (which changes the way and not the end). Path i is drawn from the stream i
    of ``seed``, whoever computes it. Everything else as in ``backtest`` and ``sweep``. Raises ``UsageError``,
    ``BadData``, ``NoData``.
    """
    bench = lab or usual_lab()
    market, setup = on_terms(bench, candles, terms, compiled=True)
    variation = Variation(method, noise_std, block, terms.get("seed", 0))
    require_rules(bench, provider, variation)
    base = run(bench, market.as_compiled(), provider, setup, params=params, risk_free=risk_free)
    return paths_of(base, provider, variation, simulations, executor=executor, progress=progress)


def paths_of(
    base: Backtest,
    provider: Provider,
    variation: Variation,
    simulations: int,
    *,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> MonteCarlo:
    """The Monte Carlo around a run that was made. Raises ``UsageError``, also like ``require_rules``."""
    if simulations < 1:
        raise UsageError(f"{simulations} simulations tell nothing")
    require_rules(base.lab, provider, variation)
    if variation.method == "shuffle":
        return MonteCarlo(base, variation, shuffled(base, variation.seed, simulations))
    study = Study.of(base.lab, base.market, provider, base.setup, params=base.params, risk_free=base.basis.risk_free)
    facts = {"method": variation.method, "noise": variation.noise_std, "block": variation.block, "seed": variation.seed}
    spans = [(begin, min(begin + _CHUNK, simulations)) for begin in range(0, simulations, _CHUNK)]
    chunks = [{"begin": begin, "end": end, **facts} for begin, end in spans]
    if executor is None:
        walker = Walker(study, base.market, variation)
        found: Sequence[Floats] = list(threaded(walker, _results, chunks, progress))
    else:
        found = list(spread(executor, "ffe_lab.montecarlo:chunk", chunks, study, base.market, progress))
    return MonteCarlo(base, variation, np.concatenate(found))


def require_rules(lab: Lab, provider: Provider, variation: Variation) -> None:
    """Raises ``UsageError`` where models would have to be asked about bars that never were."""
    models = models_among(lab, provider)
    if models and variation.method != "shuffle":
        raise UsageError(
            f"{models[0]} would have to be asked about every bar of every path, and no cassette has answers to those",
            hint="--method shuffle changes the order of the trades that were made",
        )


def chunk(arguments: Mapping[str, Any], shared: Arrays) -> Floats:
    """The task of an executor: the results of its paths."""
    variation = Variation(arguments["method"], arguments["noise"], arguments["block"], arguments["seed"])
    key = f"{arguments['key']} {variation}"
    return _results(known(key, shared, lambda study, market: Walker(study, market, variation)), arguments)


def _results(walker: Walker, arguments: Mapping[str, Any]) -> Floats:
    return walker.results(arguments["begin"], arguments["end"])


class Walker:
    """Runs a study over path after path, all of them in the same buffers: memory does not grow with paths."""

    def __init__(self, study: Study, market: Market, variation: Variation) -> None:
        self.study, self.market, self.variation = study, market, variation
        self._draws = Streams(variation.seed)
        #: the path of noise whose draws come next, where the stream stands
        self._ahead = -1
        self._bars = np.stack([market.open, market.high, market.low, market.close, market.volume])
        self._path = self._bars.copy()
        opened, high, low, close, volume = (buffer_of(row) for row in self._path)
        self._candles = replace(
            market.candles, open=opened, high=high, low=low, close=close, volume=volume, remarks=(), coverage=()
        )
        self._kernels = compiled(paths)
        self._runner = Runner(study, Market(self._candles, market.first, compiled=True))
        self._rule = study.alone()

    def twin(self) -> Self:
        return type(self)(self.study, self.market, self.variation)

    def results(self, begin: int, end: int) -> Floats:
        """float64[end - begin, RESULTS]: ``(final value, deepest drawdown, trades)`` of each of these paths."""
        if not isinstance(self._rule, ColumnProvider):
            return np.array([self._result(path) for path in range(begin, end)])
        made = np.empty((end - begin, RESULTS))
        for row in range(begin, end, _ROWS):
            drawn = self.courses(row, min(row + _ROWS, end))
            outcomes = self._runner.outcomes(drawn, self._rule.actions(drawn))
            made[row - begin :][: len(outcomes)] = outcomes[:, :RESULTS]
        return made

    def _result(self, path: int) -> tuple[float, float, int]:
        market = Market(self.candles(path), self.market.first, compiled=True, synthetic=self.market.synthetic)
        done = self.study.simulation(market, {})
        equity = done.equity
        return float(equity[-1]), drawdown(equity, self.study.setup.initial_balance).fraction, len(done.trades)

    def courses(self, begin: int, end: int) -> Courses:
        """These paths, at most ``_ROWS``, in buffers that the next ones overwrite."""
        courses = self._courses
        if self.variation.method == "noise":
            factors = self._normals(begin, end)
            self._kernels["factors_of"](self.variation.noise_std, factors)
            courses.move(factors)
        else:
            for row, path in enumerate(range(begin, end)):
                self.candles(path)
                courses.put(row, self._path)
        return courses

    def _normals(self, begin: int, end: int) -> Floats:
        """The draws of these paths, a row each, in one go where they are of one group."""
        group, skipped = divmod(begin, _ROWS)
        if skipped + end - begin <= _ROWS:
            drawn, self._ahead = self._factors[: skipped + end - begin], -1
            return self._draws.of(group).standard_normal(out=drawn)[skipped:]
        for row, path in enumerate(range(begin, end)):
            self._factors[row] = self._normal(path)
        return self._factors[: end - begin]

    def _normal(self, path: int) -> Floats:
        """The draws of one path; those of a group follow each other in one stream."""
        group, skipped = divmod(path, _ROWS)
        if path != self._ahead or not skipped:
            rng = self._draws.of(group)
            for _ in range(skipped):
                rng.standard_normal(out=self._drawn)
        self._ahead = path + 1
        return self._draws.rng.standard_normal(out=self._drawn)

    @cached_property
    def _courses(self) -> Courses:
        return Courses(self.market, _ROWS)

    @cached_property
    def _factors(self) -> Floats:
        return np.empty((_ROWS, len(self.market)))

    def candles(self, path: int) -> Candles:
        """The bars of path number ``path``, in buffers that the next one overwrites."""
        count, first = len(self.market), self.market.first
        if self.variation.method == "noise":
            normal = self._normal(path)
            self._kernels["move_bars"](first, self.variation.noise_std, normal, self._bars, self._path)
            return self._candles
        rng = self._draws.of(path)
        starts, chance = rng.integers(0, count, count), rng.random(out=self._drawn)
        moves, block = self._moves, self.variation.block
        self._kernels["chain_bars"](first, block, chance, starts, self._bars, moves, self._path)
        return self._candles

    @cached_property
    def _drawn(self) -> Floats:
        return np.empty(len(self.market))

    @cached_property
    def _moves(self) -> Floats:
        """From the close before to each open, and from there to high, low and close; nothing precedes the first."""
        first = self.market.first
        opened, high, low, close = self._bars[:4, first:]
        before = np.concatenate((self._bars[paths.CLOSE, first - 1 : first] if first else opened[:1], close[:-1]))
        return np.stack([opened / before, high / opened, low / opened, close / opened])


class Streams:
    """A generator for each path, or group of paths: one PCG64DXSM sequence, each 2^64 draws behind the one before."""

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64DXSM(seed)
        self._start: Any = self._bits.state
        self.rng = np.random.Generator(self._bits)

    def of(self, path: int) -> np.random.Generator:
        """At the beginning of its stretch; the same object for all paths."""
        self._bits.state = self._start
        self._bits.advance(path << 64)
        return self.rng


def shuffled(base: Backtest, seed: int, simulations: int) -> Floats:
    """The trades of a run in other orders, each gaining the share of the account that it gained there.

    A trade's share is its profit over what the account was worth when it was entered. The drawdown is from trade to
    trade.
    """
    pnl, initial = base.trades.pnl, base.setup.initial_balance
    worth = initial + np.concatenate(([0.0], np.cumsum(pnl)[:-1])) if len(pnl) else np.empty(0)
    growth = np.maximum(1.0 + np.divide(pnl, worth, out=np.full(len(pnl), -1.0), where=worth > 0), 0.0)
    draws, made = Streams(seed), np.empty((simulations, RESULTS))
    for path in range(simulations):
        equity = np.cumprod(draws.of(path).permutation(growth)).astype(np.float64) * initial
        deepest = drawdown(equity, initial).fraction if len(equity) else 0.0
        # The product is the same in any order but for its rounding.
        made[path] = base.metrics.final_value, deepest, len(pnl)
    return made


def _percentiles(values: Floats) -> dict[str, float]:
    found = np.percentile(values, PERCENTILES)
    return {f"p{each}": float(value) for each, value in zip(PERCENTILES, found, strict=True)}


__all__ = ["METHODS", "MonteCarlo", "Variation", "monte_carlo"]
