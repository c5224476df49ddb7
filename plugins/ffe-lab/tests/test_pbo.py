from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from ffe_lab.pbo import Overfitting, aligned, probability_of_overfitting
from ffe_lab.trades import Floats
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ffe_core import BadData


def by_the_book(returns: Floats, blocks: int) -> tuple[float, float, float]:
    """CSCV as the paper's list of steps has it, one split after the other."""
    size = len(returns) // blocks
    parts = np.split(returns[len(returns) - size * blocks :], blocks)
    logits, losses, inside, outside = [], [], [], []
    for members in combinations(range(blocks), blocks // 2):
        train = np.concatenate([parts[index] for index in members])
        test = np.concatenate([parts[index] for index in range(blocks) if index not in members])
        sharpes = [half.mean(axis=0) / half.std(axis=0, ddof=1) for half in (train, test)]
        best = int(np.argmax(sharpes[0]))
        relative = stats.rankdata(sharpes[1])[best] / (returns.shape[1] + 1)
        logits.append(math.log(relative / (1 - relative)))
        losses.append(test[:, best].mean() < 0)
        inside.append(sharpes[0][best])
        outside.append(sharpes[1][best])
    slope = stats.linregress(inside, outside).slope
    return float(np.mean(np.array(logits) <= 0)), float(np.mean(losses)), float(slope)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(2, 7), st.sampled_from([2, 4, 6, 8]), st.integers(0, 9))
def test_it_is_what_the_steps_of_the_paper_give(seed: int, candidates: int, blocks: int, extra: int) -> None:
    returns = np.random.default_rng(seed).normal(0.0005, 0.02, (blocks * 7 + min(extra, blocks - 1), candidates))
    found = probability_of_overfitting(returns, blocks)
    pbo, losses, slope = by_the_book(returns, blocks)
    assert (found.pbo, found.loss_probability) == (pbo, losses)
    assert found.slope == pytest.approx(slope, rel=1e-6)
    assert found.splits == math.comb(blocks, blocks // 2)
    assert found.rows == blocks * 7


def test_two_that_take_turns_are_always_chosen_wrongly() -> None:
    # Each is good in one half and bad in the other: who was better is worse afterwards, in both splits.
    up, down = np.tile([0.02, 0.01], 10), np.tile([-0.02, -0.01], 10)
    returns = np.stack([np.r_[up, down], np.r_[down, up]], axis=1)
    found = probability_of_overfitting(returns, 2)
    assert (found.pbo, found.loss_probability, found.splits) == (1.0, 1.0, 2)


def test_one_that_is_better_throughout_is_no_accident() -> None:
    returns = np.random.default_rng(0).normal(0, 0.01, (400, 10))
    returns[:, 3] += 0.02
    found = probability_of_overfitting(returns)
    assert (found.pbo, found.loss_probability) == (0.0, 0.0)


def test_among_candidates_without_skill_the_choice_is_worth_a_coin() -> None:
    rng = np.random.default_rng(11)
    found = [probability_of_overfitting(rng.normal(0, 0.01, (240, 20)), 8).pbo for _ in range(200)]
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)


def test_equals_share_their_rank_and_the_first_is_chosen() -> None:
    returns = np.random.default_rng(2).normal(0, 0.01, 80)
    found = probability_of_overfitting(np.stack([returns, returns, returns], axis=1), 4)
    assert found.pbo == 1.0
    assert found.candidates == 3


def test_a_candidate_that_never_trades_has_a_ratio_of_zero() -> None:
    losing = np.random.default_rng(3).normal(-0.01, 0.01, 160)
    found = probability_of_overfitting(np.stack([losing, np.zeros(160)], axis=1), 4)
    assert (found.pbo, found.loss_probability, found.slope) == (0.0, 0.0, None)
    steady = probability_of_overfitting(np.stack([losing, np.full(160, 0.001)], axis=1), 4)
    assert math.isfinite(steady.pbo)


@pytest.mark.parametrize(
    ("shape", "blocks", "message"),
    [
        ((100, 1), 4, "at least two"),
        ((79, 3), 16, "fewer than 5 each"),
        ((100, 3), 5, "even number"),
        ((100, 3), 0, "even number"),
        ((1000, 3), 22, "even number"),
    ],
)
def test_what_says_nothing_is_refused(shape: tuple[int, int], blocks: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        probability_of_overfitting(np.zeros(shape), blocks)


def test_returns_that_are_no_numbers_are_refused() -> None:
    returns = np.zeros((100, 2))
    returns[5, 1] = np.nan
    with pytest.raises(ValueError, match="no number"):
        probability_of_overfitting(returns, 4)


def result(start: str, values: list[float], step: timedelta = timedelta(days=1), periods: int = 365) -> dict[str, Any]:
    first = datetime.fromisoformat(start).replace(tzinfo=UTC)
    equity = [
        {"time": (first + index * step).isoformat().replace("+00:00", "Z"), "value": value}
        for index, value in enumerate(values)
    ]
    return {
        "equity": equity,
        "metrics": {"initial_balance": 100.0},
        "metrics_basis": {"periods_per_year": periods},
    }


def test_runs_are_aligned_on_the_days_that_all_have() -> None:
    early = result("2024-01-02", [110.0, 121.0, 133.1])
    late = {"schema": 1, "data": result("2024-01-03", [50.0, 100.0, 200.0])}
    found = aligned([early, late])
    assert [datetime.fromtimestamp(day / 1000, UTC).day for day in found.days] == [3, 4]
    assert found.returns == pytest.approx(np.array([[0.1, -0.5], [0.1, 1.0]]))


def test_hourly_and_daily_equity_of_one_run_agree() -> None:
    daily = result("2024-01-02", [110.0, 121.0])
    hourly = result("2024-01-01T01:00", [110.0] * 24 + [121.0] * 24, timedelta(hours=1))
    found = aligned([daily, hourly])
    assert found.returns[:, 0].tolist() == found.returns[:, 1].tolist()


def test_runs_that_cannot_be_compared_are_refused() -> None:
    crypto = result("2024-01-02", [110.0, 121.0])
    with pytest.raises(BadData, match="share no day"):
        aligned([crypto, result("2025-01-02", [110.0])])
    with pytest.raises(BadData, match="share no day"):
        aligned([])
    with pytest.raises(BadData, match="end differently"):
        aligned([crypto, result("2024-01-02", [110.0], periods=252)])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda made: made.pop("equity"),
        lambda made: made["metrics"].pop("initial_balance"),
        lambda made: made["metrics_basis"].update(periods_per_year=8760),
        lambda made: made["equity"].reverse(),
        lambda made: made["equity"][0].update(value=float("nan")),
        lambda made: made["equity"][0].update(time="2024-01-02T00:00:00"),
        lambda made: made["equity"][0].update(time="yesterday"),
        lambda made: made["metrics"].update(initial_balance=0),
    ],
)
def test_a_result_that_is_none_is_named_by_its_place(spoil: Any) -> None:
    made = result("2024-01-02", [110.0, 121.0])
    spoil(made)
    with pytest.raises(BadData, match="result 2 is no backtest"):
        aligned([result("2024-01-02", [110.0, 121.0]), made])


def test_whole_files_lead_to_a_verdict() -> None:
    rng = np.random.default_rng(4)
    runs = [result("2024-01-02", (100 * np.cumprod(1 + rng.normal(0, 0.01, 90))).tolist()) for _ in range(3)]
    found = probability_of_overfitting(aligned(runs).returns, 8)
    assert isinstance(found, Overfitting) and (found.candidates, found.rows) == (3, 88)
