"""The terms of an experiment, the keyword arguments that all take alike: on which bars, and with what account."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from datetime import datetime

    from ffe_core import Asset, Timeframe
    from ffe_lab.costs import Costs


class Span(TypedDict, total=False):
    """Which of the bars are traded. What is not given, or ``None``, is told by the bars themselves.

    ``start``: aware UTC, the first bar that opens at or after it is the first to be traded; earlier ones are warm-up.
    ``end``: aware UTC; bars that open at it or later are left away. ``asset``: what the bars are of, such as
    ``"BTCUSD"``. ``timeframe``: how long they are, such as ``"1h"``.
    """

    start: datetime | None
    end: datetime | None
    asset: Asset | str | None
    timeframe: Timeframe | str | None


class Account(TypedDict, total=False):
    """How a simulated account trades. What is not given, or ``None``, is as settings say.

    ``costs``: fee and slippage as fractions of a fill, commission in account currency, the model of execution.
    ``sizing``: one of ``simulate.SIZINGS``. ``gate``: whether the risk rules judge every entry; by default they do
    unless the sizing means to use the account whole. ``stop``: a fraction of the fill, 0 for none, or ``"atr"``.
    ``target``: a fraction of the fill, 0 for none. ``initial_balance``: account currency. ``allow_short``: whether a
    SELL without a position opens a short one. ``leverage``: times equity, 1 borrows nothing. ``seed``: a whole number,
    of everything that is drawn.
    """

    costs: Costs | None
    sizing: str | None
    gate: bool | None
    stop: float | str | None
    target: float | None
    initial_balance: float | None
    allow_short: bool | None
    leverage: float
    seed: int


class Terms(Span, Account, total=False):
    """Both."""


def require_known(given: Account | Terms, kind: type[Account] = Terms) -> None:
    """Raises ``TypeError`` for a keyword that is none of ``kind``, with the nearest one."""
    known = kind.__annotations__
    for name in given:
        if name not in known:
            from difflib import get_close_matches

            near = get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(known))}"
            raise TypeError(f"an experiment takes no keyword {name!r}{hint}")
