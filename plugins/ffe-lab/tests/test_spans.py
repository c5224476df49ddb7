"""What is passed over at once is what is passed over bar by bar."""

from __future__ import annotations

import numpy as np
from ffe_lab import spans, spans_of_lists
from ffe_lab.spans_of_lists import Signals
from hypothesis import given
from hypothesis import strategies as st

BARS = 300
PLACES = st.integers(0, BARS)
LEVELS = st.sampled_from([0.0, 60.0, 90.0, 99.0, 101.0, 110.0, 140.0, spans.ENDLESS])


def walk(seed: int, wildness: float) -> list[float]:
    rng = np.random.Generator(np.random.Philox(key=seed))
    made: list[float] = np.round(100 * np.exp(np.cumsum(rng.normal(0, wildness, BARS))), 2).tolist()
    return made


@given(begin=PLACES, end=PLACES, bars=st.lists(st.integers(0, BARS - 1), max_size=20))
def test_the_next_signal(begin: int, end: int, bars: list[int]) -> None:
    action = np.zeros(BARS, np.int8)
    action[bars] = 1
    begin, end = sorted((begin, end))
    assert spans_of_lists.next_signal(begin, end, Signals(action)) == spans.next_signal(begin, end, action.tolist())
    assert Signals(action) == action.tolist()


@given(
    begin=PLACES,
    end=PLACES,
    seed=st.integers(0, 99),
    wildness=st.sampled_from([0.0, 0.002, 0.05]),
    levels=st.tuples(LEVELS, LEVELS),
)
def test_the_next_bar_that_leaves_a_band(
    begin: int, end: int, seed: int, wildness: float, levels: tuple[float, float]
) -> None:
    close = walk(seed, wildness)
    high, low = [price * 1.01 for price in close], [price * 0.99 for price in close]
    (begin, end), (floor, ceiling) = sorted((begin, end)), sorted(levels)
    asked = (begin, end, min(floor, 140.0), ceiling or spans.ENDLESS, high, low)
    assert spans_of_lists.next_outside(*asked) == spans.next_outside(*asked)


@given(
    begin=PLACES,
    end=PLACES,
    seed=st.integers(0, 99),
    cash=st.sampled_from([0.0, 5_000.0, -90.0, 12_000.0]),
    units=st.sampled_from([0.0, 1.0, 100.0, -100.0]),
)
def test_marks_and_the_bar_at_which_nothing_is_left(begin: int, end: int, seed: int, cash: float, units: float) -> None:
    close = walk(seed, 0.05)
    begin, end = sorted((min(begin, BARS - 1), max(end, 1)))
    end = max(end, begin + 1)
    accounts: list[list[float]] = [[-1.0] * BARS, [-1.0] * BARS]
    ends = [
        module.mark(begin, end, cash, units, close, kept)
        for module, kept in zip((spans, spans_of_lists), accounts, strict=True)
    ]
    assert ends[0] == ends[1]
    assert accounts[0] == accounts[1]


@given(begin=PLACES, end=PLACES, seed=st.integers(0, 99), limit=st.floats(50, 200))
def test_copies_extremes_and_places(begin: int, end: int, seed: int, limit: float) -> None:
    close, times, modules = walk(seed, 0.02), list(range(BARS)), (spans, spans_of_lists)
    begin, end = sorted((begin, end))
    ordered = sorted(close)
    assert len({module.place_after(begin, end, limit, ordered) for module in modules}) == 1
    if begin < end:
        copies = [([0.0] * BARS, [0.0] * BARS) for _ in modules]
        found = [
            module.take_marks(begin, end, times, close, 0, *copy) for module, copy in zip(modules, copies, strict=True)
        ]
        assert found[0] == found[1] == (max(close[begin:end]), min(close[begin:end]))
        assert copies[0] == copies[1]
