"""Names of assets, kinds, and when a bar begins and ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.domain.assets import (
    Asset,
    AssetKind,
    DayBoundary,
    Timeframe,
    describe_pair,
    is_canonical_pair,
)
from ffe_core.domain.clock import from_ms, to_ms


def ms(*parts: int) -> int:
    return to_ms(datetime(*parts, tzinfo=UTC))


# names


@pytest.mark.parametrize("text", ["BTCUSD", "btc-usd", "BTC/USD", "btc_usd", "  Btc Usd "])
def test_every_spelling_of_a_pair_is_one_asset(text):
    assert Asset.parse(text) == Asset("BTCUSD", "BTC", "USD", AssetKind.CRYPTO)


@pytest.mark.parametrize("text, symbol", [("eur/usd", "EURUSD"), (" my-asset_pair/123 ", "MYASSETPAIR123")])
def test_everything_but_letters_and_digits_is_dropped(text, symbol):
    assert Asset.parse(text).symbol == symbol


@pytest.mark.parametrize("text", ["", "   ", "-/_", "é", None, 7])
def test_what_names_no_asset_is_refused(text):
    with pytest.raises(ValueError, match="asset"):
        Asset.parse(text)


def test_a_short_name_is_kept_and_remarked_on():
    assert Asset.parse("GOOG").is_short_name
    assert not Asset.parse("BTCUSD").is_short_name


@pytest.mark.parametrize(
    "text, kind",
    [
        ("BTCUSD", AssetKind.CRYPTO),
        ("ETHUSDC", AssetKind.CRYPTO),
        ("ETHBTC", AssetKind.CRYPTO),
        ("MATICUSDT", AssetKind.CRYPTO),
        ("EUR_USD", AssetKind.FOREX),
        ("USDJPY", AssetKind.FOREX),
        ("XYZ", AssetKind.UNKNOWN),
        ("GOOG", AssetKind.UNKNOWN),
        ("XYZUSD", AssetKind.UNKNOWN),
    ],
)
def test_kind_is_told_by_the_two_halves_of_a_pair(text, kind):
    assert Asset.parse(text).kind is kind


def test_a_given_kind_overrides_what_the_name_tells():
    assert Asset.parse("goog", kind=AssetKind.STOCK).kind is AssetKind.STOCK


def test_a_canonical_pair_is_upper_case_and_long_enough():
    assert is_canonical_pair("BTCUSD")
    assert not is_canonical_pair("BTC")
    assert is_canonical_pair("BTC", shortest=3)
    assert not is_canonical_pair("btcusd")
    assert not is_canonical_pair("BTC-USD")
    assert not is_canonical_pair("BTCUSD\n")


def test_an_unknown_currency_is_only_remarked_on_and_a_quote_with_digits_is_not_plausible():
    assert describe_pair("BTCUSD") == (True, "")
    plausible, remark = describe_pair("XYZUSD")
    assert plausible
    assert "XYZ" in remark
    assert describe_pair("BTC123")[0] is False


@pytest.mark.slow
@given(st.text(min_size=1, max_size=30))
@settings(deadline=None)
def test_parsing_its_own_symbol_gives_the_same_asset(text):
    try:
        asset = Asset.parse(text)
    except ValueError:
        return
    assert Asset.parse(asset.symbol) == asset
    assert not asset.quote or asset.base + asset.quote == asset.symbol


# bars

KINDS = st.sampled_from(list(AssetKind))
ALWAYS_OPEN = st.sampled_from([AssetKind.CRYPTO, AssetKind.FOREX, AssetKind.UNKNOWN])
FRAMES = st.sampled_from(list(Timeframe))
INSTANTS = st.integers(min_value=ms(1990, 1, 1), max_value=ms(2040, 1, 1))


@pytest.mark.parametrize("frame", [frame for frame in Timeframe if frame is not Timeframe.D1])
@given(at=INSTANTS, kind=KINDS)
@settings(max_examples=20, deadline=None)
def test_up_to_four_hours_bars_stand_on_the_utc_grid_whatever_the_asset(frame, at, kind):
    label = frame.open_of(at, kind)
    assert label % frame.milliseconds == 0
    assert frame.close_of(label, kind) - label == frame.milliseconds


@given(at=INSTANTS, kind=ALWAYS_OPEN, frame=FRAMES)
@settings(max_examples=200, deadline=None)
def test_every_instant_lies_in_exactly_the_bar_that_it_is_given(at, kind, frame):
    label = frame.open_of(at, kind)
    closes = frame.close_of(label, kind)
    assert label <= at < closes
    assert frame.open_of(label, kind) == label
    assert frame.open_of(closes - 1, kind) == label
    assert frame.open_of(closes, kind) == closes


@given(at=INSTANTS)
@settings(max_examples=200, deadline=None)
def test_a_stock_day_is_labelled_by_its_date_and_ends_at_four_in_new_york(at):
    label = Timeframe.D1.open_of(at, AssetKind.STOCK)
    closes = Timeframe.D1.close_of(label, AssetKind.STOCK)
    assert label <= at
    assert label % Timeframe.D1.milliseconds == 0
    assert from_ms(closes).date() == from_ms(label).date()
    assert from_ms(closes).hour in (20, 21)


@pytest.mark.parametrize(
    "opens, closes, hours",
    [
        # 17:00 in New York is 22:00 UTC in winter and 21:00 in summer.
        ((2021, 1, 4, 22), (2021, 1, 5, 22), 24),
        ((2021, 7, 5, 21), (2021, 7, 6, 21), 24),
        ((2021, 3, 13, 22), (2021, 3, 14, 21), 23),
        ((2021, 11, 6, 21), (2021, 11, 7, 22), 25),
        ((2024, 3, 9, 22), (2024, 3, 10, 21), 23),
        ((2024, 11, 2, 21), (2024, 11, 3, 22), 25),
    ],
)
def test_a_forex_day_runs_from_17_to_17_in_new_york_through_both_clock_changes(opens, closes, hours):
    assert Timeframe.D1.close_of(ms(*opens), AssetKind.FOREX) == ms(*closes)
    assert timedelta(milliseconds=ms(*closes) - ms(*opens)) == timedelta(hours=hours)
    for at in (ms(*opens), ms(*closes) - 1):
        assert Timeframe.D1.open_of(at, AssetKind.FOREX) == ms(*opens)


def test_european_clock_changes_do_not_move_a_forex_day():
    # Europe changes on 2021-03-28, two weeks after New York.
    assert Timeframe.D1.open_of(ms(2021, 3, 28, 12), AssetKind.FOREX) == ms(2021, 3, 27, 21)


@pytest.mark.parametrize("opens, closes", [((2021, 1, 5), (2021, 1, 5, 21)), ((2021, 7, 6), (2021, 7, 6, 20))])
def test_a_stock_day_closes_with_the_session_not_at_midnight(opens, closes):
    assert Timeframe.D1.close_of(ms(*opens), AssetKind.STOCK) == ms(*closes)


def test_a_crypto_day_ends_at_midnight_utc():
    assert Timeframe.D1.close_of(ms(2021, 3, 13), AssetKind.CRYPTO) == ms(2021, 3, 14)


def test_kinds_declare_their_day():
    assert DayBoundary.of(AssetKind.FOREX) is DayBoundary.NEW_YORK_17
    assert DayBoundary.of(AssetKind.STOCK) is DayBoundary.SESSION
    assert DayBoundary.of(AssetKind.CRYPTO) is DayBoundary.UTC


@pytest.mark.parametrize(
    ("symbol", "base", "quote"),
    [("BNBUSD", "BNB", "USD"), ("BNBBUSD", "BNB", "BUSD"), ("OPUSDT", "OP", "USDT")],
)
def test_a_name_that_is_not_listed_ends_where_a_quote_leaves_a_name(symbol: str, base: str, quote: str) -> None:
    asset = Asset.parse(symbol)
    assert (asset.base, asset.quote) == (base, quote)
