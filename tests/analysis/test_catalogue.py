"""Indicators by name: right values, nothing from the future, nothing from TA-Lib."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
import talib

from ffe_core.analysis import catalogue
from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.clock import from_ms
from ffe_core.domain.market import Candles
from ffe_core.errors import UnknownName, UsageError
from tests.analysis.series import bars_from, walk_of

BARS = bars_from(walk_of(300, seed=8))
HIGH, LOW, CLOSE = (np.frombuffer(getattr(BARS, name)) for name in ("high", "low", "close"))


def test_the_stochastic_equals_talib() -> None:
    k, d = talib.STOCH(HIGH, LOW, CLOSE, 14, 1, 0, 3, 0)

    values = catalogue.compute("stoch", BARS)

    assert values["stochk_14_3_1"] == pytest.approx(k[-1], rel=1e-9)
    assert values["stochd_14_3_1"] == pytest.approx(d[-1], rel=1e-9)


def test_cci_and_williams_equal_talib() -> None:
    assert catalogue.compute("cci", BARS)["cci_20_0.015"] == pytest.approx(
        talib.CCI(HIGH, LOW, CLOSE, 20)[-1], rel=1e-9
    )
    assert catalogue.compute("willr", BARS)["willr_14"] == pytest.approx(
        talib.WILLR(HIGH, LOW, CLOSE, 14)[-1], rel=1e-9
    )


def test_the_weighted_close_equals_talib() -> None:
    assert catalogue.compute("wcp", BARS)["wcp"] == pytest.approx(talib.WCLPRICE(HIGH, LOW, CLOSE)[-1], rel=1e-12)


def test_ichimoku_shows_what_is_known_at_the_bar() -> None:
    def middle(end: int, period: int) -> float:
        return float(HIGH[end - period + 1 : end + 1].max() + LOW[end - period + 1 : end + 1].min()) / 2

    last = len(CLOSE) - 1
    values = catalogue.compute("ichimoku", BARS)
    drawn = last - 25  # the cloud over this bar was drawn then
    spans = ((middle(drawn, 9) + middle(drawn, 26)) / 2, middle(drawn, 52))

    assert values["its_9"] == pytest.approx(middle(last, 9))
    assert values["iks_26"] == pytest.approx(middle(last, 26))
    assert (values["isa_9"], values["isb_26"]) == pytest.approx(spans)
    assert values["ichimoku_price_above_cloud"] == float(CLOSE[-1] > max(spans))
    assert not any(key.startswith("ics") for key in values)


def test_parameters_are_passed_on_and_checked() -> None:
    assert catalogue.compute("willr", BARS, length=30)["willr_30"] == pytest.approx(
        talib.WILLR(HIGH, LOW, CLOSE, 30)[-1], rel=1e-9
    )
    with pytest.raises(UnknownName, match="unknown parameter of willr 'lenght'; did you mean length"):
        catalogue.compute("willr", BARS, lenght=30)
    with pytest.raises(UnknownName, match="parameter of willr 'offset'"):
        catalogue.compute("willr", BARS, offset=-5)
    with pytest.raises(UnknownName, match="parameter of willr 'talib'"):
        catalogue.compute("willr", BARS, talib=True)


def test_a_value_that_the_formula_cannot_take_is_one_line() -> None:
    with pytest.raises(UsageError, match="indicator cci cannot be computed"):
        catalogue.compute("cci", BARS, length="long")


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="unknown indicator 'supertrand'; did you mean supertrend"):
        catalogue.compute("supertrand", BARS)


@pytest.mark.parametrize("name", ["stoch", "cci", "willr", "ichimoku", "kst", "macd"])
def test_too_few_bars_give_no_value(name: str) -> None:
    few = catalogue.compute(name, BARS.tail(5))
    none = catalogue.compute(name, Candles.empty(Asset.parse("BTCUSD"), Timeframe.H1, "test"))

    assert set(few.values()) == set(none.values()) == {None}


def test_every_indicator_gives_finite_numbers_or_none_on_any_length() -> None:
    for name in catalogue.names():
        for bars in (1, 2, 14, 60, 300):
            for value in catalogue.compute(name, BARS.tail(bars)).values():
                assert value is None or np.isfinite(value), (name, bars)


def test_a_flat_market_is_no_number_rather_than_an_infinite_one() -> None:
    flat = bars_from([1.1] * 60, spread=0.0)

    assert set(catalogue.compute("cci", flat).values()) == {None}
    for name in catalogue.names():
        assert all(value is None or np.isfinite(value) for value in catalogue.compute(name, flat).values()), name


def test_what_would_corrupt_memory_or_needs_talib_is_not_offered() -> None:
    assert not {"zigzag", "cdl_pattern"} & set(catalogue.names())
    assert {"stoch", "cci", "willr", "ichimoku", "supertrend"} <= set(catalogue.names())


@pytest.mark.slow
def test_no_value_at_a_bar_changes_when_later_bars_change() -> None:
    cut = 250
    at = BARS.timeframe.close_of(BARS.time[cut - 1])
    other = bars_from([*BARS.close[:cut], *(price * 3.0 for price in BARS.close[cut:])])

    for name in catalogue.names():
        assert catalogue.compute(name, BARS.as_of(from_ms(at))) == catalogue.compute(name, other.as_of(from_ms(at))), (
            name
        )


def test_no_value_depends_on_whether_talib_is_installed() -> None:
    script = (
        "import json, sys\n"
        "sys.modules['talib'] = None\n"
        "from ffe_core.analysis import catalogue\n"
        "from tests.analysis.series import bars_from, walk_of\n"
        "bars = bars_from(walk_of(300, seed=8))\n"
        "print(json.dumps({name: catalogue.compute(name, bars) for name in catalogue.names()}))\n"
    )
    without = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert "talib" in sys.modules
    found = json.loads(without.stdout.splitlines()[-1])
    assert found == {name: dict(catalogue.compute(name, BARS)) for name in catalogue.names()}
