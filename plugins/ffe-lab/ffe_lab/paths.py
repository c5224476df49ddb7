"""Other courses that the bars of a market might have taken: scalar, for lists and for numba."""

from __future__ import annotations

from ffe_lab.loop import Floats, Numbers, Table

#: rows of bars
OPEN, HIGH, LOW, CLOSE, VOLUME = range(5)
BAR_ROWS = 5
#: a price never falls below this share of what it was, so that a bar stays one
LEAST_FACTOR = 0.01
#: and never leaves what a price can be
LOWEST, HIGHEST = 1e-9, 1e15


def factors_of(noise: float, drawn: Table) -> None:
    """Draws become the factors that ``move_bars`` makes of them."""
    for k in range(len(drawn)):
        row = drawn[k]
        for i in range(len(row)):
            factor = 1.0 + noise * row[i]
            row[i] = LEAST_FACTOR if factor < LEAST_FACTOR else factor


def move_bars(first: int, noise: float, normal: Floats, bars: Table, path: Table) -> None:
    """Each bar from ``first`` on times 1 + ``noise`` x its draw: one factor for a whole bar keeps it valid."""
    for i in range(len(normal)):
        factor = 1.0 + noise * normal[i]
        if factor < LEAST_FACTOR:  # noqa: PLR1730 - in the interpreter a comparison costs a third of a call to max
            factor = LEAST_FACTOR
        at = first + i
        path[OPEN][at] = bars[OPEN][at] * factor
        path[HIGH][at] = bars[HIGH][at] * factor
        path[LOW][at] = bars[LOW][at] * factor
        path[CLOSE][at] = bars[CLOSE][at] * factor


def chain_bars(
    first: int, block: float, chance: Floats, starts: Numbers, bars: Table, moves: Table, path: Table
) -> None:
    """Bars from ``first`` on, each with the moves of a bar that was drawn: of the next one, or of a new block's first.

    A block ends with the chance 1 / ``block`` at every bar; after the last bar comes the first again (Politis and
    Romano 1994). ``moves`` are from the close before to the open, and from there to high, low and close.
    """
    count = len(chance)
    close = bars[CLOSE][first - 1] if first > 0 else bars[OPEN][first]
    drawn = 0
    for i in range(count):
        drawn = starts[i] if i == 0 or chance[i] * block < 1.0 else (drawn + 1) % count
        at = first + i
        opened = _held(close * moves[OPEN][drawn])
        close = _held(opened * moves[CLOSE][drawn])
        high, low = _held(opened * moves[HIGH][drawn]), _held(opened * moves[LOW][drawn])
        path[OPEN][at] = opened
        path[CLOSE][at] = close
        # What rounding took from an extreme that was the open or the close itself is given back.
        path[HIGH][at] = _higher(high, _higher(opened, close))
        path[LOW][at] = -_higher(-low, _higher(-opened, -close))
        path[VOLUME][at] = bars[VOLUME][first + drawn]


def _held(price: float) -> float:
    if price < LOWEST:
        return LOWEST
    return price if price < HIGHEST else HIGHEST


def _higher(one: float, other: float) -> float:
    return one if one > other else other
