from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ffe_lab.backtest import backtest
from ffe_lab.lab import Lab
from ffe_lab.walkforward import WalkForward, walk_forward
from ffe_lab.windows import Lengths, Severity, held, lengths_of, windows
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core import UsageError
from ffe_core.builtin.executors import Inline, Processes

type Walk = Callable[..., pd.DataFrame]

BARE: dict[str, Any] = {"asset": "BTCUSD", "sizing": "all_in", "gate": False, "stop": 0.0, "target": 0.0}
SPACE = {"fast": [3, 6, 12], "slow": [10, 20]}
JANUARY, MARCH = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)


def test_sixty_days_at_seven_tenths_make_four_windows_of_which_the_last_ends_with_the_span() -> None:
    lengths = lengths_of(60, 0.7)
    assert (lengths.train, lengths.test, lengths.step) == (29, 18, 4)
    made = windows(JANUARY, MARCH, lengths)
    assert [each.train_start.day for each in made] == [1, 5, 9, 13]
    assert made[-1].test_end == MARCH
    assert all(each.test_start - each.train_end == timedelta(days=1) for each in made)


def test_the_library_starts_from_half_a_year_of_training_and_a_month_of_test() -> None:
    assert (Lengths().train, Lengths().test, Lengths().step) == (180, 30, 30)


@pytest.mark.parametrize(
    ("ratio", "severity"),
    [(1 / 2, "MEDIUM"), (0.81, "NONE"), (0.8, "LOW"), (0.51, "LOW"), (0.31, "MEDIUM"), (0.30, "HIGH"), (-1.0, "HIGH")],
)
def test_severity_by_the_average_ratio(ratio: float, severity: str) -> None:
    assert Severity.of(ratio) == severity
    assert Severity.of(ratio).is_overfit == (severity in ("MEDIUM", "HIGH"))


@pytest.mark.parametrize(
    ("train", "test", "ratio"),
    [(2.0, 1.0, 0.5), (2.0, -1.0, -0.5), (0.0, 1.0, 0.0), (-1.0, 2.0, 0.0), (-1.0, -0.5, 0.0), (None, 1.0, 0.0)],
)
def test_training_without_profit_is_nothing_that_a_test_could_keep(
    train: float | None, test: float, ratio: float
) -> None:
    assert held(test, train) == ratio


@given(days=st.integers(1, 3000), ratio=st.floats(0.05, 0.95))
def test_a_span_is_too_short_or_has_windows_inside_it_and_in_order(days: int, ratio: float) -> None:
    end = JANUARY + timedelta(days=days)
    try:
        lengths = lengths_of(days, ratio)
    except UsageError as error:
        needed = int(str(error).rpartition(" ")[2])
        assert needed > days
        assert windows(JANUARY, JANUARY + timedelta(days=needed), lengths_of(needed, ratio))
        return
    assert lengths.train >= 7 and lengths.test >= 7
    made = windows(JANUARY, end, lengths)
    for each in made:
        assert JANUARY <= each.train_start < each.train_end < each.test_start < each.test_end <= end
    starts = [each.train_start for each in made]
    assert starts == sorted(set(starts))
    assert made[-1].test_end + timedelta(days=lengths.step) > end


def test_purged_and_embargoed_days_are_in_no_part() -> None:
    (first, *_) = windows(JANUARY, MARCH, Lengths(20, 10, 10, embargo=3, purge=2))
    assert first.train_end == JANUARY + timedelta(days=18)
    assert first.test_start == JANUARY + timedelta(days=23)


def test_spans_that_have_no_window_are_refused_with_what_they_need() -> None:
    with pytest.raises(UsageError, match="14 days are too short for a walk-forward; at this ratio it takes"):
        lengths_of(14, 0.7)
    with pytest.raises(UsageError, match="60 days are too short; one window takes 211"):
        windows(JANUARY, MARCH, Lengths())
    with pytest.raises(UsageError, match="before it starts"):
        windows(MARCH, JANUARY, Lengths())


def made(lab: Lab, frame: pd.DataFrame, **more: Any) -> WalkForward:
    lengths = Lengths(train=20, test=10, step=10)
    return walk_forward(frame, "sma_cross", SPACE, lengths=lengths, lab=lab, **{**BARE, **more})


def test_each_window_takes_the_best_of_its_training_and_is_judged_on_its_test(lab: Lab, walk: Walk) -> None:
    frame = walk(24 * 60)
    result = made(lab, frame)
    assert len(result) == 3
    one = result.windows[0]
    sharpes = {}
    for fast in SPACE["fast"]:
        for slow in SPACE["slow"]:
            if fast < slow:
                seen = frame[: pd.Timestamp(one.window.train_end) - pd.Timedelta(hours=1)]
                run = backtest(seen, "sma_cross", params={"fast": fast, "slow": slow}, lab=lab, **BARE)
                daily = run.daily.returns
                sharpes[fast, slow] = daily.mean() / daily.std(ddof=1)
    assert (one.best["fast"], one.best["slow"]) == max(sharpes, key=lambda point: sharpes[point])
    test = backtest(
        frame, "sma_cross", params=one.best, start=one.window.test_start, end=one.window.test_end, lab=lab, **BARE
    )
    assert (one.test.total_return, one.test.total_trades) == (test.metrics.total_return, test.metrics.total_trades)


@pytest.mark.slow
@settings(max_examples=5)
@given(factor=st.floats(0.2, 5.0), window=st.integers(0, 1))
def test_bars_after_a_window_change_nothing_in_it(walk: Walk, factor: float, window: int) -> None:
    frame = walk(24 * 60)
    lab = Lab.from_settings()
    before = made(lab, frame).windows[window]
    end = pd.Timestamp(before.window.test_end)
    later = frame.index >= end
    changed = frame.copy()
    changed.loc[later, ["open", "high", "low", "close"]] *= factor
    changed.loc[later, "close"] = changed.loc[later, "low"]
    after = made(lab, changed).windows[window]
    assert after.data() == before.data()


def test_the_headline_is_the_tests_stitched_together(lab: Lab, walk: Walk) -> None:
    for step in (10, 4, 12):
        result = walk_forward(walk(24 * 60), "sma_cross", SPACE, lengths=Lengths(20, 10, step), lab=lab, **BARE)
        assert (np.diff(result.closes) > 0).all()
        assert result.closes[-1] <= result.windows[-1].window.test_end.timestamp() * 1000
        assert result.metrics.final_value == result.equity[-1]
        growth = [each.test.final_value / 10_000 for each in result.windows]
        if step == 10:
            assert result.equity[-1] == pytest.approx(10_000 * np.prod(growth))


def test_all_combinations_deflate_the_headline(lab: Lab, walk: Walk) -> None:
    result = made(lab, walk(24 * 100))
    assert (result.combinations, result.skipped, result.metrics.trials) == (5, 1, 5)
    assert result.metrics.psr is not None and result.metrics.dsr is not None
    assert result.metrics.dsr < result.metrics.psr
    assert made(lab, walk(24 * 100), trials=1000).metrics.dsr < result.metrics.dsr  # type: ignore[operator]


def test_severity_and_averages_are_those_of_the_windows(lab: Lab, walk: Walk) -> None:
    data = made(lab, walk(24 * 80)).data()
    ratios = []
    for each in data["windows"]:
        train, test = each["train"]["sharpe"], each["test"]["sharpe"]
        ratios.append(test / train if train > 0 else 0.0)
        assert (each["train"]["sample"], each["test"]["sample"]) == ("IN-SAMPLE", "OUT-OF-SAMPLE")
    assert data["average_sharpe_ratio"] == pytest.approx(np.mean(ratios))
    assert data["average_test_return"] == pytest.approx(
        np.mean([each["test"]["metrics"]["total_return"] for each in data["windows"]])
    )
    worst = min(data["average_sharpe_ratio"], data["average_win_rate_ratio"])
    assert data["overfitting"]["severity"] == Severity.of(worst).value
    assert data["overfitting"]["recommendation"]


@pytest.mark.slow
def test_every_executor_chooses_and_measures_the_same(lab: Lab, walk: Walk, processes: Processes) -> None:
    here = made(lab, walk(24 * 60)).data()
    with Inline() as inline:
        for executor in (inline, processes):
            assert made(lab, walk(24 * 60), executor=executor).data() == here


def test_a_random_search_is_seeded_and_the_usual_space_is_around_the_defaults(lab: Lab, walk: Walk) -> None:
    frame, lengths = walk(24 * 40), Lengths(20, 10, 10)
    one, same = (
        walk_forward(frame, "sma_cross", SPACE, draws=4, seed=1, lengths=lengths, lab=lab, **BARE).data()
        for _ in range(2)
    )
    assert one == same
    usual = walk_forward(frame, "sma_cross", lengths=lengths, lab=lab, **BARE)
    assert (usual.combinations, usual.skipped) == (8, 1)
    fixed = walk_forward(frame, "buy_and_hold", lengths=lengths, lab=lab, **BARE)
    assert fixed.combinations == 1 and fixed.windows[0].best == {}
