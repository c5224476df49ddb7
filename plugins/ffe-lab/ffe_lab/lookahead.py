"""Does anything that is called at a close depend on what came after it?

Each sampled close is decided three times: knowing everything, without a single later bar, and with all later bars times
ten. Signals of rules and questions to models must be the same. Fills are not compared and no gate is asked: a limit
order or a rule about other positions may rightly differ, what is known at a close may not. No model is asked anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ffe_core import AIProvider, Candles, CandleSeries, UsageError, VectorProvider, from_ms
from ffe_core.ai.cassette import opinion_question
from ffe_core.domain.clock import iso
from ffe_lab.asof import AsOf, later_times_ten, without_later
from ffe_lab.interview import Interview
from ffe_lab.market import Market

if TYPE_CHECKING:
    from pathlib import Path

    from ffe_lab.lab import Lab

SAMPLES = 20

type Change = Callable[[Candles, datetime], Candles]

#: how the future is taken away
PASSES: Mapping[str, Change] = {"later bars removed": without_later, "later bars times ten": later_times_ten}


@dataclass(frozen=True, slots=True)
class Leak:
    """At the close ``at`` the first field that differed: with the whole series, and without its future."""

    provider: str
    at: datetime
    how: str
    field: str
    known: str
    blind: str

    def __str__(self) -> str:
        return (
            f"{self.provider} at {iso(self.at)}, {self.how}: {self.field} is {self.blind}, and {self.known} where the "
            "future is known"
        )


@dataclass(frozen=True, slots=True)
class Lookahead:
    """``leaks`` is empty where nothing that was sampled knew its future."""

    asset: str
    timeframe: str
    providers: tuple[str, ...]
    instants: tuple[datetime, ...]
    seed: int
    leaks: tuple[Leak, ...]

    def data(self) -> dict[str, Any]:
        return {
            "asset_pair": self.asset,
            "timeframe": self.timeframe,
            "providers": list(self.providers),
            "samples": len(self.instants),
            "seed": self.seed,
            "instants": [iso(each) for each in self.instants],
            "clean": not self.leaks,
            "leaks": [
                {
                    "provider": each.provider,
                    "at": iso(each.at),
                    "pass": each.how,
                    "field": each.field,
                    "known": each.known,
                    "blind": each.blind,
                }
                for each in self.leaks
            ],
        }


def lookahead(
    lab: Lab,
    market: Market,
    panel: Mapping[str, AIProvider],
    *,
    samples: int = SAMPLES,
    seed: int = 0,
    source: str | None = None,
) -> Lookahead:
    """Samples closes of the traded bars. Raises ``UsageError`` for a market without a bar that has a later one."""
    bars = _sampled(market, samples, seed)
    leaks: list[Leak] = []
    for name, provider in panel.items():
        if isinstance(provider, VectorProvider):
            leaks += _in_signals(name, provider, market, bars)
    models = {name: one for name, one in panel.items() if not isinstance(one, VectorProvider)}
    if models:
        leaks += _in_questions(lab, market, models, bars, source)
    instants = tuple(_at(market, bar) for bar in bars)
    return Lookahead(market.asset.symbol, market.timeframe.value, tuple(panel), instants, seed, tuple(leaks))


def _sampled(market: Market, samples: int, seed: int) -> list[int]:
    """Bars that are traded and have one after them, in order."""
    there = len(market) - 1
    if there < 1:
        raise UsageError("a look into the future needs a future; take more bars")
    rng = np.random.Generator(np.random.Philox(key=seed))
    chosen = rng.choice(there, size=min(samples, there), replace=False)
    return sorted(int(bar) + market.first for bar in chosen)


def _at(market: Market, bar: int) -> datetime:
    return from_ms(int(market.closes[bar]))


def _in_signals(name: str, provider: VectorProvider, market: Market, bars: Sequence[int]) -> Iterator[Leak]:
    known = provider.ask_all(market.series)
    for bar in bars:
        at = _at(market, bar)
        for how, change in PASSES.items():
            blind = provider.ask_all(CandleSeries(change(market.candles, at)))
            told = {"action": int(known.action[bar]), "confidence": int(known.confidence[bar])}
            seen = {"action": int(blind.action[bar]), "confidence": int(blind.confidence[bar])}
            yield from _leak(name, at, how, told, seen)


def _in_questions(
    lab: Lab, market: Market, models: Mapping[str, AIProvider], bars: Sequence[int], source: str | None
) -> Iterator[Leak]:
    known = Interview(None, _nowhere(lab), source).known(lab.engine, market)
    for bar in bars:
        at = _at(market, bar)
        told = _questions(lab, market, models, known, at)
        for how, change in PASSES.items():
            blind = known.changed(partial(_changed, change, at))
            seen = _questions(lab, market, models, blind, at)
            for name in models:
                yield from _leak(name, at, how, told[name], seen[name])


def _changed(change: Change, at: datetime, series: Candles) -> Candles:
    return change(series, at)


def _nowhere(lab: Lab) -> Path:
    return lab.settings.paths.cassettes


def _questions(
    lab: Lab, market: Market, models: Mapping[str, AIProvider], known: AsOf, at: datetime
) -> dict[str, dict[str, Any]]:
    """All that would reach each model, and the bars that a rule behind it could read."""
    engine = lab.engine
    briefing = engine.inputs_at(market.asset, at, known.feed()).briefing
    bars = None if briefing.candles is None else briefing.candles.fingerprint
    return {
        name: {**opinion_question(name, one, engine.answers.origin(name), briefing).asked, "bars": bars}
        for name, one in models.items()
    }


def _leak(name: str, at: datetime, how: str, known: Any, blind: Any) -> Iterator[Leak]:
    found = first_difference(known, blind)
    if found is not None:
        yield Leak(name, at, how, *found)


def first_difference(one: Any, other: Any, path: str = "") -> tuple[str, str, str] | None:
    """Where two plain values first differ, in the order of their keys: ``(path, this, that)``, else ``None``."""
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = [(f"{path}.{key}".lstrip("."), one.get(key), other.get(key)) for key in sorted({*one, *other})]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{path}[{place}]", *both) for place, both in enumerate(zip(one, other, strict=True))]
    else:
        return None if one == other else (path, _short(one), _short(other))
    found = (first_difference(this, that, below) for below, this, that in pairs)
    return next((each for each in found if each is not None), None)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
