"""Paging through candles by time, over weeks in which there are none.

An empty page is no end: a market that is closed for longer than a page looks just like one. Both ways therefore step
on by the span that an empty page covered. Instants are epoch milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from ffe_core import AssetKind, Timeframe
from ffe_oanda.parse import Bar, written

#: candles of one answer, at most
PAGE = 5000
#: empty pages one after another, going back, that mean that there is nothing before them
EMPTY_PAGES = 4
#: nothing of the service is older
BEGINNING = 1_009_843_200_000  # 2002-01-01
#: an end this near to now is left out of the question: in the service's future, by its own clock, it would be refused
NOW_MARGIN = 60_000
#: bars that may have opened within that margin
_SLACK = 3

type Ask = Callable[[dict[str, object]], list[Bar]]


def forward(ask: Ask, timeframe: Timeframe, kind: AssetKind, start: int, until: int) -> Iterator[Bar]:
    """Bars that open from about ``start`` on; the caller cuts off what opens before it, or at ``until`` and later."""
    cursor, last = start, -1
    while cursor < until:
        wanted = min(PAGE, (until - cursor) // timeframe.milliseconds + 2)
        # The bar that was the last of a page would be the first of the next.
        bars = ask({"from": _text(cursor), "count": wanted, "includeFirst": cursor != last})
        new = [bar for bar in bars if bar.time > last]
        if not new:
            cursor += wanted * timeframe.milliseconds
            continue
        yield from new
        cursor = last = new[-1].time
        if timeframe.close_of(last, kind) >= until:
            return


def backward(
    ask: Ask, timeframe: Timeframe, start: int | None, end: int | None, now: int, limit: int | None
) -> list[Bar]:
    """The last ``limit`` bars or more that open before ``end``, or all there are, back to ``start``; in their order."""
    pages: list[list[Bar]] = []
    first = BEGINNING if start is None else max(start, BEGINNING)
    before, named = now + 1, False
    if end is not None and end <= now - NOW_MARGIN:
        before, named = end, True
    empty = found = 0
    wanted = PAGE if limit is None else min(PAGE, limit + _SLACK)
    while before > first and empty < EMPTY_PAGES and (limit is None or found < limit):
        bars = ask({"count": wanted, **({"to": _text(before)} if named else {})})
        new = [bar for bar in bars if bar.time < before]
        if new:
            pages.append(new)
            found += sum(1 for bar in new if end is None or bar.time < end)
            before, empty = new[0].time, 0
        else:
            before, empty = before - wanted * timeframe.milliseconds, empty + 1
        named, wanted = True, PAGE
    return [bar for page in reversed(pages) for bar in page]


def _text(milliseconds: int) -> str:
    return written(datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds))
