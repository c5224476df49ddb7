"""``ffe probe`` and ``ffe analyze --anonymise``, as they are typed."""

AT = ["--at", "2023-06-01T00:00:00Z", "--at", "2023-06-02T00:00:00Z"]


def test_rules_show_a_flip_rate_of_zero_and_nothing_is_stored(ffe, home):
    data = ffe("probe", "BTCUSD", *AT, "--json").data
    assert data["asset_pair"] == "BTCUSD"
    assert [row["provider"] for row in data["providers"]] == ["local", "trend_adx", "rsi_reversion"]
    for row in data["providers"]:
        assert (row["compared"], row["flips"], row["flip_rate"], row["failures"]) == (2, 0, 0.0, [])
        # Wilson of 0 in 2: z² / (2 + z²).
        assert row["flip_rate_interval_95"] == [0.0, 1.959963984540054**2 / (2 + 1.959963984540054**2)]
    assert {mask["as"] for mask in data["masks"]} == {"ASSET_1"}
    assert len({mask["weeks_earlier"] for mask in data["masks"]}) == 1
    assert ffe("history", "--json").data == []


def test_the_table_says_what_was_hidden(ffe):
    out = ffe("probe", "EURUSD", "--at", "2023-06-01T12:00:00Z", "--provider", "local").out
    assert "EURUSD at 1 instants, as it is and as ASSET_1:" in out
    assert "0.0% to 79.3%" in out


def test_an_instant_to_come_and_an_unknown_provider_are_exit_2(ffe):
    assert ffe("probe", "BTCUSD", "--at", "2099-01-01T00:00:00Z").code == 2
    assert ffe("probe", "BTCUSD", "--provider", "nobody").code == 2
    assert ffe("probe", "BTCUSD", "--cassette-dir", "world").code == 2


def test_a_replay_without_its_recording_is_exit_4(ffe):
    assert ffe("probe", "BTCUSD", *AT, "--cassette", "record").code == 0
    assert ffe("probe", "BTCUSD", *AT, "--cassette", "replay").code == 0
    assert ffe("probe", "BTCUSD", *AT, "--cassette", "replay", "--seed", "1").code == 4


def test_nobody_answering_both_ways_is_exit_1(ffe):
    # Half a day into the first data that there are, nobody has a day's change.
    run = ffe("probe", "BTCUSD", "--provider", "local", "--source", "files", *AT)
    assert run.code == 1


def test_an_anonymised_decision_says_so_wherever_it_is_shown(ffe):
    run = ffe("analyze", "BTCUSD", "ETHUSD", *AT[:2], "--anonymise", "--json")
    told = {made["asset_pair"]: made["ensemble_metadata"]["anonymised"]["as"] for made in run.data["decisions"]}
    assert told == {"BTCUSD": "ASSET_1", "ETHUSD": "ASSET_2"}
    made = run.data["decisions"][0]
    assert "ANONYMISED: the panel was asked about ASSET_" in ffe("show", made["id"]).out
    assert ffe("replay", made["id"], "--json").data["same"]
    plain = ffe("analyze", made["asset_pair"], *AT[:2], "--json").data
    assert (plain["action"], plain["confidence"], plain["market"]) == (
        made["action"], made["confidence"], made["market"],
    )  # fmt: skip
