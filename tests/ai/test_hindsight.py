"""Who may know what came after the instant that they were asked about."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffe_core import Action, Opinion
from ffe_core.ai.hindsight import Hindsight, Training, training_of

CLEAN, CONTAMINATED = Hindsight.CLEAN, Hindsight.CONTAMINATED
AS_OF = datetime(2024, 6, 1, 12, tzinfo=UTC)


class Model:
    def __init__(self, name, model="m-1", **more):
        self.name, self.model, self.local = name, model, False
        for key, value in more.items():
            setattr(self, key, value)

    def ask(self, briefing, *, timeout): ...


def said(provider, model="m-1", *, prompt="buy or sell?", **more):
    return Opinion(provider, model, Action.BUY, 60, "because", prompt=prompt, **more)


def rule(provider):
    return said(provider, "rule:x", prompt=None, local=True)


def training(*opinions, providers=(), cutoffs=None, embargo_days=30, present=False):
    panel = {provider.name: provider for provider in providers} or {
        each.provider: Model(each.provider) for each in opinions
    }
    return training_of(opinions, panel, cutoffs or {}, embargo_days=embargo_days, present=present)


@pytest.mark.parametrize(
    ("cutoff", "expected"),
    [
        # 2024-06-01 less 30 days is 2024-05-02: the embargo ends with that day's cutoff.
        (date(2024, 5, 1), CLEAN),
        (date(2024, 5, 2), CONTAMINATED),
        (date(2024, 6, 1), CONTAMINATED),
        (date(2025, 1, 1), CONTAMINATED),
        (date(2020, 1, 1), CLEAN),
    ],
)
def test_clean_is_what_lies_more_than_the_embargo_after_the_cutoff(cutoff, expected):
    opinion = said("a")
    assert training(opinion, cutoffs={"m-1": cutoff}).judge(opinion, AS_OF) is expected


@given(st.dates(date(2000, 1, 1), date(2040, 1, 1)), st.integers(0, 400), st.integers(-500, 500))
def test_the_rule_holds_for_all_days(cutoff, embargo, gap):
    opinion = said("a")
    as_of = datetime.combine(cutoff + timedelta(days=gap), AS_OF.timetz())
    judged = training(opinion, cutoffs={"m-1": cutoff}, embargo_days=embargo).judge(opinion, as_of)
    assert (judged is CLEAN) == (gap > embargo)


def test_an_unknown_cutoff_is_contaminated_however_long_ago_the_model_was_made():
    opinion = said("a")
    assert training(opinion).judge(opinion, AS_OF) is CONTAMINATED
    assert training(opinion, cutoffs={"another": date(2000, 1, 1)}).judge(opinion, AS_OF) is CONTAMINATED


def test_a_rule_is_clean_and_a_model_on_this_machine_is_not_a_rule():
    opinions = (rule("r"), said("o", local=True))
    held = training(*opinions)
    assert [held.judge(each, AS_OF) for each in opinions] == [CLEAN, CONTAMINATED]


def test_who_has_a_cutoff_is_a_model_even_where_it_shows_no_prompt():
    opinion = said("quiet", prompt=None, local=True)
    silent = training(opinion, providers=[Model("quiet", cutoff=None)])
    assert silent.judge(opinion, AS_OF) is CONTAMINATED
    dated = training(opinion, providers=[Model("quiet", cutoff=date(2022, 1, 1))])
    assert dated.judge(opinion, AS_OF) is CLEAN


def test_settings_win_over_what_a_provider_says_and_know_an_alias_by_either_name():
    opinion = said("a", "m-1-2024-08")
    providers = [Model("a", "m-1", cutoff=date(2020, 1, 1))]
    for model in ("m-1", "m-1-2024-08"):
        held = training(opinion, providers=providers, cutoffs={model: date(2024, 8, 1)})
        assert held.cutoffs == {"a": "2024-08-01"}
    both = {"m-1": date(2021, 1, 1), "m-1-2024-08": date(2024, 8, 1)}
    assert training(opinion, providers=providers, cutoffs=both).judge(opinion, AS_OF) is CONTAMINATED


def test_nobody_has_read_tomorrows_papers():
    opinion = said("a")
    assert training(opinion, present=True).judge(opinion, AS_OF) is CLEAN


def test_one_contaminated_vote_contaminates_the_decision_and_a_failure_is_no_vote():
    failed = Opinion.failure("down", "m-1", "503")
    held = training(rule("r"), said("a"), failed, cutoffs={})
    assert held.told([rule("r"), said("a"), failed], AS_OF) == {
        "decision": "contaminated",
        "providers": {"r": "clean", "a": "contaminated"},
    }
    assert held.told([rule("r"), failed], AS_OF)["decision"] == "clean"


def test_training_is_data_that_a_record_can_hold():
    assert Training(30, {"a": None}) == Training(embargo_days=30, cutoffs={"a": None}, present=False)
