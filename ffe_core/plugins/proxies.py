"""Ports as the engine sees them: every method guarded, every answer checked, every failure of one agreed type.

A proxy has the optional capabilities of the object it stands for, and no others, so that ``isinstance`` asks the same
question of both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Self

from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.decisions import (
    Agenda,
    Ask,
    Ballot,
    Briefing,
    Note,
    Opinion,
    Proposal,
    RiskContext,
    Round,
    Ruling,
    Verdict,
)
from ffe_core.domain.market import Candles, Quote
from ffe_core.errors import (
    BudgetSpent,
    CassetteMiss,
    DataError,
    FfeError,
    NoData,
    PluginError,
    ProviderFailed,
    RateLimited,
    SettingsError,
    SourceFailed,
    UsageError,
)
from ffe_core.plugins.accept import accept, accept_candles
from ffe_core.plugins.guard import BadAnswer, Guard, as_it_is, describe, private
from ffe_core.plugins.guarded import Guarded, failure_of, quote_of
from ffe_core.plugins.platforms import GuardedPlatform, WithBars, WithFlat, WithFunding, WithMarks
from ffe_core.ports import Chunk, Clearance, Holding, Prospect, Readiness, Result, Series, Signals

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CONFIDENCE = range(101)
#: seconds that a provider may be late by: one that keeps to its timeout can still say why it failed
GRACE = 0.2
#: outcomes that a strategy may want: every decision's record holds them
MOST_HISTORY = 100_000

_source_failed = failure_of(SourceFailed)
_provider_failed = failure_of(ProviderFailed)


class GuardedSource(Guarded):
    """Raises ``DataError`` and its kinds, ``RateLimited``, settings errors, else ``SourceFailed``."""

    kind = "source"

    def _ask[T](self, method: str, *args: Any, check: Callable[[Any], T], **kwargs: Any) -> T:
        return self._guard.call(
            self._what(method),
            getattr(self._bare, method),
            *args,
            deadline=self._guard.patience,
            passing=(DataError, RateLimited, SettingsError, CassetteMiss),
            failure=_source_failed,
            check=check,
            **kwargs,
        )

    @property
    def remote(self) -> bool:
        """Whether asking means the network, so that the feed keeps long spans of it on disk."""
        return self._guard.call(
            self._what("remote"),
            getattr,
            self._bare,
            "remote",
            False,
            deadline=self._guard.patience,
            passing=(DataError,),
            failure=_source_failed,
            check=lambda answer: answer is True,
        )

    def serves(self, asset: Asset) -> bool:
        return self._ask("serves", asset, check=lambda answer: accept(bool, answer))

    def candles(
        self, asset: Asset, timeframe: Timeframe, *, start: datetime | None, end: datetime | None, limit: int | None
    ) -> Candles:
        def check(answer: Candles) -> Candles:
            made = accept_candles(answer)
            if (made.asset.symbol, made.timeframe) != (asset.symbol, timeframe):
                raise BadAnswer(f"asked for {asset} {timeframe}, answered {made.asset} {made.timeframe}")
            made = made.between(start, end)
            return made if limit is None else made.tail(limit)

        made = self._ask("candles", asset, timeframe, start=start, end=end, limit=limit, check=check)
        if not len(made):
            raise NoData(f"{self._name} has no {timeframe} bars of {asset} in that span")
        return made


class _WithQuote(GuardedSource):
    def quote(self, asset: Asset) -> Quote:
        return self._ask("quote", asset, check=lambda answer: quote_of(asset, answer))


class _WithNews(GuardedSource):
    def news(self, asset: Asset, since: datetime, until: datetime) -> Sequence[Note]:
        return self._ask("news", asset, since, until, check=lambda answer: accept(tuple[Note, ...], answer))


class _WithMacro(GuardedSource):
    def macro(self, until: datetime) -> Sequence[Note]:
        return self._ask("macro", until, check=lambda answer: accept(tuple[Note, ...], answer))


class _WithHoldings(GuardedSource):
    def holdings(self) -> Sequence[Holding]:
        return self._ask("holdings", check=lambda answer: accept(tuple[Holding, ...], answer))


class GuardedProvider(Guarded):
    """Raises ``ProviderFailed`` for everything but settings, budget and cassette."""

    kind = "provider"

    def __init__(self, bare: Any, guard: Guard, name: str) -> None:
        super().__init__(bare, guard, name)
        self._model = accept(str, bare.model)
        self._local = accept(bool, bare.local)

    @property
    def model(self) -> str:
        return self._model

    @property
    def local(self) -> bool:
        return self._local

    def ask(self, briefing: Briefing, *, timeout: float) -> Opinion:
        opinion = self._guard.call(
            self._what("ask"),
            self._bare.ask,
            briefing,
            timeout=timeout,
            deadline=timeout + GRACE,
            passing=(ProviderFailed, SettingsError, BudgetSpent, CassetteMiss),
            failure=_provider_failed,
            check=self._check,
        )
        if opinion.error is not None:
            raise ProviderFailed(f"plugin {self._guard.plugin}: {self._guard.line(opinion.error)}")
        return opinion

    def _check(self, answer: object) -> Opinion:
        opinion = accept(Opinion, answer)
        # Who answered is the host's knowledge: an opinion cannot pass for another provider's.
        return replace(opinion, provider=self._name, local=self._local)


class _WithVectors(GuardedProvider):
    def with_params(self, **params: float | int | str) -> Self:
        given: dict[str, Any] = params
        made: Self = self._guard.call(
            self._what("with_params"), self._varied, given, passing=(UsageError,), check=as_it_is
        )
        return made

    def _varied(self, params: Mapping[str, float | int | str]) -> Self:
        made = self._bare.with_params(**params)
        if type(made) is not type(self._bare):
            raise BadAnswer(f"answered {type(made).__name__} instead of {type(self._bare).__name__}")
        return type(self)(made, self._guard, self._name)

    def ask_all(self, series: Series) -> Signals:
        return self._guard.call(
            self._what("ask_all"),
            self._bare.ask_all,
            _SeriesView(series),
            deadline=self._guard.patience,
            passing=(ProviderFailed, SettingsError),
            failure=_provider_failed,
            check=lambda answer: _signals_of(len(series.candles), answer),
        )


class _WithReadiness(GuardedProvider):
    def check(self, *, timeout: float) -> Readiness:
        return self._guard.call(
            self._what("check"),
            self._bare.check,
            timeout=timeout,
            deadline=timeout + GRACE,
            passing=(ProviderFailed, SettingsError),
            failure=_provider_failed,
            check=lambda answer: accept(Readiness, answer),
        )


class _WithRation(GuardedProvider):
    def __init__(self, bare: Any, guard: Guard, name: str) -> None:
        super().__init__(bare, guard, name)
        self._per_minute = _ration("per_minute", bare.per_minute)
        self._per_day = _ration("per_day", bare.per_day)

    @property
    def per_minute(self) -> int | None:
        return self._per_minute

    @property
    def per_day(self) -> int | None:
        return self._per_day


def _ration(name: str, answer: object) -> int | None:
    if answer is not None and (type(answer) is not int or answer < 1):
        raise BadAnswer(f"answered {name} {answer!r:.60}, which is no number of questions")
    return answer


class _WithCutoff(GuardedProvider):
    def __init__(self, bare: Any, guard: Guard, name: str) -> None:
        super().__init__(bare, guard, name)
        self._cutoff = _day(bare.cutoff)

    @property
    def cutoff(self) -> date | None:
        return self._cutoff


def _day(answer: object) -> date | None:
    # An instant is a date too, and may be another day elsewhere.
    if answer is not None and type(answer) is not date:
        raise BadAnswer(f"answered the cutoff {answer!r:.60}, which is no date")
    return answer


class _SeriesView:
    """A series as a rule may see it: what it remembers is shared with the other rules, so nothing can be written."""

    __slots__ = ("_indicator", "candles")

    def __init__(self, series: Series) -> None:
        self.candles: Candles = private(series.candles)
        self._indicator = series.indicator

    def indicator(self, name: str, **params: float) -> NDArray[np.float64]:
        return _read_only(self._indicator(name, **params))


def _read_only[Values: NDArray[Any]](values: Values) -> Values:
    view = values.view()
    view.flags.writeable = False
    return view


def _signals_of(bars: int, answer: object) -> Signals:
    import numpy as np

    if not isinstance(answer, Signals):
        raise BadAnswer(f"answered {type(answer).__name__} instead of Signals")
    columns = {"action": (answer.action, -1, 1), "confidence": (answer.confidence, 0, 100)}
    for name, (values, least, most) in columns.items():
        if not isinstance(values, np.ndarray) or values.dtype != np.int8 or values.shape != (bars,):
            raise BadAnswer(f"answered a column {name} that is not {bars} values of int8")
        if bars and not least <= int(values.min()) <= int(values.max()) <= most:
            raise BadAnswer(f"answered a column {name} that leaves {least} to {most}")
    return Signals(answer.action.copy(), answer.confidence.copy())


class GuardedStrategy(Guarded):
    """Raises ``ValueError`` where the ballot cannot be combined, ``PluginError`` for everything else."""

    kind = "strategy"

    def combine(self, ballot: Ballot) -> Verdict:
        return self._guard.call(
            self._what("combine"), self._bare.combine, ballot, passing=(ValueError,), check=_verdict
        )


def _verdict(answer: object) -> Verdict:
    verdict = accept(Verdict, answer)
    if verdict.confidence not in CONFIDENCE or verdict.raw_confidence not in CONFIDENCE:
        raise BadAnswer(f"answered confidence {verdict.confidence} (raw {verdict.raw_confidence}), not within 0-100")
    if verdict.amount is not None and verdict.amount < 0:
        raise BadAnswer(f"answered the amount {verdict.amount}")
    return verdict


class _WithRounds(GuardedStrategy):
    def next_round(self, agenda: Agenda, done: Sequence[Round]) -> Sequence[Ask]:
        return self._guard.call(
            self._what("next_round"), self._bare.next_round, agenda, tuple(done), passing=(ValueError,), check=_asks
        )


def _asks(answer: object) -> tuple[Ask, ...]:
    asks = accept(tuple[Ask, ...], answer)
    if any(not ask.providers for ask in asks):
        raise BadAnswer("answered a question to nobody")
    return asks


class _WithHistory(GuardedStrategy):
    def __init__(self, bare: Any, guard: Guard, name: str) -> None:
        super().__init__(bare, guard, name)
        self._history = accept(int, bare.history)
        if not 1 <= self._history <= MOST_HISTORY:
            raise BadAnswer(f"wants {self._history} outcomes")

    @property
    def history(self) -> int:
        return self._history


class GuardedRule(Guarded):
    """Raises ``PluginError``: the engine records the rule as unavailable."""

    kind = "rule"

    def check(self, proposal: Proposal, context: RiskContext) -> Ruling:
        def accepted(answer: object) -> Ruling:
            ruling = accept(Ruling, answer)
            if ruling.after is not None:
                if ruling.after < 0:
                    raise BadAnswer(f"answered the quantity {ruling.after}")
                if proposal.quantity is not None and ruling.after > proposal.quantity:
                    raise BadAnswer(f"answered {ruling.after}, more than the proposed {proposal.quantity}")
            return replace(ruling, rule=self._name)

        return self._guard.call(self._what("check"), self._bare.check, proposal, context, check=accepted)


class _WithClearance(GuardedRule):
    def clearance(self, prospect: Prospect) -> Clearance:
        # Other rules read the same columns.
        columns = {name: _read_only(getattr(prospect, name)) for name in _PROSPECT_COLUMNS}
        return self._guard.call(
            self._what("clearance"),
            self._bare.clearance,
            replace(prospect, **columns),
            deadline=self._guard.patience,
            check=lambda answer: _clearance_of(len(prospect.side), answer),
        )


_PROSPECT_COLUMNS = "sent side confidence agreement price low high volatility returns since until".split()


def _clearance_of(entries: int, answer: object) -> Clearance:
    import numpy as np

    if not isinstance(answer, Clearance):
        raise BadAnswer(f"answered {type(answer).__name__} instead of Clearance")
    made: dict[str, Any] = {}
    for name, kinds, shapes, most in (
        ("where", "b", ((), (entries,)), 1.0),
        ("kept", "fi", ((), (entries,)), 1.0),
        ("exposure", "fi", ((), (entries,)), np.inf),
        ("drawdown", "fi", ((),), np.inf),
        ("daily_loss", "fi", ((),), np.inf),
    ):
        values = np.array(getattr(answer, name))
        if values.dtype.kind not in kinds or values.shape not in shapes:
            raise BadAnswer(f"answered a {name} that is no such number, nor {entries} of them")
        # Also false for what is no number.
        if not ((values >= 0) & (values <= most)).all():
            raise BadAnswer(f"answered a {name} that is not from 0 to {most:g}")
        made[name] = values if kinds == "b" else values.astype(np.float64)
    return Clearance(**made)


class GuardedExecutor(Guarded):
    """Raises ``PluginError``. Without a deadline: how long the work takes is the work's business."""

    kind = "executor"
    #: whether there may be workers to end
    used = False

    def map(self, task: str, chunks: Sequence[Chunk], *, shared: Mapping[str, NDArray[Any]]) -> Iterator[Result]:
        self.used = True
        given, lent = private(tuple(chunks)), {name: _read_only(values) for name, values in shared.items()}
        results: Iterator[Result] = self._contained("map", lambda: iter(self._bare.map(task, given, shared=lent)))
        try:
            for chunk in chunks:
                result = self._contained("map", lambda: next(results, None))
                if not isinstance(result, Result) or result.index != chunk.index:
                    got = f"result {result.index}" if isinstance(result, Result) else type(result).__name__
                    what = f"{self._what('map')}: {got} where chunk {chunk.index} was due"
                    raise PluginError(self._guard.plugin, what)
                yield result
        finally:
            # Its own work is over too, whether all results were taken or the rest is not wanted.
            self._contained("map", getattr(results, "close", lambda: None))

    def close(self) -> None:
        self.used = False
        self._guard.call(self._what("close"), self._bare.close, check=as_it_is, deadline=self._guard.patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _contained[T](self, method: str, function: Callable[[], T]) -> T:
        # On the caller's own thread, so that an interrupt reaches workers that wait for it.
        try:
            return function()
        except (Exception, SystemExit) as error:
            if isinstance(error, FfeError):
                raise
            text = self._guard.line(describe(error))
            raise PluginError(self._guard.plugin, f"{self._what(method)}: {text}") from error


PROXIES: dict[str, type[Guarded]] = {
    "source": GuardedSource,
    "provider": GuardedProvider,
    "strategy": GuardedStrategy,
    "rule": GuardedRule,
    "platform": GuardedPlatform,
    "executor": GuardedExecutor,
}
_ABILITIES: dict[str, type[Guarded]] = {
    "QuoteSource": _WithQuote,
    "NewsSource": _WithNews,
    "MacroSource": _WithMacro,
    "Catalogued": _WithHoldings,
    "VectorProvider": _WithVectors,
    "VectorRule": _WithClearance,
    "RoundStrategy": _WithRounds,
    "Learner": _WithHistory,
    "CheckedProvider": _WithReadiness,
    "Rationed": _WithRation,
    "Dated": _WithCutoff,
    "MarkToMarket": WithMarks,
    "BarFed": WithBars,
    "FlatAccount": WithFlat,
    "FundedAccount": WithFunding,
}


@cache
def _proxy_type(kind: str, capabilities: frozenset[str]) -> type[Guarded]:
    parts = [_ABILITIES[name] for name in sorted(capabilities)]
    base = PROXIES[kind]
    return type(base.__name__, (*parts, base), {})


def guarded(kind: str, bare: object, guard: Guard, name: str, capabilities: frozenset[str]) -> Guarded:
    """``bare`` as the engine may use it. Runs the plugin's properties: call it under the guard."""
    return _proxy_type(kind, capabilities)(bare, guard, name)
