"""What an account has been through, bar by bar: the marks, the peak of 30 days and the drawdowns that bar entries.

The same account of things as ``ffe_core.risk.equity`` gives, which reads it from the store; a test holds them equal.
The function is scalar, for lists and for numba.
"""

from __future__ import annotations

from ffe_lab.loop import Floats, Numbers, Row
from ffe_lab.spans import place_after, take_marks

_DAY = 86_400_000
PEAK_OF = 30 * _DAY
BARRED_FOR = _DAY
CLOSE_BY = 900_000
ALIKE = 0.001

#: places of ``past``: how many bars and marks there are, the queue of peaks, what bars entries, which entry is the next
#: and how many were noted, and whether bars close so far apart that each of them is marked
SEEN, MARKS, HEAD, TAIL, BREACHED_AT, RESTARTED_AT, PEAK, BARRED_UNTIL, ORDER, NOTED, SPARSE, PAST_SIZE = range(12)


def remember(
    upto: int, closes: Numbers, equity: Floats, most: float, past: Row, marked: Row, worth: Row, queue: Row
) -> None:
    """Takes in the bars up to and including ``upto``. ``most`` is the largest drawdown allowed, 0 for any.

    ``marked`` and ``worth`` are times (epoch milliseconds) and equity of the marks that a live run would have written;
    ``queue`` holds the places of marks of which none later is higher, the highest first. All are as long as ``equity``.
    ``past[PEAK]`` and ``past[BARRED_UNTIL]`` (0 for none) are what a rule reads at that bar; ``past[SPARSE]`` is set
    beforehand, 1 for closes that are all at least ``CLOSE_BY`` apart.
    """
    begin, end = int(past[SEEN]), upto + 1
    if begin >= end:
        return
    if not (past[SPARSE] > 0.0 and past[BREACHED_AT] <= past[RESTARTED_AT]):
        _bar_by_bar(begin, end, closes, equity, most, past, marked, worth, queue)
        return
    # Where every bar is marked and none can breach, what is left to do is to sort out which marks may be peaks.
    head, tail, count = int(past[HEAD]), int(past[TAIL]), int(past[MARKS])
    top, bottom = take_marks(begin, end, closes, equity, count, marked, worth)
    peak = worth[int(queue[head])] if head < tail and worth[int(queue[head])] > top else top
    if not _is_safe(bottom, peak, most):
        _bar_by_bar(begin, end, closes, equity, most, past, marked, worth, queue)
        return
    tail = _queued(count, count + end - begin, top, head, tail, worth, queue)
    while marked[int(queue[head])] < closes[upto] - PEAK_OF:
        head += 1
    past[HEAD], past[TAIL], past[MARKS] = head, tail, count + end - begin
    past[PEAK], past[BARRED_UNTIL] = worth[int(queue[head])], 0.0
    past[SEEN] = end


def _bar_by_bar(
    begin: int, end: int, closes: Numbers, equity: Floats, most: float, past: Row, marked: Row, worth: Row, queue: Row
) -> None:
    head, tail, count = int(past[HEAD]), int(past[TAIL]), int(past[MARKS])
    breached, restarted = past[BREACHED_AT], past[RESTARTED_AT]
    for i in range(begin, end):
        now, value = closes[i], equity[i]
        while head < tail and marked[int(queue[head])] < now - PEAK_OF:
            head += 1
        peak, barred, due = value, 0.0, False
        if breached > restarted and now >= breached + BARRED_FOR:
            restarted, head, due = now, tail, True
        else:
            if head < tail and worth[int(queue[head])] > value:
                peak = worth[int(queue[head])]
            if breached > restarted:
                barred = breached + BARRED_FOR
            elif most > 0.0 and peak > 0.0 and 1.0 - value / peak > most:
                breached, due = now, True
        past[PEAK], past[BARRED_UNTIL] = peak, barred
        if due or _is_told(now, value, count, marked, worth):
            marked[count], worth[count] = now, value
            tail = _queued(count, count + 1, value, head, tail, worth, queue)
            count += 1
    past[HEAD], past[TAIL], past[MARKS] = head, tail, count
    past[BREACHED_AT], past[RESTARTED_AT] = breached, restarted
    past[SEEN] = end


def _is_safe(value: float, peak: float, most: float) -> bool:
    """Whether no account that is worth at least ``value`` has lost more than a share ``most`` of at most ``peak``."""
    return most <= 0.0 or (value > 0.0 and 1.0 - value / peak <= most)


def _queued(begin: int, end: int, top: float, head: int, tail: int, worth: Row, queue: Row) -> int:
    """Queues the new marks of which none later is as high, in place of those that are no higher; the queue's end.

    ``top`` is the highest of the new ones.
    """
    while tail > head and worth[int(queue[tail - 1])] <= top:
        tail -= 1
    # From the newest back to the highest, which leaves them the wrong way round.
    first, best = tail, worth[end - 1]
    queue[tail] = end - 1
    tail += 1
    place = end - 2
    while best < top and place >= begin:
        if worth[place] > best:
            best = worth[place]
            queue[tail] = place
            tail += 1
        place -= 1
    last = tail - 1
    while first < last:
        queue[first], queue[last] = queue[last], queue[first]
        first, last = first + 1, last - 1
    return tail


def _is_told(now: float, value: float, count: int, marked: Row, worth: Row) -> bool:
    """A mark sooner after another is left out unless it is higher: only rises make a peak."""
    if count == 0 or now - marked[count - 1] >= CLOSE_BY:
        return True
    return value - worth[count - 1] > abs(worth[count - 1]) * ALIKE


def day_start(bar: int, began: float, now: float, closes: Numbers, past: Row, marked: Row, worth: Row) -> float:
    """Equity of the newest mark of the 24 hours before the day began, else of the first one since, else ``now``.

    ``began``: the day of ``bar``, whose mark says nothing of how it began; ``remember`` has taken that bar in.
    """
    low = place_after(0, int(past[MARKS]), began, marked)
    if low > 0 and marked[low - 1] >= began - _DAY and marked[low - 1] != closes[bar]:
        return worth[low - 1]
    return worth[low] if low < int(past[MARKS]) else now
