"""What an account has been through, bar by bar: the marks, the peak of 30 days and the drawdowns that bar entries.

The same account of things as ``ffe_core.risk.equity`` gives, which reads it from the store; a test holds them equal.
The function is scalar, for lists and for numba.
"""

from __future__ import annotations

from ffe_lab.loop import Floats, Numbers, Row

_DAY = 86_400_000
PEAK_OF = 30 * _DAY
BARRED_FOR = _DAY
CLOSE_BY = 900_000
ALIKE = 0.001

#: places of ``past``: how many bars and marks there are, the queue of peaks, and what bars entries
SEEN, MARKS, HEAD, TAIL, BREACHED_AT, RESTARTED_AT, PEAK, BARRED_UNTIL, PAST_SIZE = range(9)


def remember(
    upto: int, closes: Numbers, equity: Floats, most: float, past: Row, marked: Row, worth: Row, queue: Row
) -> None:
    """Takes in the bars up to and including ``upto``. ``most`` is the largest drawdown allowed, 0 for any.

    ``marked`` and ``worth`` are times (epoch milliseconds) and equity of the marks that a live run would have written;
    ``queue`` holds the places of marks of which none later is higher, the highest first. All are as long as ``equity``.
    ``past[PEAK]`` and ``past[BARRED_UNTIL]`` (0 for none) are what a rule reads at that bar.
    """
    for i in range(int(past[SEEN]), upto + 1):
        now, value = closes[i], equity[i]
        _forget(now, past, marked, queue)
        if past[BREACHED_AT] > past[RESTARTED_AT]:
            until = past[BREACHED_AT] + BARRED_FOR
            if now >= until:
                past[RESTARTED_AT] = now
                past[HEAD] = past[TAIL]
                past[PEAK], past[BARRED_UNTIL] = value, 0.0
                _mark(now, value, past, marked, worth, queue)
            else:
                past[PEAK], past[BARRED_UNTIL] = _peak(value, past, worth, queue), until
                _write(now, value, past, marked, worth, queue)
        else:
            peak = _peak(value, past, worth, queue)
            past[PEAK], past[BARRED_UNTIL] = peak, 0.0
            if most > 0.0 and peak > 0.0 and 1.0 - value / peak > most:
                past[BREACHED_AT] = now
                _mark(now, value, past, marked, worth, queue)
            else:
                _write(now, value, past, marked, worth, queue)
    past[SEEN] = upto + 1 if upto + 1 > past[SEEN] else past[SEEN]


def _forget(now: float, past: Row, marked: Row, queue: Row) -> None:
    while past[HEAD] < past[TAIL] and marked[int(queue[int(past[HEAD])])] < now - PEAK_OF:
        past[HEAD] += 1.0


def _peak(value: float, past: Row, worth: Row, queue: Row) -> float:
    highest = worth[int(queue[int(past[HEAD])])] if past[HEAD] < past[TAIL] else value
    return highest if highest > value else value


def _write(now: float, value: float, past: Row, marked: Row, worth: Row, queue: Row) -> None:
    """A mark sooner after another is left out unless it is higher: only rises make a peak."""
    count = int(past[MARKS])
    if count > 0 and now - marked[count - 1] < CLOSE_BY and value - worth[count - 1] <= abs(worth[count - 1]) * ALIKE:
        return
    _mark(now, value, past, marked, worth, queue)


def _mark(now: float, value: float, past: Row, marked: Row, worth: Row, queue: Row) -> None:
    count = int(past[MARKS])
    marked[count], worth[count] = now, value
    while past[TAIL] > past[HEAD] and worth[int(queue[int(past[TAIL]) - 1])] <= value:
        past[TAIL] -= 1.0
    queue[int(past[TAIL])] = count
    past[TAIL] += 1.0
    past[MARKS] = count + 1
