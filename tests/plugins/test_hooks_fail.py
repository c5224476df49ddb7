"""Every hook, misbehaving in every way, between two sound plugins: one line about the culprit, the others go on."""

from __future__ import annotations

import importlib.metadata
import sys
import time
from collections.abc import Callable
from functools import partial
from textwrap import indent
from typing import Any

import pytest

from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.codec import canonical_json
from ffe_core.domain.decisions import BriefRequest, Outcome
from ffe_core.domain.events import Alert, Severity, StateChange
from ffe_core.domain.trading import Action
from ffe_core.hookspecs import COMPOSITION_HOOKS, CONTRIBUTION_HOOKS, EVENT_HOOKS
from ffe_core.plugins import Registry
from ffe_core.testing.samples import NOON, make_candles, make_order
from tests.plugins.conftest import SOUND, Site

type Load = Callable[..., Registry]

BTC = Asset.parse("BTCUSD")
REQUEST = BriefRequest(BTC, NOON, Timeframe.H1, 24)
CANDLES = make_candles(bars=5)
EVENTS: dict[str, dict[str, Any]] = {
    # What a decision looks like is nothing to these plugins; an outcome has the mappings that a vandal is after.
    "ffe_decision_made": {
        "decision": Outcome("d", BTC, NOON, Action.BUY, 0.1, 0.1, provider_actions={"p": Action.BUY})
    },
    "ffe_order_changed": {"order": make_order(prepared={"id": "1"})},
    "ffe_trade_closed": {"outcome": Outcome("d", BTC, NOON, Action.BUY, 0.1, 0.1, provider_confidences={"p": 1})},
    "ffe_agent_state_changed": {"change": StateChange("agent", "a", "b", "why", NOON)},
    "ffe_alert_raised": {"alert": Alert("kind", Severity.LOW, "text", NOON)},
}
ARGUMENT = {"ffe_brief": "request", "ffe_indicators": "candles"} | {
    hook: next(iter(given)) for hook, given in EVENTS.items()
}
HOOKS = [*COMPOSITION_HOOKS, *CONTRIBUTION_HOOKS, *EVENT_HOOKS]
every_hook = pytest.mark.parametrize("hook", HOOKS)

FAULTS = {
    "raises": "raise RuntimeError('boom')",
    "raises SystemExit": "raise SystemExit(3)",
    "raises KeyboardInterrupt": "raise KeyboardInterrupt",
    "recurses for ever": "def f(): return f()\nreturn f()",
    "raises ten megabytes": "raise RuntimeError('\\x1b[31m\\n\\x07' + 'x' * 10_000_000)",
    "raises while it yields": "yield\nraise RuntimeError('boom')",
}
WRONG_ANSWERS = {
    "None": "return None",
    "a number": "return 17",
    "text": "return 'text'",
    "a list of numbers": "return [1, 2]",
    "a mapping": "return {'a': 'b'}",
    "nan": "return {'a': float('nan')}",
    "infinity": "return {'a': float('inf')}",
    "ten megabytes": (
        "from ffe_core import Note, Trust\nfrom datetime import datetime, UTC\n"
        "return [Note('', Trust.OWN, datetime(2024, 1, 1, tzinfo=UTC), 'x' * 10_000_000)]"
    ),
    "no end of items": "import itertools\nreturn itertools.count()",
    "an object that is hostile when looked at": (
        "class Bad:\n    name = property(lambda self: exec('raise SystemExit'))\n"
        "    def __iter__(self): raise SystemExit\n"
        "return [Bad()]"
    ),
}


@pytest.fixture(autouse=True)
def _nothing_else(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """No built-in plugins, and no look at the other distributions: hundreds of loads are to be quick."""
    monkeypatch.setattr("ffe_core.plugins.host.BUILTINS", {})
    here = partial(importlib.metadata.distributions, path=[str(site.path)])
    monkeypatch.setattr(importlib.metadata, "distributions", here)
    monkeypatch.setattr("ffe_core.plugins.installed.lie_in_folders", lambda: False)


@pytest.fixture
def between(site: Site, load: Load) -> Callable[..., Registry]:
    """Loads ``bad`` between two sound plugins."""

    def loaded(hook: str, body: str, *, deadline: float = 5.0, argument: str | None = None) -> Registry:
        argument = ARGUMENT.get(hook, "") if argument is None else argument
        site.install(
            "bad", f"from ffe_core import hookimpl\n@hookimpl\ndef {hook}({argument}):\n{indent(body, '    ')}\n"
        )
        for name in ("alpha", "zeta"):
            site.install(name, SOUND.replace('"sound"', f'"{name}"'))
        return load(deadline=deadline)

    return loaded


def run(registry: Registry) -> None:
    """Everything that a run asks of its plugins; the sound ones answer."""
    assert set(registry.sources) == {"alpha", "zeta"}
    assert [note.origin for note in registry.notes(REQUEST)] == ["alpha", "zeta"]
    assert registry.indicators(CANDLES) == {"alpha.bars": 5.0, "zeta.bars": 5.0}
    for event, facts in EVENTS.items():
        registry.emit(event, **facts)


def culprit(registry: Registry, hook: str) -> str:
    (line,) = registry.problem_lines()
    assert line.startswith(f"plugin bad: {hook}: ")
    assert line.isprintable()
    assert len(line) < 400
    return line


@every_hook
@pytest.mark.parametrize("fault", FAULTS)
def test_a_hook_that_fails_is_one_line_and_the_others_answer(
    between: Callable[..., Registry], hook: str, fault: str
) -> None:
    registry = between(hook, FAULTS[fault])
    run(registry)
    if fault == "raises while it yields" and hook in EVENT_HOOKS:
        assert registry.problem_lines() == (), "an event hook that yields has not begun"
    else:
        culprit(registry, hook)


@every_hook
def test_a_hook_that_hangs_is_left_behind(between: Callable[..., Registry], hook: str) -> None:
    began = time.perf_counter()
    registry = between(hook, "import time\ntime.sleep(20)", deadline=0.15)
    run(registry)
    assert time.perf_counter() - began < 10
    assert culprit(registry, hook).endswith("did not answer within 0.15 s")


@every_hook
@pytest.mark.parametrize("answer", WRONG_ANSWERS)
def test_a_wrong_answer_is_one_line_and_the_others_answer(
    between: Callable[..., Registry], hook: str, answer: str
) -> None:
    if answer == "no end of items" and hook not in ("ffe_brief", "ffe_data_sources"):
        answer = "None"
    registry = between(hook, WRONG_ANSWERS[answer])
    run(registry)
    if hook in EVENT_HOOKS:
        assert registry.problem_lines() == (), "what an event hook answers is of no interest"
    elif answer == "a list of numbers" and hook in COMPOSITION_HOOKS:
        assert "is missing" in registry.problem_lines()[0]
    else:
        culprit(registry, hook)


@pytest.mark.parametrize("hook", ARGUMENT)
def test_a_hook_that_changes_what_it_was_handed_changes_nothing_for_others(
    between: Callable[..., Registry], hook: str
) -> None:
    before = canonical_json([REQUEST, EVENTS]), CANDLES.fingerprint
    answer = "[]" if hook == "ffe_brief" else "{}"
    registry = between(hook, f"from tests.plugins.faults import wreck\nwreck({ARGUMENT[hook]})\nreturn {answer}")
    run(registry)
    assert (canonical_json([REQUEST, EVENTS]), CANDLES.fingerprint) == before
    assert registry.problem_lines() == ()


@every_hook
def test_a_hook_that_prints_disturbs_nobody(
    between: Callable[..., Registry], hook: str, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = between(hook, f"print('noise')\nreturn {{}} if {hook!r} == 'ffe_indicators' else []")
    run(registry)
    assert "noise" in capsys.readouterr().out
    assert registry.problem_lines() == ()


@pytest.mark.parametrize("hook", [*HOOKS, "ffe_settings"])
def test_a_misspelt_hook_breaks_its_plugin_alone(between: Callable[..., Registry], hook: str) -> None:
    registry = between(f"{hook}s", "return []", argument="")
    run(registry)
    (line,) = registry.problem_lines()
    assert line == f"plugin bad: broken: there is no hook {hook}s; did you mean {hook}?"


@pytest.mark.parametrize("hook", [*HOOKS, "ffe_settings"])
def test_a_misspelt_argument_breaks_its_plugin_alone(between: Callable[..., Registry], hook: str) -> None:
    registry = between(hook, "return []", argument="contxt")
    run(registry)
    assert registry.problem_lines() == (f"plugin bad: broken: {hook} has no argument contxt",)


@pytest.mark.parametrize("fault", [*FAULTS, "hangs"])
def test_a_settings_hook_that_fails_breaks_its_plugin_alone(between: Callable[..., Registry], fault: str) -> None:
    body = FAULTS.get(fault, "import time\ntime.sleep(20)")
    registry = between("ffe_settings", body, deadline=0.15 if fault == "hangs" else 5.0)
    run(registry)
    (line,) = registry.problem_lines()
    assert line.startswith("plugin bad: broken: ffe_settings")
    assert "ffe_bad" in sys.modules


def test_a_settings_model_that_hangs_while_it_validates_breaks_its_plugin_alone(site: Site, load: Load) -> None:
    source = """
    import time
    from pydantic import BaseModel, model_validator
    from ffe_core import hookimpl
    class Section(BaseModel):
        @model_validator(mode="after")
        def slow(self):
            time.sleep(20)
    @hookimpl
    def ffe_settings():
        return Section
    """
    site.install("bad", source)
    assert load(deadline=0.15).problem_lines() == ("plugin bad: broken: settings did not answer within 0.15 s",)


def test_one_unusable_object_leaves_the_other_objects_of_its_plugin(site: Site, load: Load) -> None:
    source = SOUND.replace("return [Prices()]", "return [object(), Prices(), Prices]")
    site.install("mixed", source)
    registry = load()
    assert list(registry.sources) == ["sound"]
    assert registry.problem_lines() == (
        "plugin mixed: ffe_data_sources: object is no DataSource: name is missing",
        "plugin mixed: ffe_data_sources: Prices is a class; an object of it is wanted",
    )


def test_a_note_that_became_known_later_is_handed_on_for_the_briefing_to_withhold(site: Site, load: Load) -> None:
    source = """
    from datetime import timedelta
    from ffe_core import Note, Trust, hookimpl
    @hookimpl
    def ffe_brief(request):
        yield Note("somebody else", Trust.MEASURED, request.as_of + timedelta(seconds=1), "from the future")
    """
    site.install("seer", source)
    (note,) = load().notes(REQUEST)
    assert (note.origin, note.available_at > REQUEST.as_of) == ("seer", True)
