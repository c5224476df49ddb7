"""A good source keeps the contract, and each kind of bad one breaks the check that is meant for it."""

from __future__ import annotations

import random
from array import array
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from ffe_core import Asset, Candles, NoData, Quote, SourceFailed, Timeframe
from ffe_core.testing import DataSourceContract, FakeSource, QuoteSourceContract, make_candles
from tests.testing.trials import broken_checks, contract, said_by


def good() -> FakeSource:
    return FakeSource(make_candles())


def test_a_good_source_breaks_nothing() -> None:
    class Failing(FakeSource):
        def candles(self, *_: Any, **__: Any) -> Candles:
            raise SourceFailed("the server is down")

    assert broken_checks(contract(DataSourceContract, good, failing=lambda: Failing(make_candles()))) == {}


def changed(candles: Candles, name: str, values: list[float] | list[int]) -> Candles:
    """A series that no check of its own was run on."""
    return replace(candles, **{name: memoryview(array("q" if name == "time" else "d", values))})


class Bending(FakeSource):
    """A source whose answers are bent on the way out."""

    def __init__(self, bend: Any) -> None:
        super().__init__(make_candles())
        self.bend = bend

    def candles(self, asset: Asset, timeframe: Timeframe, **span: Any) -> Candles:
        return self.bend(super().candles(asset, timeframe, **span))


def shuffled(bars: Candles) -> Candles:
    times = list(bars.time)
    return changed(bars, "time", [times[1], times[0], *times[2:]]) if len(times) > 1 else bars


def with_nan(bars: Candles) -> Candles:
    return changed(bars, "close", [float("nan"), *list(bars.close)[1:]])


def with_high_below_close(bars: Candles) -> Candles:
    return changed(bars, "high", [bars.close[0] / 2, *list(bars.high)[1:]])


def in_local_time(bars: Candles) -> Candles:
    return changed(bars, "time", [stamp + 20 * 60_000 for stamp in bars.time])


BENT = [
    (shuffled, "test_stamps_are_strictly_increasing", "follows"),
    (with_nan, "test_prices_are_finite_positive_and_consistent", "not finite"),
    (with_high_below_close, "test_prices_are_finite_positive_and_consistent", "the high is not the highest"),
    (lambda bars: changed(bars, "low", [0.0] * len(bars)), "test_prices_are_finite_positive_and_consistent", "above"),
    (lambda bars: changed(bars, "volume", [-1.0] * len(bars)), "test_prices_are_finite_positive_and_consistent", "vol"),
    (in_local_time, "test_stamps_are_utc_opens_on_the_grid_of_the_timeframe", "1200000 ms off"),
    (lambda bars: replace(bars, source="other"), "test_candles_are_of_the_asset_and_timeframe_asked_for", "'other'"),
    (
        lambda bars: replace(bars, asset=Asset.parse("ETHUSD")),
        "test_candles_are_of_the_asset_and_timeframe_asked_for",
        "got ETHUSD",
    ),
    (
        lambda bars: replace(bars, timeframe=Timeframe.D1),
        "test_candles_are_of_the_asset_and_timeframe_asked_for",
        "got 1d",
    ),
    (lambda bars: [bars], "test_candles_are_of_the_asset_and_timeframe_asked_for", "list, not Candles"),
    (
        lambda bars: changed(bars, "close", [value + random.random() for value in bars.close]),
        "test_the_same_question_twice_gives_the_same_bars",
        "different bars",
    ),
]


@pytest.mark.parametrize(("bend", "check", "said"), BENT)
def test_a_bent_answer_breaks_the_check_that_is_meant_for_it(bend: Any, check: str, said: str) -> None:
    assert said in said_by(contract(DataSourceContract, lambda: Bending(bend)), check)


class DeafToStart(FakeSource):
    def candles(self, asset: Asset, timeframe: Timeframe, *, start: Any, end: Any, limit: Any) -> Candles:
        return super().candles(asset, timeframe, start=None, end=end, limit=limit)


class EndInclusive(FakeSource):
    def candles(self, asset: Asset, timeframe: Timeframe, *, start: Any, end: Any, limit: Any) -> Candles:
        later = None if end is None else end + timedelta(milliseconds=1)
        return super().candles(asset, timeframe, start=start, end=later, limit=limit)


class DeafToLimit(FakeSource):
    def candles(self, asset: Asset, timeframe: Timeframe, *, start: Any, end: Any, limit: Any) -> Candles:
        return super().candles(asset, timeframe, start=start, end=end, limit=None)


class FirstInsteadOfLast(FakeSource):
    def candles(self, asset: Asset, timeframe: Timeframe, *, start: Any, end: Any, limit: Any) -> Candles:
        return super().candles(asset, timeframe, start=start, end=end, limit=None).slice(0, limit or 10_000)


class DropsOne(FakeSource):
    def candles(self, asset: Asset, timeframe: Timeframe, *, start: Any, end: Any, limit: Any) -> Candles:
        found = super().candles(asset, timeframe, start=start, end=end, limit=limit)
        return found.slice(1, len(found)) if start is not None and len(found) else found


class EmptyForUnknown(FakeSource):
    def candles(self, asset: Asset, timeframe: Timeframe, **span: Any) -> Candles:
        return super().candles(asset, timeframe, **span) if self.serves(asset) else Candles.empty(asset, timeframe, "x")


class KeyErrorForUnknown(FakeSource):
    def candles(self, asset: Asset, timeframe: Timeframe, **span: Any) -> Candles:
        if not self.serves(asset):
            raise KeyError(asset.symbol)
        return super().candles(asset, timeframe, **span)


class ServesEverything(FakeSource):
    def serves(self, asset: Asset) -> bool:
        return True


class ServesNothing(FakeSource):
    def serves(self, asset: Asset) -> bool:
        return False


class NeverEmpty(FakeSource):
    def candles(self, asset: Asset, timeframe: Timeframe, *, start: Any, end: Any, limit: Any) -> Candles:
        if start is not None and start == end:
            start = end = None
        return super().candles(asset, timeframe, start=start, end=end, limit=limit)


DEAF = [
    (DeafToStart, "test_bars_open_within_start_and_end_and_none_is_left_out", "bars open before it"),
    (EndInclusive, "test_bars_open_within_start_and_end_and_none_is_left_out", "at or after it"),
    (DropsOne, "test_bars_open_within_start_and_end_and_none_is_left_out", "came"),
    (DeafToLimit, "test_the_limit_keeps_the_last_bars", "limit 2 gave"),
    (FirstInsteadOfLast, "test_the_limit_keeps_the_last_bars", "did not give the last two"),
    (NeverEmpty, "test_an_empty_span_holds_no_bars", "500 bars"),
    (EmptyForUnknown, "test_an_unknown_asset_is_no_data", "NoData is meant"),
    (KeyErrorForUnknown, "test_an_unknown_asset_is_no_data", "KeyError"),
    (ServesEverything, "test_an_unknown_asset_is_no_data", "claims to serve"),
    (ServesNothing, "test_it_serves_the_asset_that_it_is_tried_with", "serves(BTCUSD) is False"),
]


@pytest.mark.parametrize(("kind", "check", "said"), DEAF)
def test_a_source_that_misreads_the_question_breaks_the_check_for_it(kind: Any, check: str, said: str) -> None:
    assert said in said_by(contract(DataSourceContract, lambda: kind(make_candles())), check)


def test_a_failing_upstream_that_raises_its_own_error_or_returns_bars_is_told() -> None:
    class Leaking(FakeSource):
        def candles(self, *_: Any, **__: Any) -> Candles:
            raise ConnectionError("refused")

    leaking = contract(DataSourceContract, good, failing=lambda: Leaking(make_candles()))
    assert "SourceFailed is meant" in said_by(leaking, "test_a_failing_upstream_is_a_data_error")
    hiding = contract(DataSourceContract, good, failing=good)
    assert "candles came nevertheless" in said_by(hiding, "test_a_failing_upstream_is_a_data_error")


@dataclass
class Chatty(FakeSource):
    """Its repr shows its key."""

    api_key: str = "k-123456"

    def __post_init__(self) -> None:
        super().__init__(make_candles())


def test_a_key_in_the_repr_is_told_even_when_nobody_named_it() -> None:
    assert "shows a secret" in said_by(contract(DataSourceContract, Chatty), "test_it_keeps_its_secrets")


def test_names_that_settings_could_not_choose_are_told() -> None:
    check = "test_its_name_is_one_that_settings_can_use"
    loud = contract(DataSourceContract, lambda: FakeSource(make_candles(), name="My Source"))
    assert "'My Source'" in said_by(loud, check)
    names = iter(["one", "two"])
    fickle = contract(DataSourceContract, lambda: FakeSource(make_candles(), name=next(names)))
    assert "from 'one' to 'two'" in said_by(fickle, check)


def test_a_missing_method_is_named() -> None:
    class Half:
        name = "half"

        def serves(self, asset: Asset) -> bool:
            return True

    assert "candles is missing" in said_by(contract(DataSourceContract, Half), "test_it_has_every_method_of_its_port")


class Quoting:
    name = "quoting"

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def quote(self, asset: Asset) -> Quote:
        return self.answer(asset)


def test_a_good_quote_source_breaks_nothing() -> None:
    assert broken_checks(contract(QuoteSourceContract, good)) == {}


def test_quotes_of_another_asset_or_without_a_zone_or_for_the_unknown_are_told() -> None:
    at = datetime(2024, 1, 1, tzinfo=UTC)
    constant = Quote(Asset.parse("ETHUSD"), Decimal(1), Decimal(2), at, "x")
    always = contract(QuoteSourceContract, lambda: Quoting(lambda _: constant))
    assert "got ETHUSD" in said_by(always, "test_a_quote_is_of_the_asset_asked_for")
    assert "NoData is meant" in said_by(always, "test_an_unknown_asset_has_no_quote")
    bare = contract(QuoteSourceContract, lambda: Quoting(lambda _: (1, 2)))
    assert "tuple" in said_by(bare, "test_a_quote_is_of_the_asset_asked_for")

    def unknown(asset: Asset) -> Quote:
        raise KeyError(asset.symbol)

    assert "KeyError" in said_by(
        contract(QuoteSourceContract, lambda: Quoting(unknown)), "test_an_unknown_asset_has_no_quote"
    )


def test_a_source_with_every_asset_is_not_asked_for_an_unknown_one() -> None:
    def endless() -> Any:
        class Endless(FakeSource):
            def serves(self, asset: Asset) -> bool:
                return True

        return Endless(make_candles())

    assert broken_checks(contract(DataSourceContract, endless, unknown_asset=None)) == {}


def test_no_data_is_what_the_fake_raises_for_an_empty_span() -> None:
    with pytest.raises(NoData, match="in that span"):
        good().candles(
            Asset.parse("BTCUSD"),
            Timeframe.H1,
            start=datetime(1999, 1, 1, tzinfo=UTC),
            end=datetime(1999, 1, 2, tzinfo=UTC),
            limit=None,
        )
