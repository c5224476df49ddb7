"""What the rules have in common: typed parameters within bounds, and an opinion made of an answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, field, fields, replace
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from ffe_core import Action, Briefing, CandleSeries, Opinion, ProviderFailed, Signals, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AMOUNT = Decimal("0.1")
NOTHING = Decimal(0)
ACTIONS = {1: Action.BUY, -1: Action.SELL, 0: Action.HOLD}


class Rule(Protocol):
    """A frozen dataclass whose parameters are fields made by ``within``."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> str: ...
    def ask_all(self, series: CandleSeries) -> Signals: ...


def within[N: (int, float)](default: N, least: N, most: N) -> N:
    """A parameter of the type of ``default``, from ``least`` to ``most``."""
    made: N = field(default=default, metadata={"least": least, "most": most})
    return made


def parameters(rule: Rule) -> dict[str, int | float]:
    """The values that can be varied, by name."""
    return {one.name: getattr(rule, one.name) for one in fields(rule) if "least" in one.metadata}


def varied[R: Rule](rule: R, given: dict[str, float | int | str]) -> R:
    """The same rule with other parameters. Raises ``UsageError`` for an unknown one or one out of range."""
    known = _parameters_of(type(rule))
    for name in given:
        if name not in known:
            names = ", ".join(known) or "it has none"
            raise UsageError(f"{rule.name} has no parameter {name}", hint=f"parameters: {names}")
    return replace(rule, **{name: _read(rule, known[name], value) for name, value in given.items()})


@cache
def _parameters_of(kind: type[Rule]) -> dict[str, Field[Any]]:
    return {one.name: one for one in fields(kind) if "least" in one.metadata}


def _read(rule: Rule, parameter: Field[Any], value: float | str) -> int | float:
    whole = type(parameter.default) is int
    least, most = parameter.metadata["least"], parameter.metadata["most"]
    kind = "whole number" if whole else "number"
    try:
        read: int | float = float(value)
        if whole and read == int(read):
            read = int(read)
        fits = least <= read <= most and (not whole or isinstance(read, int))
    except (TypeError, ValueError, OverflowError):
        fits = False
    if not fits or isinstance(value, bool):
        raise UsageError(f"{rule.name}: {parameter.name} {value!r} is no {kind} from {least} to {most}")
    return read


def opinion(rule: Rule, briefing: Briefing, action: Action, confidence: int, reasoning: str) -> Opinion:
    return Opinion(
        provider=rule.name,
        model=rule.model,
        action=action,
        confidence=confidence,
        reasoning=reasoning,
        amount=NOTHING if action is Action.HOLD else AMOUNT,
        horizon=briefing.horizon,
        calibratable=False,
        local=True,
    )


def series_of(briefing: Briefing) -> CandleSeries:
    """The bars that a rule may read. Raises ``ProviderFailed`` where there are none."""
    if briefing.candles is None or not len(briefing.candles):
        raise ProviderFailed(f"no {briefing.timeframe} bars of {briefing.asset}")
    return CandleSeries(briefing.candles)


def newest(rule: Rule, briefing: Briefing, told: Callable[[CandleSeries, Action], str]) -> Opinion:
    """The rule's answer at the last bar of its series, in the words of ``told``."""
    series = series_of(briefing)
    signals = rule.ask_all(series)
    action, confidence = ACTIONS[int(signals.action[-1])], int(signals.confidence[-1])
    if not confidence:
        raise ProviderFailed(f"too few {briefing.timeframe} bars of {briefing.asset} for {rule.name}")
    return opinion(rule, briefing, action, confidence, told(series, action))


def signals_of(action: NDArray[Any], confidence: NDArray[Any] | int, known: NDArray[np.bool_] | None = None) -> Signals:
    """Both columns as int8; where ``known`` is false there is nothing to say yet."""
    import numpy as np

    sure: NDArray[np.int8]
    if isinstance(confidence, int):
        sure = np.full(len(action), confidence, np.int8)
    else:
        sure = confidence.astype(np.int8, copy=False)
    acts: NDArray[np.int8] = action.astype(np.int8, copy=False)
    if known is not None:
        acts, sure = np.where(known, acts, np.int8(0)), np.where(known, sure, np.int8(0))
    return Signals(acts, sure)
