"""What an account has been through, read from its marks: the peak of 30 days, the start of the day, a drawdown.

A mark is written when the account is valued for a decision or an execution, so the curve has gaps: what happened
between two marks is not known. Cash that came or went is not a gain or a loss: with each movement the earlier marks are
scaled by what it did to equity, as if it had been there or gone from the start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from ffe_core.domain.ledger import LedgerKey
from ffe_core.store.risk import BREACH, MARK, RESTART, EquityMarks, Mark

PEAK_OF = timedelta(days=30)
#: how long a drawdown that passed its limit bars entries
BARRED_FOR = timedelta(hours=24)
#: a mark sooner after another is left out unless it is higher by this share: only rises make a peak
CLOSE_BY = timedelta(minutes=15)
ALIKE = Decimal("0.001")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Past:
    """In account currency, in terms of today's cash. ``mark`` is what is to be written down, if anything."""

    peak: Decimal | None
    day_start: Decimal | None
    barred_until: datetime | None
    mark: Mark | None


def past_of(
    marks: Sequence[Mark],
    now: Mark,
    *,
    day_began: datetime,
    max_drawdown: Decimal | None,
    breach: Mark | None = None,
    restart: Mark | None = None,
) -> Past:
    """``marks``: those of the last 30 days, oldest first; ``now``: the account as it is.

    ``breach`` and ``restart`` are the newest of their kind, however old. Without ``max_drawdown`` no drawdown bars
    anything. A drawdown above it bars entries for 24 hours; then the peak begins anew, at what the account is worth at
    that moment.
    """
    marks = [mark for mark in marks if now.at - PEAK_OF <= mark.at <= now.at]
    day_start = _day_start(marks, now, day_began)
    began = restart.at if restart is not None else None
    if breach is not None and (began is None or breach.at > began):
        until = breach.at + BARRED_FOR
        if now.at >= until:
            return Past(now.equity, day_start, None, replace(now, kind=RESTART))
        return Past(_peak(marks, now, began), day_start, until, _worth_writing(marks, now))
    peak = _peak(marks, now, began)
    if max_drawdown is not None and peak > 0 and 1 - now.equity / peak > max_drawdown:
        return Past(peak, day_start, None, replace(now, kind=BREACH))
    return Past(peak, day_start, None, _worth_writing(marks, now))


def _peak(marks: Sequence[Mark], now: Mark, began: datetime | None) -> Decimal:
    counted = [mark for mark in marks if began is None or mark.at >= began]
    return max(value for _, value in _scaled(counted, now))


def _day_start(marks: Sequence[Mark], now: Mark, day_began: datetime) -> Decimal:
    """Of the newest mark of the 24 hours before the day began, else of the first one since."""
    scaled = _scaled(marks, now)
    # At midnight itself the account as it is says nothing of how the day began, where an earlier mark does.
    before = [value for mark, value in scaled if day_began - _DAY <= mark.at <= day_began and mark is not now]
    return before[-1] if before else next(value for mark, value in scaled if mark.at > day_began or mark is now)


def _scaled(marks: Sequence[Mark], now: Mark) -> list[tuple[Mark, Decimal]]:
    """Marks and ``now`` in terms of today's cash, oldest first; none from before an account was emptied."""
    made = [(now, now.equity)]
    factor, later = Decimal(1), now
    for mark in reversed(marks):
        if mark.paid_in is not None and later.paid_in is not None and mark.paid_in != later.paid_in:
            without = later.equity - (later.paid_in - mark.paid_in)
            if without <= 0 or later.equity <= 0:
                break
            factor *= later.equity / without
        made.append((mark, mark.equity * factor))
        later = mark
    return made[::-1]


def _worth_writing(marks: Sequence[Mark], now: Mark) -> Mark | None:
    if not marks:
        return now
    last = marks[-1]
    risen = now.equity - last.equity > abs(last.equity) * ALIKE
    return now if risen or now.paid_in != last.paid_in or now.at - last.at >= CLOSE_BY else None


def read_past(
    marks: EquityMarks, key: LedgerKey, now: Mark, *, day_began: datetime, max_drawdown: Decimal | None
) -> Past:
    """The past of an account as the store has it. Raises ``StoreError``."""
    return past_of(
        marks.since(key, now.at - PEAK_OF),
        now,
        day_began=day_began,
        max_drawdown=max_drawdown,
        breach=marks.last(key, BREACH),
        restart=marks.last(key, RESTART),
    )


__all__ = ["BREACH", "MARK", "RESTART", "Mark", "Past", "past_of", "read_past"]
