"""``ffe providers costs``, as it is typed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.conftest import Run

type Ffe = Callable[..., Run]

AT = "2025-03-28T23:00:00Z"
MODEL = """
from ffe_core import Action, Opinion, hookimpl

class Model:
    model, local = "grand", False
    def __init__(self, name, tokens):
        self.name, self.tokens = name, tokens
    def ask(self, briefing, *, timeout):
        return Opinion(self.name, self.model, Action.BUY, 60, "so be it", prompt="so?", tokens_in=self.tokens,
                       tokens_out=self.tokens)

@hookimpl
def ffe_ai_providers():
    return [Model("pythia", 1000), Model("silent", None)]
"""


@pytest.fixture
def priced(install: Callable[[str, str], object], monkeypatch: pytest.MonkeyPatch) -> None:
    install("shrine", MODEL)
    monkeypatch.setenv("FFE_PLUGINS", "shrine")
    price = '{"model": "grand", "from": "2025-01-01", "input_usd_per_million": 2, "output_usd_per_million": 8}'
    monkeypatch.setenv("FFE_AI__PRICES", f"[{price}]")


@pytest.mark.usefixtures("priced")
def test_what_was_asked_is_added_up_and_what_nobody_knows_is_said(ffe: Ffe) -> None:
    for names in (("pythia",), ("pythia", "local"), ("silent",)):
        asked = [word for name in names for word in ("--provider", name)]
        assert ffe("analyze", "BTCUSD", "--at", AT, *asked).code == 0
    found = ffe("providers", "costs", "--synthetic", "--json").data
    assert (found["decisions"], found["decisions_unpriced"]) == (3, 1)
    # 1,000 tokens each way at 2 and 8 dollars for a million: a cent each.
    assert (found["cost_usd"], found["per_decision_usd"]) == ("0.02", "0.00666667")
    bills = {bill.pop("name"): bill for bill in found["providers"]}
    assert bills["pythia"] == {
        "calls": 2, "failed": 0, "unpriced": 0, "tokens_in": 2000, "tokens_out": 2000, "cost_usd": "0.02",
    }  # fmt: skip
    assert (bills["silent"]["unpriced"], bills["silent"]["cost_usd"]) == (1, "0")
    assert bills["local"]["cost_usd"] == "0"
    # What silent may have cost stays set aside for the day.
    assert float(found["today_usd"]) > 0.02
    assert (found["closed_trades"], found["pnl_after_costs_usd"], found["break_even_usd"]) == (0, None, None)

    told = ffe("providers", "costs", "--synthetic").out
    assert "3 decisions on invented prices: at least $0.02, $0.006667 each" in told
    assert "1 of them hold a call of unknown cost" in told


@pytest.mark.slow
@pytest.mark.usefixtures("priced")
def test_a_trade_is_shown_before_and_after_the_asking(ffe: Ffe) -> None:
    made = ffe("analyze", "DIPUSD", "--provider", "pythia", "--json").data
    assert ffe("execute", made["id"], "--below-threshold").code == 0
    assert ffe("close", "DIPUSD").code == 0
    found = ffe("providers", "costs", "--synthetic", "--json").data
    (trade,) = ffe("pnl", "--json").data["trades"]
    assert (found["closed_trades"], found["per_trade_usd"]) == (1, "0.01")
    assert found["pnl_usd"] == trade["pnl"]
    assert float(found["pnl_after_costs_usd"]) == pytest.approx(float(trade["pnl"]) - 0.01)
    assert "after asking" in ffe("providers", "costs", "--synthetic").out


def test_without_any_decision_there_is_nothing_to_pay(ffe: Ffe) -> None:
    ran = ffe("providers", "costs")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == ["no decisions on real prices", "billed or set aside today: $0"]
