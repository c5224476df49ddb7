"""Stopping what trades from another process, and letting it go on."""

import pytest


@pytest.fixture
def decided(ffe):
    return ffe("analyze", "DIPUSD", "--json", "--quiet").data["id"]


@pytest.mark.slow
def test_a_halt_from_another_process_stops_orders_and_closing_by_hand_works(ffe, real_ffe, decided):
    assert ffe("execute", decided).code == 0
    another = ffe("analyze", "BTCUSD", "--json", "--quiet")
    assert another.code == 0
    halted = real_ffe("halt", "--reason", "I do not like it", "--json").data
    assert halted["state"] == "HALTED"
    assert "HALTED" in ffe("status").out
    fresh = ffe("analyze", "DIPUSD", "--json", "--quiet").data
    refused = ffe("execute", fresh["id"])
    assert refused.code == 3
    assert ffe("close", "DIPUSD").code == 0
    armed = real_ffe("arm", "--reason", "slept on it", "--json").data
    assert armed == {"state": "ACTIVE", "stopped": []}


def test_one_asset_can_be_stopped_alone(ffe, decided):
    stopped = ffe("halt", "DIPUSD", "--reduce-only", "--reason", "odd", "--json").data
    assert stopped["state"] == "ACTIVE"
    (only,) = stopped["stopped"]
    assert (only["asset_pair"], only["state"], only["reason"]) == ("DIPUSD", "REDUCING", "odd")
    assert ffe("execute", decided).code == 3
    assert ffe("arm", "--reason", "general", "--json").data["stopped"] != []
    assert ffe("arm", "DIPUSD", "--reason", "fine", "--json").data["stopped"] == []
    assert ffe("execute", decided).code == 0


def test_arming_wants_a_reason(ffe):
    assert ffe("arm").code == 2
    assert ffe("arm", "--reason", "  ").code == 2
