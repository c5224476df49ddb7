"""A market under a mask: nothing that names it is left, and nothing else has changed."""

import json
import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core import Asset, FixedClock, Freshness, Note, Timeframe, Trust
from ffe_core.ai.anonymise import Mask, anonymise, mask_of, masked, weeks_back
from ffe_core.ai.prompt import render_prompt
from ffe_core.builtin.rules import ffe_ai_providers
from ffe_core.domain.codec import plain
from ffe_core.domain.decisions import AccountView
from ffe_core.engine import Engine
from ffe_core.plugins import load_plugins
from ffe_core.settings import Settings
from tests.engine.deciding import Memory

AT = datetime(2023, 6, 1, 13, tzinfo=UTC)
BTC = Asset.parse("BTCUSD")
EXTRAS = ("stoch", "cci", "willr", "ichimoku", "supertrend", "variance")


class Renamed:
    """``demo`` as a market of another name, at another time and price: the slow way to the same briefing."""

    def __init__(self, source, mask):
        self.name, self._source, self._mask = "renamed", source, mask

    def serves(self, asset):
        return True

    def candles(self, asset, timeframe, *, start, end, limit):
        later = timedelta(weeks=self._mask.weeks)
        found = self._source.candles(
            BTC, timeframe, start=start and start + later, end=end and end + later, limit=limit
        )
        return masked(found, self._mask)


def gathered(settings, asset, at, *sources):
    from ffe_core.plugins.registry import Offer

    registry = load_plugins(settings, clock=FixedClock(AT))
    for make in sources:
        source = make(registry)
        registry.offer("source", source.name, Offer("test", source))
    engine = Engine(settings, registry, clock=FixedClock(AT), store=Memory())
    return engine._gather(asset, at, engine.feed, EXTRAS)


@pytest.fixture(scope="module")
def real():
    found = gathered(Settings(), BTC, AT)
    return found.inputs.briefing, found.found.series


@pytest.fixture(scope="module")
def mask(real):
    briefing, series = real
    return mask_of(briefing, series, number=7, weeks=weeks_back(0, [AT]), extras=EXTRAS)


def leaves(value, path=""):
    if isinstance(value, dict):
        for name, held in value.items():
            yield from leaves(held, f"{path}.{name}")
    elif isinstance(value, list):
        for index, held in enumerate(value):
            yield from leaves(held, f"{path}[{index}]")
    else:
        yield path, value


def test_the_mask_equals_the_whole_pipeline_run_on_a_market_that_is_really_so(real, mask):
    """Every number of the masked briefing is the one that analysis finds on rescaled bars at the earlier time."""
    briefing, _ = real
    there = gathered(
        Settings(data={"sources": ["renamed"]}), mask.asset(BTC), mask.at(AT),
        lambda registry: Renamed(registry.require("source", "demo"), mask),
    ).inputs.briefing  # fmt: skip
    ours, theirs = dict(leaves(plain(anonymise(briefing, mask)))), dict(leaves(plain(there)))
    skipped = {".market.source", ".market.fingerprint"}
    assert ours.keys() == theirs.keys()
    for path in ours.keys() - skipped:
        one, other = ours[path], theirs[path]
        if isinstance(one, float):
            assert math.isclose(one, other, rel_tol=1e-7, abs_tol=1e-7), path
        elif path != ".pulse.summary":
            assert one == other, path


def test_numbers_are_rescaled_by_one_factor_or_are_the_same_to_the_last_bit(real, mask):
    briefing, _ = real
    before, after = dict(leaves(plain(briefing))), dict(leaves(plain(anonymise(briefing, mask))))
    factor = 100 / mask.first_close
    rescaled = set()
    for path, value in before.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or ".extra." in path:
            continue
        if after[path] == value:
            continue
        assert math.isclose(after[path], value * factor, rel_tol=1e-12), path
        rescaled.add(path.rpartition(".")[2])
    assert rescaled == set(
        "price bar_open bar_high bar_low price_range body_size upper_wick lower_wick macd macd_signal macd_histogram "
        "bb_upper bb_middle bb_lower atr sma_20 sma_50".split()
    )


@given(first=st.floats(1e-6, 1e6), weeks=st.integers(53, 520))
def test_rules_answer_the_same_under_any_mask(real, first, weeks):
    briefing, _ = real
    hidden = anonymise(briefing, Mask(1, weeks, first))
    # A lot is drawn from the bar's own time, which the mask moves; every other rule reads the market.
    for rule in (each for each in ffe_ai_providers() if each.name != "random_entry"):
        plain_, masked_ = rule.ask(briefing, timeout=1), rule.ask(hidden, timeout=1)
        assert (plain_.action, plain_.confidence) == (masked_.action, masked_.confidence)
    ratio = briefing.market.price / briefing.market.bar_low
    assert math.isclose(hidden.market.price / hidden.market.bar_low, ratio, rel_tol=1e-12)
    assert hidden.market.change == briefing.market.change
    assert briefing.as_of - hidden.as_of == timedelta(weeks=weeks)


def test_the_first_close_of_the_decisions_series_is_a_hundred(real, mask):
    _, series = real
    assert masked(series[Timeframe.H1], mask).close[0] == 100.0


def test_the_prompt_names_neither_asset_nor_date_nor_price(real, mask):
    briefing, _ = real
    stale = Freshness(False, "critical", 1.0, "1 s", "CRITICAL: data end 2023-04-01T00:00:00Z, 61 days ago")
    market = replace(briefing.market, freshness=stale, remarks=("gap at 2023-05-01",))
    account = AccountView(Decimal("0.7"), Decimal("0.1"), None, {"BTCEUR": Decimal("0.15"), "GOOG": Decimal("0.05")})
    held = replace(briefing, market=market, notes=(Note("x", Trust.OWN, AT, "the range is narrow"),), account=account)
    told = render_prompt(held, max_tokens=100_000)
    hidden = anonymise(held, mask)
    shown = render_prompt(hidden, max_tokens=100_000)
    text = f"{shown.system}\n{shown.user}"
    assert "BTC" in told.user and "2023" in told.user
    for word in ("BTC", "USD", "2023", f"{briefing.market.price:.0f}"):
        assert word not in text
    assert "ASSET_7 (crypto)" in text
    assert "the range is narrow" in text
    assert "ASSET_7 +10.00%, ASSET_8 +15.00%, ASSET_9 +5.00%" in text
    # Nor does anything that a provider could read besides.
    assert not re.search(r"BTC|GOOG|2023|demo", json.dumps(plain(hidden)))


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("Bitcoin falls", False),
        ("btc-usd at a new high", False),
        ("the B.T.C./USD rate", False),
        ("$BTC to the moon", False),
        ("as it was in 2021", False),
        ("The \uff22\uff34\uff23 market", False),
        ("Miners unplug", True),
        ("the dollar is strong", True),
        ("subtract one", True),
    ],
)
def test_notes_that_give_it_away_are_left_out_and_counted(real, text, stays):
    briefing, series = real
    held = replace(briefing, notes=(Note("news", Trust.UNTRUSTED, AT, text),))
    made = mask_of(held, series, number=1, weeks=60)
    assert len(made.withheld) == (0 if stays else 1)
    shown = anonymise(held, made).notes
    assert [note.text for note in shown] == ([text] if stays else [])
    assert all(note.available_at == AT - timedelta(weeks=60) for note in shown)


def test_of_an_asset_without_known_names_no_stranger_is_quoted(real):
    briefing, series = real
    notes = tuple(Note("news", trust, AT, "profits rise") for trust in Trust)
    held = replace(briefing, asset=Asset.parse("GOOG"), notes=notes)
    held = replace(held, notes=tuple(replace(note, text=f"{note.trust}: {note.text}") for note in notes))
    made = mask_of(held, series, number=1, weeks=60)
    assert len(made.withheld) == 1
    assert [note.trust for note in anonymise(held, made).notes] == [Trust.OWN, Trust.MEASURED]


def test_what_is_said_under_the_mask_is_heard_under_it(real):
    briefing, series = real
    held = replace(briefing, asset=Asset.parse("GOOG"))
    made = mask_of(held, series, number=1, weeks=60)
    case = Note("bull", Trust.UNTRUSTED, AT, "BUY 80: ASSET_1 holds above its mean since 2019")
    assert [note.text for note in anonymise(replace(held, notes=(case,)), made).notes] == [case.text]


@given(st.integers(), st.datetimes(datetime(2015, 1, 1), datetime(2025, 12, 31), timezones=st.just(UTC)))
def test_the_shift_is_whole_weeks_and_keeps_the_hour_of_new_york(seed, at):
    weeks = weeks_back(seed, [at])
    assert 53 <= weeks <= 520
    assert weeks == weeks_back(seed, [at])
    zone = ZoneInfo("America/New_York")
    here, there = at.astimezone(zone), (at - timedelta(weeks=weeks)).astimezone(zone)
    assert (here.weekday(), here.time()) == (there.weekday(), there.time())


def test_one_shift_serves_a_whole_probe():
    year = [AT + timedelta(weeks=week) for week in range(52)]
    assert 53 <= weeks_back(3, year) <= 520
