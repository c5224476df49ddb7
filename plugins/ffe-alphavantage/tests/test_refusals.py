"""Refusals inside a 200, quotas that are remembered, and a key that shows nowhere."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ffe_alphavantage.refusals import Refusal, refusal_of
from ffe_alphavantage.standin import BURST, DAY, KEY, MINUTE, PREMIUM, AlphaVantageStandIn
from pydantic import SecretStr

from ffe_core import (
    Asset,
    AssetKind,
    FfeError,
    NoData,
    NotConfigured,
    RateLimited,
    SourceFailed,
    Timeframe,
)
from ffe_core.testing.loopback import Canned

type Make = Callable[..., Any]
AAPL = Asset.parse("AAPL", kind=AssetKind.STOCK)
ECHO = DAY.format(key=KEY)


def read(desk: Any, symbol: str = "AAPL") -> Any:
    asset = Asset.parse(symbol, kind=AssetKind.STOCK)
    return desk.source.candles(asset, Timeframe.D1, start=None, end=None, limit=3)


@pytest.mark.parametrize(
    ("body", "meant"),
    [
        ({"Error Message": "the parameter apikey is invalid or missing. Please claim your free key"}, Refusal.KEY),
        ({"Information": "The parameter apikey is invalid or missing."}, Refusal.KEY),
        ({"Information": ECHO}, Refusal.DAY),
        ({"Information": BURST}, Refusal.BURST),
        ({"Note": MINUTE}, Refusal.MINUTE),
        ({"Information": PREMIUM}, Refusal.PREMIUM),
        ({"Information": "The outputsize=full parameter value is a premium feature for X"}, Refusal.PREMIUM),
        ({"Information": "No articles found. Please adjust the time range"}, Refusal.NOTHING),
        ({"Information": "Invalid inputs. Please refer to the API documentation"}, Refusal.UNKNOWN),
        ({"Error Message": "Invalid API call. Please retry or visit (x) for TIME_SERIES_DAILY."}, Refusal.UNKNOWN),
        ({"Error Message": "This API function (X) does not exist."}, Refusal.FUNCTION),
        ({}, Refusal.OUTAGE),
        ({"Information": "hello"}, Refusal.STRANGE),
        ([], Refusal.STRANGE),
        ({"data": [], "Information": ECHO}, None),
    ],
)
def test_a_sentence_is_read_for_what_it_means(body: Any, meant: Refusal | None) -> None:
    assert refusal_of(body, "data") is meant


HTML = {"Content-Type": "text/html"}
FAULTS: dict[str, tuple[Canned, type[FfeError]]] = {
    "bad key": (Canned({"Error Message": f"the parameter apikey {KEY} is invalid or missing."}), NotConfigured),
    "day": (Canned({"Information": ECHO}), RateLimited),
    "minute": (Canned({"Note": MINUTE + KEY}), RateLimited),
    "too many": (Canned({"a": KEY}, 429), RateLimited),
    "unknown symbol": (Canned({"Error Message": f"Invalid API call {KEY}."}), NoData),
    "strange": (
        Canned({"Information": f"We have detected your API key as {KEY.lower()} and apikey={KEY}"}),
        SourceFailed,
    ),
    "outage": (Canned({}), SourceFailed),
    "list": (Canned([KEY]), SourceFailed),
    "html": (Canned(f"<html>{KEY}</html>".encode(), 200, HTML), SourceFailed),
    "html 502": (Canned(f"<html>{KEY}</html>".encode(), 502, HTML), SourceFailed),
    "nothing": (Canned(b""), SourceFailed),
    "broken": (Canned(f'{{"Information": "{KEY}'.encode()), SourceFailed),
    "cut": (Canned({"Information": KEY * 40}, cut=30), SourceFailed),
    "redirect": (Canned(b"", 302, {"Location": f"https://elsewhere.example/{KEY}?apikey={KEY}"}), SourceFailed),
    "403": (Canned({"message": f"no {KEY}"}, 403), SourceFailed),
    "reset": (Canned(reset=True), SourceFailed),
}


@pytest.mark.parametrize("name", FAULTS)
def test_every_failure_has_its_type_and_never_shows_the_key(
    name: str, desk: Make, server: AlphaVantageStandIn, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    canned, kind = FAULTS[name]
    server.faults += [canned] * 5
    made = desk()
    with pytest.raises(kind) as caught:
        read(made)
    assert type(caught.value) in (kind, *kind.__subclasses__())
    said = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + str(caught.value.hint)
    said += repr(made.settings) + repr(made.api) + repr(made.source) + caplog.text + str(made.log.lines)
    assert KEY.lower() not in said.lower()
    assert_nowhere_on_disk(tmp_path, KEY)


def assert_nowhere_on_disk(folder: Path, secret: str) -> None:
    for each in folder.rglob("*"):
        assert secret.lower() not in each.name.lower()
        if each.is_file():
            assert secret.lower().encode() not in each.read_bytes().lower(), each


def test_a_good_answer_that_repeats_the_key_is_used_and_not_kept(
    desk: Make, server: AlphaVantageStandIn, tmp_path: Path
) -> None:
    read(desk())
    answer = server.answer(server.requests[0])
    server.faults.append(Canned({**answer.body, "Note": f"for {KEY}"}))
    assert len(read(desk(keep_days=0))) == 3
    assert_nowhere_on_disk(tmp_path, KEY)
    assert list(tmp_path.rglob("answers/*"))


def test_a_key_with_signs_is_hidden_as_a_url_spells_it(desk: Make, server: AlphaVantageStandIn) -> None:
    server.faults += [Canned({"Information": "no a%2Fb%2Bcd and no a/b+cd"})]
    with pytest.raises(SourceFailed) as caught:
        read(desk(api_key=SecretStr("a/b+cd")))
    assert "a%2Fb" not in caught.value.message
    assert "a/b" not in caught.value.message


def test_a_burst_is_waited_out_once(desk: Make, server: AlphaVantageStandIn) -> None:
    server.faults.append(Canned({"Information": BURST}))
    made = desk()
    assert len(read(made)) == 3
    assert sum(made.time.slept) >= 1
    server.faults += [Canned({"Information": BURST})] * 2
    with pytest.raises(RateLimited, match="faster"):
        read(made, "IBM")


def test_calls_keep_a_second_apart(desk: Make, server: AlphaVantageStandIn) -> None:
    made = desk()
    read(made)
    assert made.time.slept == []
    read(made, "IBM")
    assert made.time.slept == [pytest.approx(1.0)]


def test_a_spent_day_is_remembered_by_the_next_command(desk: Make, server: AlphaVantageStandIn) -> None:
    server.per_day = 0
    with pytest.raises(RateLimited, match="today"):
        read(desk())
    made = desk()
    for _ in range(3):
        with pytest.raises(RateLimited):
            read(made)
    assert len(server.requests) == 1
    # Midnight in New York is five in the morning, UTC.
    server.per_day = None
    made.time.sleep(12 * 3600 - 60)
    with pytest.raises(RateLimited):
        read(made)
    made.time.sleep(61)
    server.at = made.time.at
    assert len(read(made)) == 3


def test_the_days_calls_are_counted_over_commands(desk: Make, server: AlphaVantageStandIn) -> None:
    assert len(read(desk(per_day=2))) == 3
    assert len(read(desk(per_day=2), "IBM")) == 3
    with pytest.raises(RateLimited):
        read(desk(per_day=2, symbols={"BRKB": "BRK.B"}), "BRKB")
    # What was kept is there all the same.
    assert len(read(desk(per_day=2))) == 3
    assert len(server.requests) == 2


def test_equal_questions_of_two_threads_are_one_call(desk: Make, server: AlphaVantageStandIn) -> None:
    from concurrent.futures import ThreadPoolExecutor

    made = desk()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: read(made).fingerprint, range(8)))
    assert len(set(found)) == 1
    assert len(server.requests) == 1


def test_the_engine_does_not_take_a_spent_quota_for_a_broken_source(desk: Make, server: AlphaVantageStandIn) -> None:
    from ffe_core.plugins.guard import Guard
    from ffe_core.plugins.proxies import GuardedSource

    server.per_day = 0
    guarded = GuardedSource(desk().source, Guard("alphavantage", 5.0, (KEY,)), "alphavantage")
    with pytest.raises(RateLimited, match="today"):
        guarded.candles(AAPL, Timeframe.D1, start=None, end=None, limit=3)
