"""Keys that only their owner reads, what trades earned, and bars that are fetched once."""

import csv
import io
import stat
from decimal import Decimal
from pathlib import Path

import pytest

SECRET = "sk-canary-0123456789"


@pytest.fixture
def typed(monkeypatch):
    def type_(text):
        monkeypatch.setattr("sys.stdin", io.StringIO(text))

    return type_


def test_a_key_is_kept_read_back_and_forgotten_and_never_shown(ffe, typed, home):
    typed(f"{SECRET}\n")
    kept = ffe("keys", "set", "plugins.gemini.api_key", "--json")
    file = Path(kept.data["file"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    listed = ffe("keys", "list", "--json")
    (row,) = [row for row in listed.data["keys"] if row["key"] == "plugins.gemini.api_key"]
    assert row["set"] is True
    assert ".env" in row["origin"]
    shown = ffe("config", "show")
    assert not any(SECRET in text for run in (kept, listed, shown) for text in (run.out, run.err))
    assert ffe("keys", "rm", "plugins.gemini.api_key").code == 0
    assert SECRET not in file.read_text()
    assert ffe("keys", "rm", "plugins.gemini.api_key").code == 2


def test_a_key_of_several_lines_comes_back_as_it_was(ffe, typed, home):
    from ffe_core.settings.sources import read_dotenv

    key = '-----BEGIN EC PRIVATE KEY-----\na\\b"c#d $HOME\n-----END EC PRIVATE KEY-----'
    typed(key + "\n")
    file = Path(ffe("keys", "set", "plugins.gemini.api_key", "--json").data["file"])
    typed("other")
    ffe("keys", "set", "plugins.codex.api_key")
    values, problems = read_dotenv(file)
    assert problems == []
    assert values["FFE_PLUGINS__GEMINI__API_KEY"] == key
    assert values["FFE_PLUGINS__CODEX__API_KEY"] == "other"


def test_setting_a_key_leaves_the_rest_of_the_file_alone(ffe, typed, home):
    file = Path(ffe("keys", "list", "--json").data["file"])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("# mine\nFFE_MODE=paper\nexport FFE_PLUGINS__GEMINI__API_KEY='old' # note\nGEMINI=1")
    typed("new")
    ffe("keys", "set", "plugins.gemini.api_key")
    assert file.read_text() == '# mine\nFFE_MODE=paper\nGEMINI=1\nFFE_PLUGINS__GEMINI__API_KEY="new"\n'


@pytest.mark.parametrize(
    ("key", "text"), [("mode", "x"), ("plugins.gemini.model", "x"), ("plugins.gemini.api_key", " ")]
)
def test_what_is_no_secret_or_no_key_is_refused(ffe, typed, home, key, text):
    typed(text)
    assert ffe("keys", "set", key).code == 2


def test_what_trades_earned_is_what_came_into_the_account(ffe, tmp_path):
    bought = ffe("analyze", "DIPUSD", "--json", "--quiet").data["id"]
    ffe("execute", bought)
    ffe("close", "DIPUSD")
    (account,) = [held for held in ffe("balance", "--json").data["accounts"] if held["synthetic"]]
    earned = ffe("pnl", "--by", "asset", "--csv", str(tmp_path / "trades.csv"), "--json").data
    (row,) = earned["rows"]
    assert (row["asset"], row["trades"], row["synthetic"]) == ("DIPUSD", 1, True)
    assert abs(Decimal(row["pnl"]) - (Decimal(account["cash"]) - 10_000)) < Decimal("1E-7")
    (line,) = csv.DictReader((tmp_path / "trades.csv").read_text().splitlines())
    assert line["pnl"] == row["pnl"]
    assert line["exit_reason"] == "close"
    for by in ("day", "week", "month"):
        assert ffe("pnl", "--by", by, "--json").data["rows"][0]["pnl"] == row["pnl"]
    assert ffe("pnl", "--since", "2999-01-01", "--json").data["rows"] == []


def test_bars_are_fetched_into_the_folder_that_files_reads(ffe, monkeypatch):
    wrong = ffe("data", "fetch", "AAPL", "--source", "sample", "--timeframe", "1d", "--start", "2005-01-01")
    assert wrong.code == 1
    assert "data.kinds.AAPL: stock" in wrong.err
    monkeypatch.setenv("FFE_DATA__KINDS", '{"AAPL": "stock"}')
    span = ("--timeframe", "1d", "--start", "2005-01-01", "--end", "2005-12-31")
    made = ffe("data", "fetch", "AAPL", "--source", "sample", *span, "--json").data
    ours = ffe("data", "candles", "AAPL", "--source", "files", *span, "--json").data
    theirs = ffe("data", "candles", "AAPL", "--source", "sample", *span, "--json").data
    assert made["bars"] == len(ours["candles"]) == 252
    assert ours["candles"] == theirs["candles"]
    again = ffe("data", "fetch", "AAPL", "--source", "sample", *span)
    assert again.code == 1
    assert "--replace" in again.err
    assert ffe("data", "fetch", "AAPL", "--source", "sample", *span, "--replace").code == 0


def test_invented_prices_are_not_kept_beside_real_ones(ffe):
    refused = ffe("data", "fetch", "BTCUSD", "--source", "demo", "--start", "2026-01-01", "--end", "2026-01-05")
    assert refused.code == 2
    assert "invents its prices" in refused.err
    assert ffe("data", "fetch", "BTCUSD", "--source", "demo", "--start", "2999-01-01").code == 2
