"""Plugins in a process of their own: the same answers, and no fault of theirs reaches this one."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.codec import canonical_json
from ffe_core.domain.decisions import BriefRequest
from ffe_core.errors import NoData, NotConfigured, PluginError, ProviderFailed, SettingsError, SourceFailed
from ffe_core.plugins import PluginInfo, Registry
from ffe_core.plugins.wire import decode, encode
from ffe_core.ports import CheckedProvider, Dated, Rationed, Readiness
from ffe_core.testing.samples import (
    NOON,
    make_briefing,
    make_candles,
    make_proposal,
    make_risk_context,
)
from tests.plugins.conftest import Site

type Load = Callable[..., Registry]

BTC = Asset.parse("BTCUSD")
REQUEST = BriefRequest(BTC, NOON, Timeframe.H1, 24)

SOUND = """
import os, sys
from datetime import date, timedelta
from decimal import Decimal
from ffe_core import (Action, Candles, NoData, Note, Opinion, Quote, Readiness, Ruling, RulingOutcome, Trust, hookimpl)
from ffe_core.testing.samples import make_candles

class Prices:
    name = "prices"
    def __init__(self, clock):
        self.clock = clock
    def serves(self, asset):
        return asset.symbol == "BTCUSD"
    def candles(self, asset, timeframe, *, start, end, limit):
        if asset.symbol != "BTCUSD":
            raise NoData("only bitcoin here", hint="ask for BTCUSD")
        return make_candles(asset, timeframe, bars=40, source=self.name)
    def quote(self, asset):
        return Quote(asset, Decimal("10.5"), Decimal("10.6"), self.clock.now(), self.name)

class Oracle:
    name, model, local = "oracle", "acme-1", False
    cutoff, per_minute, per_day = date(2024, 1, 31), 5, None
    def ask(self, briefing, *, timeout):
        return Opinion("", self.model, Action.BUY, 61, f"price {briefing.market.price}", amount=Decimal("0.5"))
    def check(self, *, timeout):
        return Readiness(signed_in=False, reachable=True, detail=f"within {timeout:g} s", hint="sign in")

class Cap:
    name = "cap"
    def check(self, proposal, context):
        half = proposal.quantity / 2
        told = {"mode": context.mode}
        return Ruling(self.name, RulingOutcome.CLAMPED, "half is enough", proposal.quantity, half, told)

@hookimpl
def ffe_data_sources(context):
    return [Prices(context.clock)]
@hookimpl
def ffe_ai_providers():
    return [Oracle()]
@hookimpl
def ffe_risk_rules():
    return [Cap()]
@hookimpl
def ffe_brief(request, context):
    context.log.warning("looked", asset=request.asset.symbol, pid=os.getpid())
    return [Note("x", Trust.UNTRUSTED, request.as_of - timedelta(hours=1), f"pid {os.getpid()}")]
@hookimpl
def ffe_indicators(candles):
    return {"last": candles.close[-1]}
@hookimpl
def ffe_alert_raised(alert):
    print("noise on standard output")
"""


@pytest.fixture
def isolated(site: Site, load: Load) -> Callable[..., Registry]:
    def loaded(source: str, name: str = "acme", **plugins: object) -> Registry:
        site.install(name, source)
        return load(isolation={name: "process"}, **plugins)

    return loaded


def acme(registry: Registry) -> PluginInfo:
    """The plugin under test, which stands among the workspace's own."""
    (found,) = [plugin for plugin in registry.plugins if plugin.name == "acme"]
    return found


def test_an_isolated_plugin_answers_as_one_in_this_process_does(site: Site, load: Load) -> None:
    module = site.install("acme", SOUND)
    apart = load(isolation={"acme": "process"})
    assert module not in sys.modules, "the host never imports it"
    near = load()
    assert [str(problem) for problem in (*apart.problems, *near.problems)] == []
    assert acme(apart) == acme(near)
    for registry in (apart, near):
        assert registry.sources["prices"].capabilities == {"QuoteSource"}
        oracle = registry.provider("oracle")
        assert (oracle.model, oracle.local) == ("acme-1", False)
        assert isinstance(oracle, Dated) and oracle.cutoff == date(2024, 1, 31)
        assert isinstance(oracle, Rationed) and (oracle.per_minute, oracle.per_day) == (5, None)
        assert isinstance(oracle, CheckedProvider)
        assert oracle.check(timeout=3) == Readiness(None, False, True, None, "within 3 s", "sign in")
    one, other = apart.source("prices"), near.source("prices")
    assert one.serves(BTC) is other.serves(BTC) is True
    bars = {"start": NOON - timedelta(hours=9), "end": None, "limit": 5}
    assert one.candles(BTC, Timeframe.H1, **bars).fingerprint == other.candles(BTC, Timeframe.H1, **bars).fingerprint
    assert one.quote(BTC) == other.quote(BTC)  # type: ignore[attr-defined]
    briefing = make_briefing()
    assert apart.provider("oracle").ask(briefing, timeout=5) == near.provider("oracle").ask(briefing, timeout=5)
    judged = make_proposal(), make_risk_context()
    assert canonical_json(apart.rule("cap").check(*judged)) == canonical_json(near.rule("cap").check(*judged))
    candles = make_candles(bars=30)
    assert apart.indicators(candles) == near.indicators(candles)


def test_hooks_run_in_the_child_and_its_words_reach_the_log_here(
    isolated: Callable[..., Registry], caplog: pytest.LogCaptureFixture
) -> None:
    registry = isolated(SOUND)
    with caplog.at_level(logging.WARNING, logger="ffe"):
        (note,) = registry.notes(REQUEST)
    assert note.origin == "acme"
    assert note.text != f"pid {os.getpid()}"
    (record,) = caplog.records
    assert (record.name, record.getMessage()) == ("ffe.plugin.acme", "looked")


def test_errors_of_ours_come_back_as_themselves_with_their_hint(isolated: Callable[..., Registry]) -> None:
    with pytest.raises(NoData) as none:
        isolated(SOUND).source("prices").candles(Asset.parse("ETHUSD"), Timeframe.H1, start=None, end=None, limit=None)
    assert (none.value.message, none.value.hint) == ("only bitcoin here", "ask for BTCUSD")


FAULTS = """
import ctypes, os, signal, sys, time
from ffe_core import Action, NotConfigured, Note, Opinion, Trust, hookimpl
FAULT = {fault!r}

def fault():
    exec(FAULT, globals())

class Oracle:
    name, model, local = "oracle", "acme-1", False
    def __init__(self):
        self.asked = 0
    def ask(self, briefing, *, timeout):
        if briefing.horizon == 13:
            fault()
        return Opinion("", self.model, Action.HOLD, 50, "quiet")

@hookimpl
def ffe_ai_providers():
    return [Oracle()]
@hookimpl
def ffe_brief(request):
    if request.horizon == 13:
        fault()
    return [Note("", Trust.OWN, request.as_of, "still here")]
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("os._exit(7)", "its process ended with code 7"),
        ("ctypes.string_at(0)", "its process was ended by SIGSEGV"),
        ("hog = bytearray(3 * 1024 ** 3)", "MemoryError"),
        ("raise SystemExit(4)", "tried to end the process with code 4"),
        ("while True: pass", "did not answer within 0.3 s"),
    ],
)
def test_a_fault_costs_one_answer_and_the_next_one_is_sound(
    isolated: Callable[..., Registry], fault: str, why: str
) -> None:
    # Only who hangs has to be waited for; who dies may take a while to do so on a busy machine.
    hangs = fault.startswith("while")
    registry = isolated(FAULTS.format(fault=fault), deadline=0.3 if hangs else 10.0)
    provider, briefing = registry.provider("oracle"), make_briefing()
    with pytest.raises(ProviderFailed) as failed:
        provider.ask(replace(briefing, horizon=13), timeout=0.1 if hangs else 10.0)
    assert failed.value.message.startswith(f"plugin acme: provider oracle: ask: {why}")
    assert provider.ask(briefing, timeout=5).confidence == 50
    assert registry.notes(replace(REQUEST, horizon=13)) == ()
    (problem,) = registry.problems
    assert str(problem).startswith(f"plugin acme: ffe_brief: {why}")
    assert [note.text for note in registry.notes(REQUEST)] == ["still here"]


def test_noise_on_standard_output_and_strange_descriptors_do_not_disturb_the_answers(
    isolated: Callable[..., Registry],
) -> None:
    fault = "print('{\"answer\": 1}' * 1000); sys.stdout.flush(); os.write(1, b'noise'); os.write(2, b'')"
    registry = isolated(FAULTS.format(fault=fault))
    assert registry.provider("oracle").ask(replace(make_briefing(), horizon=13), timeout=5).confidence == 50


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("os._exit(7)", "its process ended with code 7"),
        ("time.sleep(30)", "did not answer within 3 s"),
        ("return True", "answered bool instead of Readiness"),
        ("raise RuntimeError('boom')", "RuntimeError: boom"),
    ],
)
def test_an_isolated_look_that_fails_is_a_line_in_time(isolated: Callable[..., Registry], body: str, why: str) -> None:
    source = f"""
import os, time
from ffe_core import hookimpl
class Oracle:
    name, model, local = "oracle", "m", False
    def ask(self, briefing, *, timeout): ...
    def check(self, *, timeout):
        {body}
@hookimpl
def ffe_ai_providers():
    return [Oracle()]
"""
    oracle = isolated(source).provider("oracle")
    began = time.monotonic()
    assert isinstance(oracle, CheckedProvider)
    with pytest.raises(ProviderFailed) as failed:
        oracle.check(timeout=2.8)
    assert failed.value.message.startswith("plugin acme: provider oracle: check")
    assert why in failed.value.message
    assert time.monotonic() - began < 8


def test_a_process_that_keeps_dying_is_left_alone_in_the_end(isolated: Callable[..., Registry]) -> None:
    registry = isolated(FAULTS.format(fault="os._exit(1)"))
    provider, briefing = registry.provider("oracle"), replace(make_briefing(), horizon=13)
    why = []
    for _ in range(5):
        with pytest.raises(ProviderFailed) as failed:
            provider.ask(briefing, timeout=5)
        why.append(failed.value.message.rpartition(": ")[2])
    assert why == ["its process ended with code 1"] * 3 + ["its process ended 3 times in a row and is left alone"] * 2


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import a_module_that_is_not_there", "import: ModuleNotFoundError: No module named"),
        ("raise SystemExit(3)", "import: tried to end the process with code 3"),
        ("import os; os._exit(3)", "its process ended with code 3"),
        ("import ctypes; ctypes.string_at(0)", "its process was ended by SIGSEGV"),
        ("from ffe_core import hookimpl\n@hookimpl\ndef ffe_breif(): pass", "there is no hook ffe_breif"),
    ],
)
def test_a_plugin_that_cannot_load_in_its_process_is_broken(
    isolated: Callable[..., Registry], source: str, why: str
) -> None:
    registry = isolated(source)
    assert acme(registry).state == "broken"
    assert acme(registry).reason.startswith(why)


def test_the_child_sees_its_section_and_the_variables_it_names_and_no_others(
    site: Site, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ffe_core.domain.clock import SystemClock
    from ffe_core.plugins import load_plugins
    from ffe_core.settings import load_settings

    source = """
    import os
    from pydantic import BaseModel, Field, SecretStr
    from ffe_core import hookimpl, Note, Trust
    class Section(BaseModel):
        api_key: SecretStr | None = Field(None, json_schema_extra={"env": "ACME_KEY"})
        pairs: list[str] = []
        size: int = 1
    @hookimpl
    def ffe_settings():
        return Section
    @hookimpl
    def ffe_brief(request, settings):
        told = [settings.api_key.get_secret_value(), *settings.pairs, str(settings.size), os.environ.get("ACME_KEY")]
        told += [os.environ.get("OTHER_SECRET"), os.environ.get("FFE_HOME")]
        return [Note("", Trust.OWN, request.as_of, " ".join(map(str, told)))]
    """
    site.install("acme", source)
    monkeypatch.setenv("ACME_KEY", "the-key-itself")
    monkeypatch.setenv("OTHER_SECRET", "never-shown")
    monkeypatch.setenv("FFE_PLUGINS__ACME__PAIRS", "a,b")
    monkeypatch.setenv("FFE_PLUGINS__ACME__SIZE", "7")
    monkeypatch.setenv("FFE_PLUGINS__ISOLATION", '{"acme": "process"}')
    with load_plugins(load_settings(), clock=SystemClock()) as registry:
        assert registry.problem_lines() == ()
        (note,) = registry.notes(REQUEST)
    assert note.text == "the-key-itself a b 7 None None None"


def test_wrong_settings_are_told_from_the_child(isolated: Callable[..., Registry]) -> None:
    source = """
    from pydantic import BaseModel, ConfigDict
    from ffe_core import hookimpl
    class Section(BaseModel):
        model_config = ConfigDict(extra="forbid")
        size: int = 1
    @hookimpl
    def ffe_settings():
        return Section
    """
    registry = isolated(source, acme={"sise": 3})
    assert "plugins.acme.sise" in acme(registry).reason


@pytest.mark.parametrize(
    ("hook", "what"),
    [
        ("ffe_platforms", "platforms"),
        ("ffe_aggregation_strategies", "strategies"),
        ("ffe_executors", "executors"),
    ],
)
def test_what_cannot_be_isolated_is_one_settings_error(isolated: Callable[..., Registry], hook: str, what: str) -> None:
    with pytest.raises(SettingsError) as refused:
        isolated(f"from ffe_core import hookimpl\n@hookimpl\ndef {hook}(): return []")
    assert refused.value.message == (f"plugins.isolation.acme: a plugin with {what} cannot run in a process of its own")


def test_a_missing_key_is_not_configured_with_the_line_that_sets_it(isolated: Callable[..., Registry]) -> None:
    fault = "raise NotConfigured('no key', hint='set plugins.acme.api_key')"
    with pytest.raises(NotConfigured) as missing:
        isolated(FAULTS.format(fault=fault)).provider("oracle").ask(replace(make_briefing(), horizon=13), timeout=5)
    assert missing.value.hint == "set plugins.acme.api_key"


def test_a_reply_that_was_refused_crosses_the_pipe(isolated: Callable[..., Registry]) -> None:
    fault = (
        "from ffe_core import ProviderFailed; error = ProviderFailed('no action in it'); "
        "error.prompt, error.reply = 'so?', 'perhaps'; raise error"
    )
    with pytest.raises(ProviderFailed, match="no action in it") as failed:
        isolated(FAULTS.format(fault=fault)).provider("oracle").ask(replace(make_briefing(), horizon=13), timeout=5)
    assert (failed.value.prompt, failed.value.reply) == ("so?", "perhaps")


def test_a_call_to_a_living_child_costs_little(isolated: Callable[..., Registry]) -> None:
    provider, briefing = isolated(SOUND).provider("oracle"), make_briefing()
    provider.ask(briefing, timeout=5)
    took = []
    for _ in range(10):
        began = time.perf_counter()
        provider.ask(briefing, timeout=5)
        took.append(time.perf_counter() - began)
    assert min(took) < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["sys.exit()", "os.kill(os.getpid(), 9)"])
def test_the_child_and_what_it_started_end_with_the_host(site: Site, home: Path, tmp_path: Path, ending: str) -> None:
    source = """
    import os, pathlib, subprocess, time
    from ffe_core import hookimpl
    @hookimpl
    def ffe_brief(request):
        program = subprocess.Popen(["sleep", "60"])
        pathlib.Path({path!r}).write_text(f"{{os.getpid()}} {{program.pid}}")
        time.sleep(60)
    """
    pids = tmp_path / "pids"
    site.install("acme", source.format(path=str(pids)))
    code = f"""
import sys; sys.path.insert(0, {str(site.path)!r})
from ffe_core.settings import Settings
from ffe_core.domain.clock import FixedClock
from ffe_core.plugins import load_plugins
from ffe_core.domain.threads import start
from tests.plugins.test_isolation import REQUEST, NOON
settings = Settings(plugins={{"isolation": {{"acme": "process"}}, "deadline": 30}})
registry = load_plugins(settings, clock=FixedClock(NOON))
start(lambda: registry.notes(REQUEST), name="left behind")
import os, pathlib, time
while not pathlib.Path({str(pids)!r}).exists(): time.sleep(0.01)
time.sleep(0.05)
{ending}
"""
    subprocess.run([sys.executable, "-c", code], timeout=60, check=False, cwd=Path(__file__).parents[2])
    until = time.monotonic() + 5
    alive = pids.read_text().split()
    while alive and time.monotonic() < until:
        alive = [pid for pid in alive if _runs(pid)]
        time.sleep(0.02)
    assert alive == []


def _runs(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_closed_child_is_not_started_again(isolated: Callable[..., Registry]) -> None:
    registry = isolated(SOUND)
    registry.close()
    with pytest.raises(ProviderFailed, match="its process was closed"):
        registry.provider("oracle").ask(make_briefing(), timeout=5)


def test_a_child_that_cannot_be_started_is_a_failure_like_another(
    isolated: Callable[..., Registry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    registry = isolated(SOUND)
    assert "No such file" in acme(registry).reason


def test_candles_cross_the_pipe_bit_for_bit() -> None:
    candles = make_candles(bars=200)
    again = decode(type(candles), encode(candles))
    assert again.fingerprint == candles.fingerprint
    assert (again.synthetic, again.fetched_at, again.day_boundary) == (
        candles.synthetic,
        candles.fetched_at,
        candles.day_boundary,
    )


@pytest.mark.parametrize("broken", [{}, {"time": 3}, None, []])
def test_what_is_no_candles_is_refused(broken: object) -> None:
    with pytest.raises(ValueError, match="no candles"):
        decode(type(make_candles(bars=2)), broken)


def test_an_isolated_source_that_answers_garbage_is_a_source_that_failed(isolated: Callable[..., Registry]) -> None:
    registry = isolated(SOUND.replace("make_candles(asset, timeframe, bars=40, source=self.name)", "'candles'"))
    with pytest.raises(SourceFailed, match="answered str instead of Candles"):
        registry.source("prices").candles(BTC, Timeframe.H1, start=None, end=None, limit=None)


def test_an_isolated_rule_that_fails_is_a_plugin_error(isolated: Callable[..., Registry]) -> None:
    registry = isolated(SOUND.replace("half = proposal.quantity / 2", "half = 1 / 0"))
    with pytest.raises(PluginError) as failed:
        registry.rule("cap").check(make_proposal(), make_risk_context())
    assert failed.value.message == "plugin acme: rule cap: check: ZeroDivisionError: division by zero"
