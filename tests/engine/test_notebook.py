"""Results as DataFrames and as what a notebook shows."""

import html
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser

import pandas as pd
import pytest

from ffe_core import Engine, FixedClock, Opinion, Timeframe
from ffe_core.settings import Settings
from ffe_core.settings.sections import PluginsSettings

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
EARLIER = datetime(2026, 2, 1, tzinfo=UTC)
VOID = {"br", "img", "hr", "input", "meta", "link"}


class Tags(HTMLParser):
    """Which elements a fragment opens, and whether it closes them in order."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.opened, self.seen = [], set()

    def handle_starttag(self, tag, _attrs):
        self.seen.add(tag)
        if tag not in VOID:
            self.opened.append(tag)

    def handle_endtag(self, tag):
        assert self.opened.pop() == tag


def tags(fragment):
    parser = Tags()
    parser.feed(fragment)
    parser.close()
    assert parser.opened == []
    return parser.seen


@pytest.fixture
def engine(home):
    with Engine.from_settings(Settings(plugins=PluginsSettings(enabled=[])), clock=FixedClock(NOW)) as made:
        yield made


def test_a_decision_is_one_row_and_several_are_a_table(engine):
    decisions = [engine.analyze("BTCUSD", at=EARLIER), engine.analyze("ETHUSD", at=NOW)]
    table = pd.concat(decision.frame() for decision in decisions)

    assert list(table.index) == [decision.id for decision in decisions]
    assert list(table["asset_pair"]) == ["BTCUSD", "ETHUSD"]
    assert table["as_of"].iloc[0] == pd.Timestamp(EARLIER)
    assert list(table["action"]) == [decision.action.value for decision in decisions]
    assert table["synthetic"].all()
    numbers = ("entry_price", "position_size", "stop_loss_price", "risk_fraction", "price", "change")
    assert {str(table[name].dtype) for name in numbers} == {"float64"}
    assert table["price"].iloc[0] == decisions[0].market.price


def test_exact_amounts_become_floats_and_missing_ones_nan(engine):
    decision = replace(engine.analyze("BTCUSD", at=EARLIER), position_size=Decimal("0.10"), stop_loss_price=None)
    row = decision.frame().iloc[0]
    assert row["position_size"] == 0.1
    assert pd.isna(row["stop_loss_price"])


def test_a_pulse_has_a_row_for_each_frame_and_a_blank_one_where_there_are_no_data(engine):
    pulse = engine.analyze("BTCUSD", at=EARLIER, indicators=["willr"]).pulse
    pulse = replace(pulse, frames={**pulse.frames, Timeframe.M5: None})
    frame = pulse.frame()

    assert list(frame.index) == ["1m", "5m", "15m", "1h", "4h", "1d"]
    assert frame.loc["5m"].isna().all()
    assert frame.loc["1h", "rsi"] == pulse.frames[Timeframe.H1].rsi
    extra = pulse.frames[Timeframe.H1].extra
    assert extra
    assert [frame.loc["1h", name] for name in extra] == list(extra.values())
    tags(pulse._repr_html_())


def test_history_is_a_sequence_that_turns_into_a_frame(engine):
    first, second = engine.analyze("BTCUSD", at=EARLIER), engine.analyze("ETHUSD", at=EARLIER)
    history = engine.history()

    assert [row.id for row in history] == [second.id, first.id]
    frame = history.frame()
    assert list(frame.index) == [second.id, first.id]
    assert list(frame["asset_pair"]) == ["ETHUSD", "BTCUSD"]
    assert frame["created_at"].dt.tz is not None
    assert "table" in tags(history._repr_html_())
    assert engine.history(asset="btc-usd").frame().index.tolist() == [first.id]


def test_an_empty_history_is_an_empty_frame(engine):
    assert engine.history().frame().empty
    tags(engine.history()._repr_html_())


def test_a_notebook_shows_the_decision_its_votes_and_that_prices_are_invented(engine):
    decision = engine.analyze("BTCUSD", at=EARLIER)
    shown = decision._repr_html_()

    tags(shown)
    text = html.unescape(re.sub(r"<[^>]+>", " ", shown))
    assert "SYNTHETIC" in text
    assert f"BTCUSD {decision.action}" in text
    for opinion in decision.opinions:
        assert opinion.provider in text
        assert opinion.reasoning in text
    assert decision.id in text
    real = replace(decision, market=replace(decision.market, synthetic=False))
    assert "SYNTHETIC" not in real._repr_html_()
    assert "SYNTHETIC" in engine.history()._repr_html_()
    candles = engine.feed.candles(engine.asset("BTCUSD"), Timeframe.H1, end=EARLIER, bars=3)
    assert "SYNTHETIC" in candles._repr_html_()
    assert "3 bars" in candles._repr_html_()


@pytest.mark.parametrize(
    "text", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</td></table>", "\x1b[31m"]
)
def test_what_strangers_wrote_stays_text(engine, text):
    decision = engine.analyze("BTCUSD", at=EARLIER)
    failed = Opinion.failure("mallory", "m", f"no answer {text}")
    said = replace(decision.opinions[0], provider=f"m{text}", reasoning=text + "x")
    decision = replace(
        decision,
        reasoning=f"a {text}",
        effect_reason=text,
        opinions=(said, failed),
        pulse=replace(decision.pulse, summary=text),
    )
    for shown in (decision._repr_html_(), decision.pulse._repr_html_()):
        assert not tags(shown) & {"script", "img"}
        assert "\x1b" not in shown


def test_the_domain_knows_no_pandas():
    code = "import sys, ffe_core.domain.decisions, ffe_core.domain.market; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "False"
