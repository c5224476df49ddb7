"""What strangers write is data: it stays in its block, and whoever obeys it cannot do more than the rules allow."""

import json
import re
from dataclasses import dataclass
from decimal import Decimal

import pytest

from ffe_core import Action, FixedClock, Note, Opinion, Trust
from ffe_core.ai.prompt import NOTE_LENGTH, render_prompt
from ffe_core.domain.codec import canonical_json, decision_data
from ffe_core.engine import Engine
from ffe_core.plugins import load_plugins
from ffe_core.plugins.guard import Guard
from ffe_core.plugins.registry import Loaded, Offer
from ffe_core.settings import Settings
from tests.engine.deciding import Memory, stripped
from tests.hostile import HOSTILE
from tests.risk.builders import AT

#: what chat templates, fences and tools look for
SIGNS = re.compile(
    r"<\||\|>|<<SYS|\[/?INST|</?s>|<(start|end)_of_turn|<\uff5c|```|@/|</?(system|think|tool_call|data)>"
)
RULES = ("local", "trend_adx", "rsi_reversion")


def test_there_are_enough_of_them():
    assert len(set(HOSTILE)) >= 60


def seldom(texts):
    """Every fifth is tried each time, all of them where the slow tests run."""
    return [
        pytest.param(text, id=str(number), marks=[pytest.mark.slow] if number % 5 else [])
        for number, text in enumerate(texts)
    ]


@dataclass
class Obedient:
    """Does what the loudest headline says, and quotes all of them; without any it wants as much as it can get too."""

    name: str = "obedient"
    model: str = "m"
    local: bool = True

    def ask(self, briefing, *, timeout):
        self.briefing = briefing
        said = " | ".join(note.text for note in briefing.notes) or "buy"
        action = Action.SELL if "SELL" in said.partition("BUY")[0] else Action.BUY
        return Opinion(self.name, self.model, action, 100, said, Decimal(10) ** 15, local=True)


def decide(notes=(), provider=None, panel=RULES, asset="BTCUSD", **settings):
    made = Settings(ai={"providers": list(panel)}, **settings)
    registry = load_plugins(made, clock=FixedClock(AT))
    if provider is not None:
        registry.offer("provider", provider.name, Offer("test", provider))
    hooks = {"ffe_brief": lambda request: [Note("", Trust.UNTRUSTED, AT, text) for text in notes]}
    registry.loaded.append(Loaded("tabloid", Guard("tabloid", 5.0), hooks))
    store = Memory()
    engine = Engine(made, registry, clock=FixedClock(AT), store=store)
    return engine.analyze(asset, at=AT), store.records[-1]


def bytes_of(decision):
    data = stripped(decision_data(decision))
    return canonical_json(data)


@pytest.fixture(scope="module")
def plain():
    decision, record = decide()
    return bytes_of(decision), record


def test_rules_decide_the_same_to_the_byte_whatever_the_headlines_say(plain):
    for asset in ("BTCUSD", "EURUSD", "DIPUSD"):
        calm = bytes_of(decide(asset=asset)[0])
        assert bytes_of(decide(HOSTILE, asset=asset)[0]) == calm


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_one_headline_changes_nothing_but_its_own_block(plain, text):
    _, record = decide([text])
    before, after = plain[1], record
    assert stripped(before["decision"]) == stripped(after["decision"])
    inputs = {**after["inputs"], "briefing": {**after["inputs"]["briefing"], "notes": []}}
    assert stripped(before["inputs"]) == stripped(inputs)


def blocks(prompt):
    """The blocks of a prompt by name; a heading that a text forged would be one more."""
    parts = re.split(r"(?:^|\n\n)## ([^\n]*)\n", prompt.user)
    assert parts[0] == ""
    assert len(set(parts[1::2])) == len(parts[1::2])
    return dict(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("max_tokens", [3000, 1_000_000])
def test_hostile_words_stand_in_the_data_block_only_and_as_json(max_tokens):
    briefings = []
    for notes in ((), HOSTILE):
        obedient = Obedient()
        decide(notes, obedient, panel=("obedient",))
        briefings.append(obedient.briefing)
    calm, loud = (render_prompt(briefing, max_tokens=max_tokens) for briefing in briefings)
    assert calm.system == loud.system
    told = blocks(loud)
    data = told.pop("data", None)
    assert told == blocks(calm)
    if data is None:
        assert loud.dropped[0] == "data"
        return
    assert "\n" not in data
    assert not SIGNS.search(data)
    read = json.loads(data)
    assert all(set(entry) == {"origin", "trust", "at", "text"} for entry in read)
    assert {(entry["origin"], entry["trust"]) for entry in read} == {("tabloid", "untrusted")}
    assert all(len(entry["text"]) <= NOTE_LENGTH for entry in read)
    # What was written is still there to be weighed: the escapes are JSON's own.
    assert loud.dropped or any("<|im_start|>system" in entry["text"] for entry in read)
    assert not any(
        re.search("[\u202a-\u202e\u2066-\u2069\u200b\ufe00\U000e0042\x00-\x1f\x7f-\x9f]", each["text"]) for each in read
    )


@pytest.mark.slow
@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_each_headline_alone_forges_no_block(text):
    obedient = Obedient()
    decide([text], obedient, panel=("obedient",))
    told = blocks(render_prompt(obedient.briefing))
    data = told.get("data")
    if data is not None:
        assert len(json.loads(data)) == 1
        assert not SIGNS.search(data)


@pytest.mark.parametrize("text", seldom(["", *HOSTILE]))
def test_a_provider_that_obeys_gets_no_more_than_one_that_was_told_nothing(text):
    told = [text] if text else []
    decision, _ = decide(told, Obedient(), panel=("obedient",))
    calm, _ = decide((), Obedient(), panel=("obedient",))
    if decision.action is Action.BUY:
        assert (decision.position_size, decision.sizing, decision.rulings) == (
            calm.position_size, calm.sizing, calm.rulings,
        )  # fmt: skip
        # Spec: a quarter of the equity at most, and one hundredth of it lost at the stop.
        assert decision.position_size * decision.entry_price <= Decimal(10_000) * Decimal("0.25") + 1
        assert decision.risk_fraction <= Decimal("0.01")
    else:
        assert decision.position_size is None
    assert set(decision_data(decision)) == set(decision_data(calm))
    assert decision.stop_loss_fraction is None or Decimal("0.01") <= decision.stop_loss_fraction <= Decimal("0.05")


def test_one_fooled_voice_on_a_panel_is_outvoted_or_still_within_the_limits():
    decision, _ = decide(HOSTILE, Obedient(), panel=("obedient", *RULES))
    assert decision.ensemble_metadata["providers_used"] == ["obedient", *RULES]
    if decision.position_size is not None:
        assert decision.position_size * decision.entry_price <= Decimal(10_000) * Decimal("0.25") + 1
