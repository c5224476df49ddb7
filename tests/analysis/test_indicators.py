"""The standard set against TA-Lib, against itself in its other forms, and on the prices that break naive formulas."""

from __future__ import annotations

import math
import subprocess
import sys
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

import ffe_core
from ffe_core.analysis import batches, indicators
from ffe_core.analysis.columns import sma_columns
from ffe_core.analysis.indicators import Bars
from ffe_core.domain.market import Candles
from tests.analysis.series import bars_from, walk_of

both_forms = pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
NAMES = indicators.Standard._fields


def reference(high: np.ndarray, low: np.ndarray, close: np.ndarray) -> dict[str, np.ndarray]:
    upper, middle, lower = talib.BBANDS(close, 20, 2, 2)
    line, signal, histogram = talib.MACD(close, 12, 26, 9)
    columns = (
        *(talib.RSI(close, 14), line, signal, histogram, upper, middle, lower),
        *(talib.ADX(high, low, close, 14), talib.PLUS_DI(high, low, close, 14), talib.MINUS_DI(high, low, close, 14)),
        *(talib.ATR(high, low, close, 14), talib.SMA(close, 50), talib.EMA(close, 20)),
    )
    return dict(zip(NAMES, columns, strict=True))


def columns_of(candles: Candles) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return tuple(np.frombuffer(getattr(candles, name)) for name in ("high", "low", "close"))


def assert_agrees(ours: Sequence[float], theirs: np.ndarray, close: np.ndarray, name: str) -> None:
    """The same first bar, and 1e-9 relative. A MACD near zero is a difference of prices."""
    mine = np.asarray(ours)
    assert np.array_equal(np.isnan(mine), np.isnan(theirs)), f"{name}: another first bar"
    known = ~np.isnan(theirs)
    slack = 1e-13 * np.abs(close[known]) if name.startswith("macd") else 0.0
    gap = np.abs(mine[known] - theirs[known]) - slack
    assert np.all(gap <= 1e-9 * np.abs(theirs[known])), f"{name}: {np.max(gap)}"


def assert_standard_agrees(candles: Candles, *, compiled: bool) -> None:
    high, low, close = columns_of(candles)
    ours = indicators.standard_set(candles, compiled=compiled)._asdict()
    for name, theirs in reference(high, low, close).items():
        assert_agrees(ours[name], theirs, close, name)


def bits(values: Sequence[float]) -> bytes:
    return array("d", values).tobytes()


@both_forms
@pytest.mark.parametrize("price", [1e-8, 1.08, 100.0, 67_000.0, 1e9])
def test_the_standard_set_equals_talib_at_every_price_level(price: float, compiled: bool) -> None:
    volatility = 0.01
    candles = bars_from(walk_of(1500, start=price, volatility=volatility, seed=5))
    if price == 1e-8:
        # TA-Lib takes a variance below 1e-14 for none at all, so tiny prices are compared with their own multiple.
        scaled = bars_from([close * 2.0**40 for close in candles.close])
        ours = indicators.standard_set(candles, compiled=compiled)
        theirs = reference(*columns_of(scaled))
        for name in NAMES:
            unit = 1.0 if name in ("rsi", "adx", "plus_di", "minus_di") else 2.0**-40
            assert_agrees(getattr(ours, name), theirs[name] * unit, np.asarray(candles.close), name)
    else:
        assert_standard_agrees(candles, compiled=compiled)


@both_forms
@pytest.mark.parametrize("bars", [1, 2, 14, 15, 19, 20, 25, 26, 27, 28, 33, 34, 49, 50, 51])
def test_the_first_value_comes_on_the_same_bar_as_in_talib(bars: int, compiled: bool) -> None:
    assert_standard_agrees(bars_from(walk_of(bars)), compiled=compiled)


@pytest.mark.parametrize(
    ("name", "fewest"),
    [("rsi", 15), ("macd_signal", 34), ("bb_upper", 20), ("adx", 28), ("plus_di", 15), ("atr", 15), ("sma_50", 50)],
)
def test_one_bar_fewer_than_the_minimum_gives_nothing(name: str, fewest: int) -> None:
    enough = indicators.standard_set(bars_from(walk_of(fewest)))._asdict()[name]
    short = indicators.standard_set(bars_from(walk_of(fewest - 1)))._asdict()[name]

    assert indicators.last(enough) is not None
    assert indicators.last(short) is None


@both_forms
def test_constant_prices_are_read_as_talib_reads_them(compiled: bool) -> None:
    candles = bars_from([1.1] * 80, spread=0.0)

    assert_standard_agrees(candles, compiled=compiled)
    last = indicators.standard_set(candles, compiled=compiled)
    assert last.bb_upper[-1] == last.bb_lower[-1] == 1.1
    assert (last.rsi[-1], last.adx[-1], last.plus_di[-1], last.atr[-1]) == (0.0, 0.0, 0.0, 0.0)


@both_forms
def test_other_periods_equal_talib_too(compiled: bool) -> None:
    candles = bars_from(walk_of(700, seed=9))
    high, low, close = columns_of(candles)

    assert_agrees(indicators.sma(close, 200, compiled=compiled), talib.SMA(close, 200), close, "sma")
    assert_agrees(indicators.ema(close, 3, compiled=compiled), talib.EMA(close, 3), close, "ema")
    assert_agrees(indicators.rsi(close, 5, compiled=compiled), talib.RSI(close, 5), close, "rsi")
    assert_agrees(
        indicators.atr(high, low, close, 21, compiled=compiled), talib.ATR(high, low, close, 21), close, "atr"
    )
    for mine, theirs in zip(
        indicators.macd(close, 5, 35, 5, compiled=compiled), talib.MACD(close, 5, 35, 5), strict=True
    ):
        assert_agrees(mine, theirs, close, "macd")
    for mine, theirs in zip(
        indicators.bollinger(close, 33, 1.5, compiled=compiled), talib.BBANDS(close, 33, 1.5, 1.5), strict=True
    ):
        assert_agrees(mine, theirs, close, "bollinger")
    assert_agrees(
        indicators.adx(high, low, close, 7, compiled=compiled)[0], talib.ADX(high, low, close, 7), close, "adx"
    )


def test_the_first_rsi_is_the_plain_average_of_gains_and_losses() -> None:
    changes = [1.0] * 10 + [-0.5] * 4
    closes = [100.0 + sum(changes[:i]) for i in range(15)]

    assert indicators.rsi(closes)[-1] == pytest.approx(83.3, abs=0.05)
    assert indicators.rsi([float(i) for i in range(1, 16)])[-1] == 100.0


@both_forms
def test_a_last_warm_up_bar_without_direction_takes_its_place_in_the_first_adx(compiled: bool) -> None:
    # 13 times DX is 100, in a climb; then one bar so wide to either side that the directional indicators round to 0.
    close = [1e-20 * (i + 2) for i in range(27)] + [0.0]
    high = [price * 1.1 for price in close[:-1]] + [1e307]
    low = [price * 0.9 for price in close[:-1]] + [-1e307]

    strength, plus_di, minus_di = indicators.adx(high, low, close, compiled=compiled)

    assert plus_di[-2] > 0.0
    assert minus_di[-2] == plus_di[-1] == minus_di[-1] == 0.0
    assert math.isnan(strength[-2])
    assert strength[-1] == pytest.approx(1300.0 / 14)


@both_forms
def test_bands_collapse_in_a_market_that_goes_flat_after_wild_swings(compiled: bool) -> None:
    closes = [*walk_of(3000, start=1e6, volatility=0.05), *([3.3] * 60)]

    upper, middle, lower = indicators.bollinger(closes, compiled=compiled)

    assert upper[-1] == middle[-1] == lower[-1] == 3.3


@both_forms
def test_rolling_sums_do_not_drift_over_a_long_series(compiled: bool) -> None:
    closes = walk_of(20_000, start=67_000.0, seed=3)
    closes[5000:5010] = [1e12] * 10  # a glitch whose rounding a naive sum would carry for ever

    mean = indicators.sma(closes, 20, compiled=compiled)
    upper, _, lower = indicators.bollinger(closes, 20, compiled=compiled)

    for end in (4999, 5100, 12_000, 19_999):
        window = closes[end - 19 : end + 1]
        exact = math.fsum(window) / 20
        deviation = math.sqrt(math.fsum((price - exact) ** 2 for price in window) / 20)
        assert mean[end] == pytest.approx(exact, rel=1e-15)
        assert (upper[end] - lower[end]) / 4 == pytest.approx(deviation, rel=1e-9)


prices = st.lists(st.floats(1e-8, 1e9, allow_subnormal=False), min_size=1, max_size=120)


@settings(max_examples=60, deadline=None)
@given(prices)
def test_plain_and_compiled_give_the_same_bits(closes: list[float]) -> None:
    bars = bars_from(closes)
    plain = indicators.standard_set(bars)
    fast = indicators.standard_set(bars, compiled=True)

    for name in NAMES:
        assert bits(getattr(plain, name)) == bits(getattr(fast, name)), name


def troubled(rows: int) -> Bars:
    """Wild swings, then a glitch, a dead flat stretch without any range, and a calm end."""
    closes = walk_of(rows, start=1e6, volatility=0.05, seed=rows)
    third = rows // 3
    closes[third : 2 * third] = [3.3] * third
    closes[third - 5 : third] = [1e12] * min(5, third)
    high = [price if price == 3.3 else price * 1.01 for price in closes]
    low = [price if price == 3.3 else price * 0.98 for price in closes]
    return SimpleNamespace(open=closes, high=high, low=low, close=closes)


@pytest.mark.parametrize("rows", [63, 64, 65, 1087, 1088, 1089, 2112, 2500])
def test_a_long_series_in_machine_code_has_the_bits_of_its_steps(rows: int) -> None:
    bars = troubled(rows)
    plain = indicators.standard_set(bars)
    fast = indicators.standard_set(bars, compiled=True)

    for name in NAMES:
        assert bits(getattr(plain, name)) == bits(getattr(fast, name)), name


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=60), st.integers(1, 70))
def test_a_mean_made_of_whole_columns_has_the_bits_of_its_steps(values: list[float], period: int) -> None:
    out = [[math.nan] * len(values)]
    batches.sma_batch(values, period, out)
    assert bits(sma_columns(np.array(values), period)) == bits(out[0])


@pytest.mark.parametrize("period", [1, 20, 2499, 2500, 2501])
@pytest.mark.parametrize("gap", [(), (0, 1), (1200,)])
def test_the_mean_of_a_long_series_has_the_same_bits_in_either_form(period: int, gap: tuple[int, ...]) -> None:
    values = troubled(2500).close
    for at in gap:
        values[at] = math.nan
    plain, fast = (indicators.sma(values, period, compiled=compiled) for compiled in (False, True))
    assert isinstance(plain, array)
    assert bits(plain) == bits(fast)


@settings(max_examples=30, deadline=None)
@given(prices, st.booleans())
def test_one_bar_at_a_time_gives_the_same_bits_as_the_whole_series(closes: list[float], compiled: bool) -> None:
    bars = bars_from(closes)
    whole = indicators.standard_set(bars)
    state = indicators.StandardState(compiled=compiled)
    rows = [state.update(*bar) for bar in zip(bars.open, bars.high, bars.low, bars.close, strict=True)]

    for name in NAMES:
        assert bits(getattr(whole, name)) == bits([getattr(row, name) for row in rows]), name
    assert state.bars == len(closes)


@settings(max_examples=30, deadline=None)
@given(prices, st.data())
def test_no_value_changes_when_later_bars_change(closes: list[float], data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(closes)))
    other = closes[:cut] + [price * 3.0 for price in closes[cut:]]

    first, second = indicators.standard_set(bars_from(closes)), indicators.standard_set(bars_from(other))

    for name in NAMES:
        assert bits(getattr(first, name)[:cut]) == bits(getattr(second, name)[:cut]), name


@both_forms
def test_a_state_that_outlives_its_window_still_gives_the_same_bits(compiled: bool) -> None:
    bars = bars_from(walk_of(2600))
    whole = indicators.standard_set(bars, compiled=True)
    state = indicators.StandardState(compiled=compiled)
    rows = [state.update(*bar) for bar in zip(bars.open, bars.high, bars.low, bars.close, strict=True)]

    for name in NAMES:
        assert bits(getattr(whole, name)) == bits([getattr(row, name) for row in rows]), name


@both_forms
def test_the_set_and_the_single_functions_give_the_same_bits(compiled: bool) -> None:
    bars = bars_from(walk_of(300))
    high, low, close = bars.high, bars.low, bars.close
    single = (
        indicators.rsi(close, compiled=compiled),
        *indicators.macd(close, compiled=compiled),
        *indicators.bollinger(close, compiled=compiled),
        *indicators.adx(high, low, close, compiled=compiled),
        indicators.atr(high, low, close, compiled=compiled),
        indicators.sma(close, 50, compiled=compiled),
        indicators.ema(close, 20, compiled=compiled),
    )

    together = indicators.standard_set(bars, compiled=compiled)

    assert [bits(column) for column in single] == [bits(column) for column in together]
    assert bits(together.sma_20) == bits(indicators.sma(close, 20, compiled=compiled))


@both_forms
def test_any_column_of_floats_will_do(compiled: bool) -> None:
    closes = walk_of(60)
    wanted = bits(indicators.rsi(closes, compiled=compiled))
    table = np.asarray(closes).reshape(-1, 1).repeat(2, axis=1)

    for column in (
        array("d", closes),
        memoryview(array("d", closes)).toreadonly(),
        np.asarray(closes),
        table[:, 0],
        pd.Series(closes),
        tuple(closes),
    ):
        assert bits(indicators.rsi(column, compiled=compiled)) == wanted
    writable = np.asarray(closes)
    indicators.sma(writable, compiled=compiled)
    assert writable.flags.writeable


@both_forms
def test_indicators_chain_over_each_others_warm_up(compiled: bool) -> None:
    close = np.asarray(walk_of(100))

    smooth = indicators.sma(indicators.rsi(close, compiled=compiled), 5, compiled=compiled)

    assert_agrees(smooth, talib.SMA(talib.RSI(close, 14), 5), close, "chained")
    for mine, theirs in zip(
        indicators.bollinger(indicators.rsi(close, compiled=compiled), compiled=compiled),
        talib.BBANDS(talib.RSI(close, 14), 20, 2, 2),
        strict=True,
    ):
        assert_agrees(mine, theirs, close, "chained bands")
    assert np.isnan(np.asarray(indicators.sma([math.nan] * 9, 3, compiled=compiled))).all()


@both_forms
def test_an_empty_column_gives_an_empty_column(compiled: bool) -> None:
    assert len(indicators.rsi([], compiled=compiled)) == 0
    assert indicators.last(indicators.rsi([], compiled=compiled)) is None


@pytest.mark.parametrize(
    "call",
    [
        lambda: indicators.sma([1.0], 0),
        lambda: indicators.ema([1.0], -3),
        lambda: indicators.rsi([1.0], 1),
        lambda: indicators.rsi([1.0], 2.5),
        lambda: indicators.macd([1.0], 26, 12),
        lambda: indicators.bollinger([1.0], 1),
        lambda: indicators.atr([1.0, 2.0], [1.0], [1.0]),
    ],
)
def test_a_period_without_sense_or_uneven_columns_are_refused(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"whole number|differ in length"):
        call()


def test_machine_code_is_made_without_a_cache_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    from numba.core.caching import CacheImpl

    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    compiled = indicators._machine_code.__wrapped__()

    assert compiled["true_range"](3.0, 1.0, 0.5) == 2.5


def test_machine_code_of_other_source_is_never_taken_for_this(monkeypatch: pytest.MonkeyPatch) -> None:
    name = indicators._machine_code()["standard_blocks"].py_func.__qualname__
    monkeypatch.setattr(indicators.kernels, "__file__", __file__)

    assert indicators._machine_code.__wrapped__()["standard_blocks"].py_func.__qualname__ != name


def test_a_cold_command_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from ffe_core.analysis.indicators import rsi, StandardState\n"
        "import ffe_core.analysis.pulse, ffe_core.analysis.regime, ffe_core.analysis.shape\n"
        "rsi([float(i) for i in range(50)]); StandardState().update(1.0, 1.0, 1.0, 1.0)\n"
        "print(sorted({'numpy', 'numba', 'pandas', 'pandas_ta', 'talib'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_nothing_in_the_core_imports_talib() -> None:
    package = Path(ffe_core.__file__).parent

    assert not [path for path in package.rglob("*.py") if "import talib" in path.read_text(encoding="utf-8")]


@both_forms
@pytest.mark.parametrize("name", ["BTCUSD_1h_20200101_20231231", "EURUSD_1h_20200101_20231229"])
def test_the_standard_set_equals_talib_on_real_markets(name: str, compiled: bool, market_data: Path) -> None:
    bars = pd.read_parquet(market_data / f"{name}.parquet")
    if not compiled:
        bars = bars.tail(6000)
    high, low, close = (bars[column].to_numpy() for column in ("high", "low", "close"))

    ours = indicators.standard_set(bars, compiled=compiled)._asdict()

    for column, theirs in reference(high, low, close).items():
        assert_agrees(ours[column], theirs, close, column)


_ROW_FORMS = (
    (indicators.sma, 1, {"period": 7}), (indicators.ema, 1, {"period": 7}), (indicators.rsi, 1, {"period": 5}),
    (indicators.macd, 1, {"fast": 3, "slow": 7, "signal": 4}), (indicators.bollinger, 1, {"period": 6}),
    (indicators.atr, 3, {"period": 5}), (indicators.adx, 3, {"period": 4}),
)  # fmt: skip


@pytest.mark.parametrize(("function", "inputs", "params"), _ROW_FORMS, ids=lambda one: getattr(one, "__name__", ""))
def test_rows_of_columns_give_the_bits_of_each_column(
    function: Callable[..., object], inputs: int, params: dict[str, int]
) -> None:
    close = 100 * np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.02, (5, 90)), axis=1))
    columns = (close * 1.01, close * 0.99, close)[-inputs:]
    made = function(*columns, compiled=True, **params)
    tables = made if isinstance(made, tuple) else (made,)
    for row in range(5):
        one = function(*(column[row] for column in columns), **params)
        for table, column in zip(tables, one if isinstance(one, tuple) else (one,), strict=True):
            assert bits(table[row]) == bits(column)


_LEVELS = st.lists(st.sampled_from([math.nan, -1.0, 0.0, 1.0, 2.0]), max_size=40)


@given(first=_LEVELS, second=_LEVELS, level=st.sampled_from([0.0, 1.0]))
def test_crossings_are_the_same_in_every_form(first: list[float], second: list[float], level: float) -> None:
    bars = min(len(first), len(second))
    line, other = np.array(first[:bars]), np.array(second[:bars])
    for against in (other, level):
        plain = indicators.crossings(line, against)
        assert indicators.crossings(line, against, compiled=True).tolist() == plain.tolist()
        rows = np.stack([line, line]), np.stack([other, other]) if against is other else level
        for compiled in (False, True):
            assert indicators.crossings(*rows, compiled=compiled).tolist() == [plain.tolist()] * 2
