"""Decisions whose horizon has passed become outcomes, once, and what each provider did is judged by them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ffe_core.builtin.skills import Hedge
from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.decisions import Opinion, OutcomeKind
from ffe_core.domain.market import Candles
from ffe_core.domain.trading import Action, Costs
from ffe_core.errors import NoData, StoreError
from ffe_core.learning.outcomes import wilson
from ffe_core.learning.scoring import Update, update
from ffe_core.learning.standing import one_each, skill_weights, standings
from ffe_core.store import Database, Store
from tests.learning.test_learning_outcomes import hours
from tests.store.records import START, decision_id, outcome, record

HOUR = timedelta(hours=1)
COSTS = Costs(Decimal("0.001"), Decimal(0))
BUY, SELL, HOLD = Action.BUY, Action.SELL, Action.HOLD


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(Database.open(None, tmp_path)) as opened:
        yield opened


def decided(number: int, action: Action, *opinions: Opinion, **changes: Any) -> dict[str, Any]:
    """A record of BTCUSD at ``START`` with a horizon of three hours at a price of 27,105."""
    said = opinions or (Opinion("gemini", "m", BUY, 70, "up", horizon=3), Opinion("local", "m", SELL, 60, "down"))
    made = record(
        number,
        inputs={"briefing": {"horizon": 3, "timeframe": "1h"}},
        asset_pair="BTCUSD",
        asset_type="crypto",
        as_of=START,
        action=action,
        opinions=said,
        ensemble_metadata={"verdict_action": "BUY"},
        **changes,
    )
    made["decision"]["market"]["price"] = 27105.0
    return made


def span(source: str, asset: Asset, timeframe: Timeframe, start: datetime, end: datetime) -> Candles:
    """Hourly bars that rise to 27,376.05 three hours after ``START``: one per cent."""
    if source != "files":
        raise NoData(f"{source} has nothing")
    closes = [27105.0, 27105.0, 27105.0, 27200.0, 27376.05, 30000.0]
    return hours(closes, start=START - 2 * HOUR).between(start, end).as_of(end)


def brought_up(store: Store, now: datetime = START + 9 * HOUR) -> Update:
    return update(store, span, now=now, costs=COSTS)


def test_every_decision_of_a_panel_is_scored_holds_too(store: Store) -> None:
    store.append_many([decided(0, BUY), decided(1, HOLD), decided(2, SELL)])

    done = brought_up(store)

    bought, held, sold = sorted(
        done.resolved, key=lambda one: [decision_id(n) for n in range(3)].index(one.decision_id)
    )
    assert done.waiting == {}
    assert {one.resolved_at for one in done.resolved} == {START + 3 * HOUR}
    assert [one.price_return for one in done.resolved] == pytest.approx([0.01] * 3)
    assert [one.cost for one in done.resolved] == pytest.approx([0.001 + 0.001 * 1.01] * 3)
    assert (bought.gross_return, sold.gross_return) == (pytest.approx(0.01), pytest.approx(-0.01))
    assert (held.gross_return, held.net_return) == (None, None)
    assert dict(held.provider_actions) == {"gemini": BUY, "local": SELL}
    assert held.net_of(BUY) == pytest.approx(0.01 - 0.00201)
    assert held.net_of(SELL) == pytest.approx(-0.01 - 0.00201)
    assert (held.verdict_action, held.raw_confidence, held.as_of, held.synthetic) == (BUY, 80, START, False)


def test_a_second_run_does_what_is_left(store: Store) -> None:
    store.append(decided(0, BUY))
    brought_up(store)
    store.append(decided(1, BUY))

    assert [one.decision_id for one in brought_up(store).resolved] == [decision_id(1)]
    assert brought_up(store) == Update((), {})
    assert len(store.outcomes()) == 2


def test_only_an_opinion_about_this_horizon_is_calibratable(store: Store) -> None:
    said = [Opinion(f"p{n}", "m", BUY, 70, "up", horizon=horizon) for n, horizon in enumerate((3, None, 24))]
    rule = Opinion("rule", "m", BUY, 70, "up", calibratable=False)
    failed = Opinion.failure("away", "m", "out of reach")
    store.append(decided(0, BUY, *said, rule, failed))

    (made,) = brought_up(store).resolved

    assert made.calibratable == ("p0", "p1")
    assert set(made.provider_actions) == {"p0", "p1", "p2", "rule"}


def test_what_is_not_scored_says_why(store: Store) -> None:
    store.append_many([decided(n, BUY) for n in range(2)])
    store.append(decided(2, HOLD, Opinion.failure("away", "m", "out of reach")))
    elsewhere = decided(3, BUY)
    elsewhere["decision"]["market"]["source"] = "gone"
    store.append(elsewhere)

    assert brought_up(store, START + HOUR).waiting == {"the horizon has not passed": 3, "nobody voted": 1}
    late = brought_up(store, START + 2.5 * HOUR)
    assert late.waiting == {"the 3 bars after it are not all there": 2, "gone has nothing": 1, "nobody voted": 1}
    assert late.resolved == ()
    assert len(brought_up(store).resolved) == 2


def test_what_another_process_kept_meanwhile_stays(store: Store) -> None:
    store.append(decided(0, BUY))

    def slow(*wanted: Any) -> Candles:
        update(store, span, now=START + 9 * HOUR, costs=Costs(Decimal("0.002"), Decimal(0)))
        return span(*wanted)

    done = update(store, slow, now=START + 9 * HOUR, costs=COSTS)

    assert done.resolved == ()
    assert [one.cost for one in store.outcomes()] == [pytest.approx(0.002 * 2.01)]
    (why,) = done.waiting
    assert "known with another" in why


def test_a_record_that_does_not_say_how_it_is_scored_is_an_error(store: Store) -> None:
    store.append(record(0))

    with pytest.raises(StoreError, match="does not say how it is scored"):
        brought_up(store)


# Standing


def test_a_provider_stands_by_its_own_calls_beside_always_buying() -> None:
    made = [
        outcome(
            0,
            decision_id=f"d{number}",
            as_of=START + number * 24 * HOUR,
            resolved_at=START + (number + 1) * 24 * HOUR,
            price_return=0.01 if number % 4 else -0.01,
            cost=0.001,
            provider_actions={"always_up": BUY, "always_down": SELL, "silent": HOLD},
        )
        for number in range(40)
    ]
    down, up, silent = standings(made)

    assert (up.provider, up.outcomes, up.holds, up.board.scored) == ("always_up", 40, 0, 40)
    assert up.board.hit_rate == up.board.base_rate == 0.75
    assert up.board.hit_interval == wilson(0.75, 40)
    assert (down.board.hit_rate, down.board.base_rate) == (0.25, 0.75)
    assert down.board.mean_net == pytest.approx((10 * 0.01 - 30 * 0.01) / 40 - 0.001)
    assert down.board.base_net == pytest.approx((30 * 0.01 - 10 * 0.01) / 40 - 0.001)
    assert (silent.holds, silent.board.scored, silent.board.hit_rate) == (40, 0, None)


def test_a_decision_counts_once_and_by_its_horizon() -> None:
    trade = outcome(0, kind=OutcomeKind.TRADE, resolved_at=START + HOUR)
    other = outcome(1, kind=OutcomeKind.TRADE)

    assert one_each([trade, outcome(0), other]) == [outcome(0), other]


def test_a_trade_that_only_knows_its_own_return_is_scored_from_it() -> None:
    bare = outcome(1, kind=OutcomeKind.TRADE, price_return=None, cost=None, gross_return=0.03, net_return=0.028)
    assert bare.action is SELL
    made = {one.provider: one for one in standings([replace(bare, provider_actions={"a": SELL, "b": BUY})] * 1)}

    assert made["a"].board.scored == made["b"].board.scored == 1
    (none,) = standings([outcome(0, price_return=None, gross_return=None)])[:1]
    assert (none.provider, none.unscorable, none.board.scored) == ("gemini", 1, 0)


def test_the_weights_shown_are_those_that_the_strategy_would_give() -> None:
    history = [
        outcome(
            0,
            decision_id=f"d{n}",
            provider_actions={"good": BUY, "bad": SELL},
            provider_confidences={"good": 80, "bad": 80},
        )
        for n in range(10)
    ]
    now = START + timedelta(days=30)

    weights = skill_weights(Hedge(), ["good", "bad"], history, now=now, first={})

    # exp(-0.5 x cumulative Brier): ten losses of 0.04 against ten of 0.64.
    ratio = 2.718281828459045 ** (0.5 * 10 * (0.64 - 0.04))
    assert weights["good"] / weights["bad"] == pytest.approx(ratio)
    assert skill_weights(Hedge(), [], history, now=now, first={}) == {}
