from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time

import pytest

from ffe_core.domain.codec import canonical_json
from tests.plugins.conftest import site  # noqa: F401 - the fixture

AT = "2023-06-01T00:00:00Z"
VARYING = {"id", "created_at", "hash", "previous_hash", "latency_ms", "fetched_at"}
FIELDS = (
    "id asset_pair asset_type as_of created_at mode action effect confidence raw_confidence reasoning amount "
    "position_type entry_price position_size sizing stop_loss_price stop_loss_fraction take_profit_price "
    "risk_fraction signal_only market pulse regime opinions ensemble_metadata rulings hash previous_hash"
).split()
FRAME_FIELDS = (
    "trend strength signal_strength rsi macd macd_signal macd_histogram bb_upper bb_middle bb_lower bb_percent_b adx "
    "plus_di minus_di atr sma_20 sma_50 volatility_class bars"
).split()
OPINION_FIELDS = (
    "provider model action confidence reasoning amount latency_ms tokens_in tokens_out cost_usd error"
).split()


def stripped(value):
    if isinstance(value, dict):
        return {key: stripped(item) for key, item in value.items() if key not in VARYING}
    return [stripped(item) for item in value] if isinstance(value, list) else value


@pytest.fixture
def files(home, market_data, monkeypatch):
    """The real candles as the user's own folder."""
    monkeypatch.setenv("FFE_PLUGINS__FILES__PATH", str(market_data))


def test_a_decision_has_every_promised_field(ffe, files):
    data = ffe("analyze", "BTCUSD", "--source", "files", "--at", AT, "--json").data
    assert set(FIELDS) <= set(data)
    assert {"source", "synthetic", "fingerprint", "freshness", "price", "change", "volatility"} <= set(data["market"])
    assert {"is_fresh", "age", "message"} <= set(data["market"]["freshness"])
    assert list(data["pulse"]["timeframes"]) == ["1m", "5m", "15m", "1h", "4h", "1d"]
    assert set(FRAME_FIELDS) <= set(data["pulse"]["timeframes"]["1h"])
    assert data["pulse"]["timeframes"]["1m"] is None
    assert data["pulse"]["missing"] == ["1m", "5m", "15m"]
    assert {"direction", "score", "conflicts"} <= set(data["pulse"]["confluence"])
    assert {"formula_quantity", "clamps"} <= set(data["sizing"])
    for opinion in data["opinions"]:
        assert set(OPINION_FIELDS) <= set(opinion)
    assert data["market"]["price"] == 27223.08
    assert data["market"]["synthetic"] is False


def test_an_entry_on_real_data_is_sized_within_every_limit(ffe, files):
    data = ffe("analyze", "ETHUSD", "--source", "files", "--at", "2022-06-14T03:00:00Z", "--json").data
    assert (data["action"], data["effect"], data["position_type"]) == ("BUY", "open_long", "LONG")
    assert float(data["position_size"]) * float(data["entry_price"]) <= 2500
    assert float(data["stop_loss_price"]) < float(data["entry_price"]) < float(data["take_profit_price"])
    assert data["risk_fraction"] <= 0.01
    assert isinstance(data["position_size"], str)
    assert isinstance(data["risk_fraction"], float)
    # The day before, ether had lost a fifth: the view was not sure enough for such a market.
    told = {ruling["rule"]: ruling for ruling in data["rulings"] if ruling["outcome"] == "clamped"}
    assert list(told) == ["volatility"]
    assert float(told["volatility"]["after"]) == pytest.approx(float(told["volatility"]["before"]) / 2)
    assert data["position_size"] == told["volatility"]["after"]
    others = {ruling["outcome"] for ruling in data["rulings"] if ruling["rule"] not in told}
    assert others == {"passed", "not_applicable"}


@pytest.mark.parametrize("spelling", ["BTCUSD", "btc-usd", "BTC/USD", "btc_usd", " BTCUSD "])
def test_any_spelling_of_a_pair_will_do(ffe, spelling):
    assert ffe("analyze", spelling, "--at", AT, "--json").data["asset_pair"] == "BTCUSD"


def test_the_same_command_twice_gives_the_same_bytes(ffe):
    first, second = (ffe("analyze", "BTCUSD", "--at", AT, "--json").data for _ in range(2))
    assert canonical_json(stripped(first)) == canonical_json(stripped(second))
    assert second["previous_hash"] == first["hash"]


@pytest.mark.postgres
def test_both_databases_keep_the_same_bytes(ffe, postgres_url, monkeypatch):
    embedded = ffe("analyze", "ETHUSD", "--at", AT, "--json").data
    kept = ffe("show", embedded["id"], "--json").data
    monkeypatch.setenv("FFE_STORE__URL", postgres_url)
    assert ffe("db", "upgrade").code == 0
    served = ffe("analyze", "ETHUSD", "--at", AT, "--json").data
    assert canonical_json(stripped(embedded)) == canonical_json(stripped(served))
    assert canonical_json(stripped(kept)) == canonical_json(stripped(ffe("show", served["id"], "--json").data))


@pytest.mark.parametrize("provider", ["local", "trend_adx", "rsi_reversion"])
def test_each_provider_can_be_asked_alone(ffe, provider):
    data = ffe("analyze", "BTCUSD", "--provider", provider, "--at", AT, "--json").data
    assert [opinion["provider"] for opinion in data["opinions"]] == [provider]
    assert data["ensemble_metadata"]["fallback_tier"] == "single_provider"
    assert data["confidence"] == data["opinions"][0]["confidence"]


def test_names_may_be_typed_in_any_case(ffe):
    data = ffe("analyze", "BTCUSD", "-p", "Local", "--source", "DEMO", "--at", AT, "--json").data
    assert [opinion["provider"] for opinion in data["opinions"]] == ["local"]
    assert data["market"]["source"] == "demo"
    assert ffe("data", "candles", "BTCUSD", "--source", "Demo", "--limit", "1", "--json").data["source"] == "demo"


def test_the_word_ensemble_means_the_configured_panel(ffe):
    data = ffe("analyze", "BTCUSD", "-p", "ensemble", "--at", AT, "--json").data
    assert [opinion["provider"] for opinion in data["opinions"]] == ["local", "trend_adx", "rsi_reversion"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["BTCUSD", "--provider", "lokal"], 2, "did you mean local?"),
        (["BTCUSD", "--source", "demmo"], 2, "did you mean demo?"),
        (["BTCUSD", "--at", "2023-06-01"], 2, "no time zone"),
        (["BTCUSD", "--at", "yesterday"], 2, "no instant"),
        (["--", "--"], 2, "names no asset"),
        ([], 2, "ASSET"),
        (["BTCUSD", "--indicator", "stoch2"], 2, "did you mean stoch?"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_stored(ffe, home, arguments, code, words):
    run = ffe("analyze", *arguments)
    assert run.code == code
    assert words in run.line
    assert run.out == ""
    assert not list(home.rglob("ffe.db"))


def test_a_strategy_that_nobody_offers_is_no_other_way_of_counting(ffe, monkeypatch):
    monkeypatch.setenv("FFE_ENSEMBLE__STRATEGY", "wieghted")
    run = ffe("analyze", "BTCUSD", "--at", AT)
    assert run.code == 2
    assert "unknown strategy 'wieghted'; did you mean weighted?" in run.line
    assert ffe("history", "--json").data == []
    # One voice needs no way of counting.
    assert ffe("analyze", "BTCUSD", "--at", AT, "--provider", "local").code == 0


def test_a_source_without_the_asset_is_no_data(ffe, home):
    (home / "candles").mkdir()
    run = ffe("analyze", "BTCUSD", "--source", "files", "--json")
    assert run.code == 1
    assert run.error["type"] == "NoData"


def test_data_that_ended_long_ago_hold_and_say_how_to_look_back(ffe, files):
    run = ffe("analyze", "ETHUSD", "--source", "files", "--json")
    assert run.data["action"] == "HOLD"
    assert "--at" in run.data["market"]["freshness"]["message"]


def test_what_was_traded_since_changes_no_decision_about_the_past(ffe):
    def told():
        decision = ffe("analyze", "DIPUSD", "--at", AT, "--json").data
        return stripped(ffe("show", decision["id"], "--json").data | {"seq": None})

    before = told()
    bought = ffe("analyze", "DIPUSD", "--json").data["id"]
    assert ffe("execute", bought).code == 0
    assert ffe("positions", "--json").data["accounts"][-1]["positions"]
    assert canonical_json(told()) == canonical_json(before)


def test_whoever_did_not_ask_for_invented_prices_is_told_how_to_come_by_real_ones(ffe):
    line = "ffe config set data.sources files"
    assert line in ffe("analyze", "BTCUSD", "--at", AT).out
    assert line not in ffe("analyze", "BTCUSD", "--at", AT, "--source", "demo").out


def test_several_assets_are_ranked_and_one_that_fails_stops_nobody(ffe):
    run = ffe("analyze", "BTCUSD", "ETHUSD", "BTC-USD", "--at", AT, "--json")
    made = run.data["decisions"]
    assert sorted(decision["asset_pair"] for decision in made) == ["BTCUSD", "ETHUSD"]
    acting = [decision["effect"] != "none" for decision in made]
    assert acting == sorted(acting, reverse=True)


def test_show_pulse_prints_every_frame_and_the_alignment(ffe):
    out = ffe("analyze", "BTCUSD", "--at", AT, "--show-pulse").out
    assert "SYNTHETIC" in out
    for word in ("1m", "4h", "1d", "Alignment", "ADX"):
        assert word in out


def test_every_provider_failing_is_a_stored_hold_and_a_failed_run(ffe, files, monkeypatch):
    monkeypatch.setenv("FFE_DATA__KINDS", json.dumps({"GOOG": "stock"}))
    monkeypatch.setenv("FFE_DECISION__TIMEFRAME", "1d")
    run = ffe("analyze", "GOOG", "--source", "files", "--at", "2004-08-25T00:00:00Z", "-p", "trend_adx",
              "-p", "rsi_reversion", "--json")  # fmt: skip
    assert run.code == 1
    data = run.object["data"]
    assert (data["action"], data["confidence"]) == ("HOLD", 0)
    assert data["ensemble_metadata"]["fallback_tier"] == "no_provider"
    assert "every provider failed" in run.line
    assert ffe("show", data["id"], "--json").code == 0


def test_live_mode_refuses_invented_prices(ffe, monkeypatch):
    monkeypatch.setenv("FFE_MODE", "live")
    run = ffe("analyze", "BTCUSD")
    assert run.code == 3
    assert "synthetic" in run.line


def test_a_stored_decision_replays_to_the_same_bytes(ffe):
    decision_id = ffe("analyze", "BTCUSD", "--at", AT, "--json").data["id"]
    assert ffe("replay", decision_id, "--json").data == {"id": decision_id, "same": True, "differences": []}
    assert "byte for byte" in ffe("replay", decision_id[:8]).out


def test_replay_ignores_what_settings_say_today(ffe, monkeypatch):
    decision_id = ffe("analyze", "BTCUSD", "--at", AT, "--json").data["id"]
    monkeypatch.setenv("FFE_RISK__MAX_CONCENTRATION", "0.01")
    monkeypatch.setenv("FFE_ENSEMBLE__STRATEGY", "best")
    assert ffe("replay", decision_id).code == 0


def test_replay_of_an_unknown_id_is_a_usage_error(ffe):
    assert ffe("replay", "abcdef").code == 2


def kill_somewhere(home_variable, runs, longest, seed):
    """``analyze`` in processes of its own, each killed at a random moment; at least one gets to its end."""
    rng = random.Random(seed)
    command = [sys.executable, "-m", "ffe_core.cli", "analyze", "BTCUSD", "--at", AT, "--quiet"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    for _ in range(runs):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(0, longest))
        process.kill()
        process.wait(timeout=30)


@pytest.mark.slow
def test_a_killed_analysis_leaves_a_chain_that_verifies(ffe, home):
    kill_somewhere(home, runs=4, longest=1.5, seed=1)
    assert ffe("history", "verify").code == 0


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_a_hundred_analyses_killed_at_random_points_leave_a_chain_that_verifies(ffe, home):
    kill_somewhere(home, runs=100, longest=2.5, seed=2)
    report = ffe("history", "verify", "--json")
    assert report.code == 0
    assert len(ffe("history", "--limit", "200", "--json").data) >= 1


DEAF = """
import time
from ffe_core import hookimpl
class Deaf:
    model, local = "m", False
    def __init__(self, name):
        self.name = name
    def ask(self, briefing, *, timeout):
        time.sleep(60)
@hookimpl
def ffe_ai_providers():
    return [Deaf("deaf"), Deaf("numb")]
"""


@pytest.mark.slow
def test_providers_that_ignore_their_timeout_cost_the_deadline_and_hold_up_no_exit(home, site):  # noqa: F811
    site.install("deaf", DEAF)
    code = """
import sys, time
from ffe_core.cli import main
sys.path.insert(0, sys.argv[1])
code = main(["analyze", "BTCUSD", "-p", "local", "-p", "deaf", "-p", "numb", "--json"])
print(code, time.time(), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(site.path)],
        env={**os.environ, "FFE_AI__TIMEOUT": "1", "FFE_PLUGINS": "deaf"},
        capture_output=True, text=True, timeout=50, check=True,
    )  # fmt: skip
    over = time.time()
    opinions = json.loads(done.stdout)["data"]["opinions"]
    assert [opinion["action"] is None for opinion in opinions] == [False, True, True]
    assert all("within 1.2 s" in opinion["error"] for opinion in opinions[1:])
    code, done_at = done.stderr.splitlines()[-1].split()
    assert code == "0"
    # They sleep for a minute; a busy machine may take its time to end a process.
    assert over - float(done_at) < 10
