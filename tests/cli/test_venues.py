"""Several venues on the screen. Two paper accounts stand for them: they are there without a key."""

import pytest


@pytest.fixture
def unified(ffe, home):
    (home / "config").mkdir(parents=True, exist_ok=True)
    (home / "config" / "config.yaml").write_text(
        "execution:\n  platform: unified\n  venues: {crypto: paper, forex: paper_synthetic}\n"
        "plugins: {paper: {initial_cash: 1500}}\n",
        encoding="utf-8",
    )
    return ffe


def test_balance_shows_every_venue_and_their_sum(unified):
    seen = unified("balance", "--venue", "--json").data
    assert [(each["platform"], each["cash"]) for each in seen["accounts"]] == [
        ("paper", "1500"),
        ("paper_synthetic", "1500"),
    ]
    assert seen["total"] == {"currency": "USD", "cash": "3000", "equity": "3000", "stale": False, "problems": []}
    shown = unified("balance", "--venue").out
    assert "all venues: cash 3,000.00, equity 3,000.00 USD" in shown


def test_in_paper_mode_the_paper_accounts_stand_alone(unified):
    for command in ("positions", "balance", "dashboard"):
        assert unified(command, "--json").data["total"] is None


def test_status_names_the_venue_of_each_kind(unified):
    seen = unified("status", "--json").data
    assert seen["platform"] == {"name": "unified", "plugin": None, "available": True}
    assert {kind: venue["name"] for kind, venue in seen["venues"].items()} == {
        "crypto": "paper",
        "forex": "paper_synthetic",
    }
    assert set(seen["leverage"]) == {"paper", "paper_synthetic"}
    assert "venue, forex" in unified("status").out
    assert unified("config", "check").code == 0


def test_a_venue_that_nobody_knows_is_named_with_the_nearest(ffe, home):
    (home / "config").mkdir(parents=True, exist_ok=True)
    (home / "config" / "config.yaml").write_text(
        "execution:\n  platform: unified\n  venues: {crypto: papr}\n", encoding="utf-8"
    )
    failed = ffe("balance", "--venue")
    assert failed.code == 2
    assert "execution.venues.crypto: unknown platform 'papr'; did you mean paper?" in failed.err
    assert any("did you mean paper?" in line for line in ffe("status", "--json").data["problems"])
    assert ffe("config", "check").code == 2


def test_a_kind_that_there_is_not_is_a_wrong_setting(ffe, home):
    (home / "config").mkdir(parents=True, exist_ok=True)
    (home / "config" / "config.yaml").write_text("execution: {venues: {cripto: paper}}\n", encoding="utf-8")
    failed = ffe("status")
    assert failed.code == 2
    assert "execution.venues" in failed.err
