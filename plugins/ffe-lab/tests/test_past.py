"""What a simulation remembers of its account is what a live run reads from the store."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from ffe_lab import past
from ffe_lab.machine import compiled, interpreted
from ffe_lab.stops import exact
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core import from_ms
from ffe_core.risk.equity import BREACH, RESTART, Mark, Past, past_of

MINUTE = 60_000
START = 1_700_000_000_000


@dataclass
class Store:
    """Marks as the store keeps them: everything that ``past_of`` asked to write down."""

    most: Decimal | None
    marks: list[Mark] = field(default_factory=list)

    def live(self, at: int, equity: float) -> Past:
        now = Mark(from_ms(at), exact(equity))
        newest: dict[str, Mark] = {one.kind: one for one in self.marks}
        found = past_of(
            self.marks,
            now,
            day_began=now.at,
            max_drawdown=self.most,
            breach=newest.get(BREACH),
            restart=newest.get(RESTART),
        )
        if found.mark is not None:
            self.marks.append(replace(found.mark))
        return found


def curve(seed: int, bars: int, step: int, wildness: float) -> tuple[list[int], list[float]]:
    """Times and equity: bars of ``step`` minutes with pauses of up to 40 days between them, and sudden losses."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    steps = np.where(rng.random(bars) < 0.02, rng.integers(step, 40 * 1440, bars), step) * MINUTE
    moves = rng.normal(0, wildness, bars) - np.where(rng.random(bars) < 0.02, 0.15, 0.0)
    equity = np.round(10_000 * np.exp(np.cumsum(moves)), 2)
    return (START + np.cumsum(steps)).tolist(), equity.tolist()


@pytest.fixture(scope="module", params=["plain", "compiled"])
def remember(request: pytest.FixtureRequest) -> Any:
    return (interpreted if request.param == "plain" else compiled)(past)["remember"]


def cells(count: int, remember: Any) -> Any:
    return [0.0] * count if remember is interpreted(past)["remember"] else np.zeros(count)


@pytest.mark.slow
@settings(max_examples=40)
@given(
    seed=st.integers(0, 2**32),
    step=st.sampled_from([1, 5, 15, 60, 1440]),
    wildness=st.sampled_from([0.0, 0.0002, 0.002, 0.02]),
    most=st.sampled_from(["0", "0.05", "0.1", "0.3"]),
    look=st.integers(1, 9),
)
def test_peaks_and_bars_to_entries_are_those_of_a_live_run(
    remember: Any, seed: int, step: int, wildness: float, most: str, look: int
) -> None:
    bars = 250
    times, equity = curve(seed, bars, step, wildness)
    store = Store(Decimal(most) or None)
    held = cells(past.PAST_SIZE, remember)
    held[past.SPARSE] = step * MINUTE >= past.CLOSE_BY
    marked, worth, queue = (cells(bars, remember) for _ in range(3))
    form = list if remember is interpreted(past)["remember"] else np.array
    for bar, (at, value) in enumerate(zip(times, equity, strict=True)):
        live = store.live(at, value)
        if bar % look:
            continue
        # As a gate asks: not at every bar, and then of all bars since.
        remember(bar, form(times), form(equity), float(most), held, marked, worth, queue)
        assert exact(held[past.PEAK]) == live.peak
        barred = from_ms(int(held[past.BARRED_UNTIL])) if held[past.BARRED_UNTIL] else None
        assert barred == live.barred_until
    count = int(held[past.MARKS])
    written = [(mark.at, mark.equity) for mark in store.marks][:count]
    assert [
        (from_ms(int(at)), exact(value)) for at, value in zip(marked[:count], worth[:count], strict=True)
    ] == written


def test_the_curves_break_limits_and_begin_anew() -> None:
    """The property above means something: breaches, restarts and close marks occur."""
    kinds: dict[str, int] = {}
    close_by = 0
    for seed in range(20):
        times, equity = curve(seed, 250, 5, 0.002)
        store = Store(Decimal("0.1"))
        for at, value in zip(times, equity, strict=True):
            store.live(at, value)
        for mark in store.marks:
            kinds[mark.kind] = kinds.get(mark.kind, 0) + 1
        close_by += sum(
            later.at - one.at < 3 * (from_ms(5 * MINUTE) - from_ms(0)) for one, later in pairwise(store.marks)
        )
    assert min(kinds[BREACH], kinds[RESTART], close_by) > 10
