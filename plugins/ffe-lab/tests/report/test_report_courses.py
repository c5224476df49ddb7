"""What a report draws: its courses against pandas, its thinning against the laws that a drawing must keep."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from ffe_lab.report import chart
from ffe_lab.report.chart import COLUMNS, WIDTH, Frame
from ffe_lab.report.courses import Course, drawdown, instants, months, rolling_sharpe
from ffe_lab.returns import MetricsBasis, daily_equity
from hypothesis import given
from hypothesis import strategies as st

from ffe_core import AssetKind

HOUR = 3_600_000
START = int(pd.Timestamp("2022-01-15T00:00Z").timestamp() * 1000)


def equity(bars: int, seed: int = 3) -> Course:
    rng = np.random.Generator(np.random.Philox(key=seed))
    closes = START + (1 + np.arange(bars, dtype=np.int64)) * HOUR
    return Course(closes, 10_000 * np.exp(np.cumsum(rng.normal(0, 0.004, bars))))


def series(course: Course) -> pd.Series[float]:
    # a close at midnight is the end of the day before
    return pd.Series(course.value, index=pd.to_datetime(course.time - 1, unit="ms", utc=True))


def test_months_are_those_of_pandas() -> None:
    course = equity(24 * 200)
    ends = series(course).resample("ME").last()
    expected = ends / ends.shift(1, fill_value=10_000.0) - 1
    found = months(course, 10_000.0)
    assert [(month.year, month.month) for month in found] == [(at.year, at.month) for at in expected.index]
    assert [month.value for month in found] == pytest.approx(expected.tolist(), rel=1e-12)


def test_months_compound_to_the_return_of_the_run() -> None:
    course = equity(24 * 200)
    whole = np.prod([1 + month.value for month in months(course, 10_000.0)])
    assert whole == pytest.approx(course.value[-1] / 10_000, rel=1e-12)


def test_drawdown_is_that_of_pandas_with_the_initial_balance_as_the_first_peak() -> None:
    course = equity(500)
    values = series(course)
    expected = values / values.cummax().clip(lower=10_000.0) - 1
    assert drawdown(course, 10_000.0).value.tolist() == pytest.approx(expected.tolist(), abs=1e-15)


def test_rolling_sharpe_is_mean_over_deviation_of_the_window_as_pandas_rolls_it() -> None:
    course = equity(24 * 150)
    days = daily_equity(course.time, course.value, AssetKind.CRYPTO, 10_000.0)
    ends = series(course).resample("D").last()
    excess = ends / ends.shift(1, fill_value=10_000.0) - 1 - (1.05 ** (1 / 365) - 1)
    expected = (excess.rolling(30).mean() / excess.rolling(30).std() * 365**0.5).dropna()
    found = rolling_sharpe(days, 30, MetricsBasis.of(AssetKind.CRYPTO, 0.05))
    assert found.value.tolist() == pytest.approx(expected.tolist(), rel=1e-9)
    assert found.time.tolist() == [int(at.timestamp() * 1000) + 24 * HOUR for at in expected.index]


def test_a_window_in_which_nothing_moved_has_no_sharpe_ratio() -> None:
    flat = Course(equity(24 * 60).time, np.full(24 * 60, 10_000.0))
    days = daily_equity(flat.time, flat.value, AssetKind.CRYPTO, 10_000.0)
    assert np.isnan(rolling_sharpe(days, 30, MetricsBasis.of(AssetKind.CRYPTO)).value).all()


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200),
    st.integers(1, 12_000),
)
def test_a_thinned_line_keeps_its_ends_and_the_extremes_of_every_column(some: list[float], length: int) -> None:
    y = np.resize(np.array(some), length)
    x = np.linspace(0.0, WIDTH, length, dtype=np.float64)
    thin_x, thin_y = chart.thinned(x, y)
    assert len(thin_x) == len(thin_y) <= 4 * COLUMNS
    assert (np.diff(thin_x) >= 0).all()
    assert (thin_y[0], thin_y[-1]) == (y[0], y[-1])
    column, thin_column = (np.minimum((at * COLUMNS / WIDTH).astype(int), COLUMNS - 1) for at in (x, thin_x))
    for each in np.unique(column)[:: max(1, len(np.unique(column)) // 8)]:
        inside, thin = y[column == each], thin_y[thin_column == each]
        assert (inside.min(), inside.max()) == (thin.min(), thin.max())


def test_one_bar_of_a_hundred_thousand_is_not_lost() -> None:
    course = equity(100_000)
    course.value[61_803] = 10 * course.value.max()
    frame = Frame.around([course], 260)
    tops = [float(pair.split()[1]) for pair in re.split("[ML]", chart.path(frame, course))[1:]]
    assert min(tops) == pytest.approx(float(frame.y(course.value[61_803])), abs=0.06)


def test_a_line_is_broken_where_there_is_no_value() -> None:
    course = equity(9)
    course.value[3:5] = np.nan
    path = chart.path(Frame.around([course], 100), course)
    assert path.count("M") == 2
    assert len(re.findall("[ML]", path)) == 7


@pytest.mark.parametrize("days", [0.1, 1, 9, 40, 75, 100, 400, 1000, 4000, 40_000])
def test_a_time_axis_has_few_labels_in_order(days: float) -> None:
    end = START + round(days * 24 * HOUR)
    frame = Frame(START, end, 0.0, 1.0, 100)
    labels = chart._instants(frame)
    assert 2 <= len(labels) <= chart.LABELS
    assert [at for at, _ in labels] == sorted(at for at, _ in labels)
    assert 0 <= labels[0][0] <= labels[-1][0] <= 100 + 1e-9
    assert len({text for _, text in labels}) == len(labels)


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9))
def test_levels_are_round_few_and_inside(low: float, height: float) -> None:
    frame = Frame(0, 1, low, low + height, 100)
    if frame.high - frame.low < abs(low) * 1e-6:
        return
    levels = chart._levels(frame, "money")
    assert 2 <= len(levels) <= 6
    rounding = 1e-9 * (abs(low) + height)
    assert all(frame.low - rounding <= value <= frame.high + rounding for value, _, _ in levels)
    for value, _, text in levels:
        scale = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}.get(text[-1], 1)
        assert len(text) <= 12
        assert scale * float(text.rstrip("kMBT").replace(",", "")) == pytest.approx(value, abs=height * 1e-3)


def test_instants_read_what_json_has() -> None:
    texts = ["2022-01-15T00:00:00Z", "2022-01-15T00:00:00.250Z"]
    assert instants(texts).tolist() == [START, START + 250]
    assert instants(["2022-01-15T01:00:00+01:00"]).tolist() == [START]
