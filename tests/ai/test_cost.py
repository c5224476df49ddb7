import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core import Action, FixedClock, Opinion, UsageError
from ffe_core.ai.cost import FREE, Meter, Spending, cost_of, price_of
from ffe_core.errors import BudgetSpent, StoreError
from ffe_core.settings import load_settings
from ffe_core.settings.sections import Price
from ffe_core.testing import FakeProvider
from tests.ai.test_cassette import BRIEFING
from tests.risk.builders import AT

TODAY = AT.date()
ROWS = """
ai:
  prices:
    - {model: m, from: 2022-01-01, input_usd_per_million: 2, output_usd_per_million: 8}
    - {model: m, from: 2023-06-01, input_usd_per_million: 0.30, output_usd_per_million: 2.50}
    - {model: m, from: 2024-01-01, input_usd_per_million: 9, output_usd_per_million: 9}
"""


@pytest.fixture
def prices(home):
    (home / "config").mkdir()
    (home / "config" / "config.yaml").write_text(ROWS, encoding="utf-8")
    return load_settings(env={}, home=home).ai.prices


@pytest.fixture
def meter(prices, tmp_path):
    return Meter(prices, Spending(tmp_path / "spending"), FixedClock(AT))


def asked(meter, *opinions, model="m"):
    panel = {opinion.provider: FakeProvider(name=opinion.provider, model=model) for opinion in opinions}
    return meter.over(lambda panel, briefing: opinions)(panel, BRIEFING)


def vote(name="a", **facts):
    return Opinion(name, "m", Action.BUY, 70, "up", **{"tokens_in": 1000, "tokens_out": 200, "prompt": "p", **facts})


@pytest.mark.parametrize(
    ("day", "rate"),
    [("2021-12-31", None), ("2022-01-01", 2), ("2023-05-31", 2), ("2023-06-01", "0.3"), ("2025-01-01", 9)],
)
def test_the_price_is_the_newest_that_was_in_force_that_day(prices, day, rate):
    price = price_of(prices, "m", date.fromisoformat(day))
    assert (price and price.input_usd_per_million) == (rate and Decimal(rate))
    assert price_of(prices, "m2", date(2025, 1, 1)) is None


def test_a_call_costs_its_tokens_at_their_price_to_the_last_digit(prices):
    price = price_of(prices, "m", TODAY)
    # 1000 x 0.30 / 1e6 + 200 x 2.50 / 1e6
    assert cost_of(price, 1000, 200) == Decimal("0.0008")
    assert cost_of(price, 1, 0) == Decimal("0.0000003")


def test_tokens_that_the_service_had_kept_cost_what_the_price_says_of_them(prices):
    price = price_of(prices, "m", TODAY)
    assert price.cached_input_usd_per_million is None
    assert cost_of(price, 1000, 200, 800) == cost_of(price, 1000, 200)
    cheaper = price.model_copy(update={"cached_input_usd_per_million": Decimal("0.03")})
    # 200 x 0.30 / 1e6 + 800 x 0.03 / 1e6 + 200 x 2.50 / 1e6
    assert cost_of(cheaper, 1000, 200, 800) == Decimal("0.000584")
    assert cost_of(cheaper, 1000, 200, None) == cost_of(cheaper, 1000, 200, 0) == Decimal("0.0008")
    # A count that cannot be is no reason for a bill below zero.
    assert cost_of(cheaper, 1000, 0, 5000) == Decimal("0.00003")


def test_a_call_that_was_partly_kept_is_billed_so(tmp_path):
    row = {"model": "m", "from": "2020-01-01", "input_usd_per_million": 2, "output_usd_per_million": 0}
    price = Price.model_validate({**row, "cached_input_usd_per_million": 1})
    meter = Meter([price], Spending(tmp_path), FixedClock(AT))
    (opinion,) = asked(meter, replace(vote(), tokens_in=1000, tokens_out=1, tokens_cached=500))
    assert opinion.cost_usd == Decimal("0.0015")


def test_what_is_not_known_is_not_guessed(meter, prices):
    assert cost_of(None, 1000, 200) is None
    assert cost_of(price_of(prices, "m", TODAY), 1000, None) is None
    (opinion,) = asked(meter, replace(vote(), model="secret model"), model="another")
    assert opinion.cost_usd is None


def test_rules_are_free_and_what_a_provider_was_billed_stands(meter):
    free, billed, local_model = asked(
        meter,
        vote("rule", prompt=None, tokens_in=None, tokens_out=None, local=True),
        vote("tool", cost_usd=Decimal("0.07")),
        replace(vote("ollama", local=True), model="llama"),
        model="x",
    )
    assert (free.cost_usd, billed.cost_usd, local_model.cost_usd) == (FREE, Decimal("0.07"), None)


def test_an_alias_is_billed_at_the_price_of_either_name(meter):
    (opinion,) = asked(meter, replace(vote(), model="m-2023-05"))
    assert opinion.cost_usd == Decimal("0.0008")


def test_what_was_billed_is_remembered_for_the_day(meter, tmp_path):
    asked(meter, vote("a"), vote("b"))
    asked(meter, vote("a"))
    assert Spending(tmp_path / "spending").spent(TODAY) == Decimal("0.0024")
    assert Spending(tmp_path / "spending").spent(date(2023, 6, 2)) == 0


def test_a_call_without_a_bill_stays_counted_at_its_estimate(meter):
    asked(meter, Opinion.failure("a", "m", "no answer within 30 s"))
    # At least the room for an answer: 2000 x 2.50 / 1e6.
    assert Decimal("0.005") < meter.spending.spent(TODAY) < Decimal("0.01")


def test_a_run_that_dies_leaves_its_estimate_counted(meter):
    def die(panel, briefing):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        meter.over(die)({"a": FakeProvider(name="a", model="m")}, BRIEFING)
    assert meter.spending.spent(TODAY) > Decimal("0.005")


def test_nobody_is_asked_when_the_panel_would_cost_more_than_is_left(meter):
    asked(meter, vote("a"))
    tight = replace(meter, budget=Decimal("0.0055"))
    with pytest.raises(
        BudgetSpent, match=r"asking a may cost \$0\.005\d+, and \$0\.0008 of today's \$0\.0055"
    ) as caught:
        tight.over(lambda *_: pytest.fail("asked"))({"a": FakeProvider(name="a", model="m")}, BRIEFING)
    assert caught.value.exit_code == 7
    assert meter.spending.spent(TODAY) == Decimal("0.0008")


def test_what_fits_exactly_is_asked(meter):
    wanted = meter._estimates({"a": FakeProvider(name="a", model="m")}, BRIEFING, TODAY)["a"]
    assert asked(replace(meter, budget=wanted), vote("a"))


def test_rules_and_models_without_a_price_touch_no_budget(meter, tmp_path):
    none_left = replace(meter, budget=FREE)
    assert asked(none_left, vote("a"), model="unknown")
    assert not (tmp_path / "spending").exists()


def test_a_day_that_cannot_be_read_is_no_budget(meter, tmp_path):
    asked(meter, vote("a"))
    (file,) = (tmp_path / "spending").glob("*.json")
    for text in ("", "[]", '{"spent": {"a": "lots"}}', '{"spend": {}}', '{"spent": {"a": null}}'):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(StoreError, match="does not say what was spent"):
            meter.spending.spent(TODAY)


def test_processes_together_stay_within_the_budget(tmp_path):
    code = (
        "import sys; from pathlib import Path; from datetime import date; from decimal import Decimal\n"
        "from ffe_core.ai.cost import Spending; from ffe_core.errors import BudgetSpent\n"
        "spending, day, done = Spending(Path(sys.argv[1])), date(2023, 6, 1), 0\n"
        "for _ in range(10):\n"
        "    try: place = spending.reserve(day, {'a': Decimal('0.01')}, Decimal('0.15'))\n"
        "    except BudgetSpent: continue\n"
        "    spending.settle(day, place, {'a': Decimal('0.01')}); done += 1\n"
        "print(done)"
    )
    with ThreadPoolExecutor(2) as both:
        runs = both.map(
            lambda _: subprocess.run(
                [sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True, timeout=60,
                cwd=Path(__file__).parents[2],
            ),
            range(2),
        )  # fmt: skip
        assert sum(int(run.stdout) for run in runs) == 15
    assert Spending(tmp_path).spent(TODAY) == Decimal("0.15")


@settings(max_examples=25)
@given(st.lists(st.tuples(st.decimals(0, 1, places=6), st.none() | st.decimals(0, 1, places=6)), max_size=8))
def test_the_total_is_the_sum_of_bills_and_of_estimates_without_a_bill(tmp_path_factory, calls):
    spending = Spending(tmp_path_factory.mktemp("spending"))
    for estimate, bill in calls:
        spending.settle(TODAY, spending.reserve(TODAY, {"a": estimate}, None), {"a": bill})
    assert spending.spent(TODAY) == sum((e if b is None else b for e, b in calls), FREE)


@pytest.mark.parametrize(
    "row", ["{model: m}", "{model: m, from: 2022-01-01, input_usd_per_million: -1, output_usd_per_million: 1}"]
)
def test_a_price_that_cannot_be_is_one_line(home, row):
    (home / "config").mkdir()
    (home / "config" / "config.yaml").write_text(f"ai:\n  prices:\n    - {row}\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"config.yaml:2 ai\.prices"):
        load_settings(env={}, home=home)
