"""Finding, importing and registering plugins, with real distributions."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffe_core.builtin import BUILTINS, Builtin
from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.clock import FixedClock
from ffe_core.errors import RequiredPluginFailed, SettingsError, UnknownName
from ffe_core.plugins import Problem, Registry, load_plugins
from ffe_core.plugins.installed import installed
from ffe_core.settings import Settings
from ffe_core.settings.sections import PluginsSettings
from ffe_core.testing.samples import NOON
from tests.plugins.conftest import SOUND, Site

type Load = Callable[..., Registry]


def info(registry: Registry, name: str) -> tuple[str, str]:
    return next((plugin.state, plugin.reason) for plugin in registry.plugins if plugin.name == name)


def lines(registry: Registry) -> list[str]:
    return [str(problem) for problem in registry.problems]


#: nothing but what is built in
PLAIN = Settings(plugins=PluginsSettings(enabled=[]))


@pytest.fixture
def waiting(site: Site, monkeypatch: pytest.MonkeyPatch) -> str:
    """The module of a built-in plugin with a source, not imported yet."""
    module = site.install("own", SOUND, module="ffe_own_waiting", group="nobody.looks")
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(BUILTINS, "own", Builtin(module, "source", settings=False))
    return module


def test_an_installed_plugin_is_listed_and_usable_without_any_setting(site: Site, load: Load) -> None:
    site.install("sound", SOUND, version="2.1")
    registry = load()
    plugin = next(plugin for plugin in registry.plugins if plugin.name == "sound")
    assert (plugin.version, plugin.distribution, plugin.state) == ("2.1", "ffe-sound", "active")
    assert plugin.hooks == ("ffe_brief", "ffe_data_sources", "ffe_indicators")
    source = registry.source("sound")
    made = source.candles(Asset.parse("BTCUSD"), Timeframe.H1, start=None, end=None, limit=None)
    assert (len(made), registry.sources["sound"].plugin, lines(registry)) == (1, "sound", [])


def test_builtin_plugins_load_first_and_in_their_listed_order(site: Site, load: Load) -> None:
    site.install("aaa", SOUND)
    # The workspace's own plugins are installed beside it and come after, by their names.
    names = [plugin.name for plugin in load().plugins]
    assert names[: len(BUILTINS) + 1] == [*BUILTINS, "aaa"]


def test_the_list_of_builtins_says_what_each_one_has(load: Load) -> None:
    assert load(enabled=[]).plugins == load_plugins(PLAIN, clock=FixedClock(NOON), at_once=False).plugins


def test_a_builtin_is_imported_when_its_kind_is_asked_for(site: Site, waiting: str) -> None:
    registry = load_plugins(PLAIN, clock=FixedClock(NOON), at_once=False)
    assert list(registry.providers)[:1] == ["local"]
    assert waiting not in sys.modules
    assert registry.require("source", "files").name == "files"
    assert waiting not in sys.modules
    assert list(registry.sources) == ["demo", "sample", "files", "sound"]
    assert waiting in sys.modules


def test_a_builtin_that_waits_keeps_its_name_and_its_place(site: Site, waiting: str) -> None:
    site.install("claimant", SOUND)
    settings = Settings(plugins=PluginsSettings(enabled=["claimant"]))
    registry = load_plugins(settings, clock=FixedClock(NOON), at_once=False)
    assert registry.sources["sound"].plugin == "own"
    assert lines(registry) == ["plugin claimant: source sound: the name is already taken by plugin own"]


def test_a_builtin_that_settings_speak_of_does_not_wait(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (site.path / "own_builtin.py").write_text(WITH_SECTION, encoding="utf-8")
    importlib.invalidate_caches()
    monkeypatch.setitem(BUILTINS, "own", Builtin("own_builtin", "source"))
    plugins: Any = {"own": {"sise": 3}}
    with pytest.raises(SettingsError, match=r"plugins\.own\.sise"):
        load_plugins(Settings(plugins=plugins), clock=FixedClock(NOON), at_once=False)


def test_a_plugin_that_is_not_enabled_is_listed_and_never_imported(site: Site, load: Load) -> None:
    module = site.install("idle", "raise RuntimeError('imported')")
    site.install("sound", SOUND)
    registry = load(enabled=["sound"])
    assert info(registry, "idle") == ("disabled", "not in plugins.enabled")
    assert module not in sys.modules
    assert lines(registry) == []


def test_an_empty_list_of_enabled_plugins_means_builtins_only(site: Site, load: Load) -> None:
    module = site.install("sound", SOUND)
    assert info(load(enabled=[]), "sound")[0] == "disabled"
    assert module not in sys.modules


def test_plugins_load_in_the_order_that_settings_list_them(site: Site, load: Load) -> None:
    for name in ("one", "two", "three"):
        site.install(name, SOUND.replace('"sound"', f'"{name}"'))
    assert [*load(enabled=["three", "one", "two"]).sources][-3:] == ["three", "one", "two"]


def test_disabled_takes_out_a_plugin_and_a_builtin_one(site: Site, load: Load) -> None:
    module = site.install("sound", SOUND)
    registry = load(disabled=["sound", "rules"])
    assert info(registry, "sound") == info(registry, "rules") == ("disabled", "in plugins.disabled")
    assert "local" not in registry.providers
    assert module not in sys.modules


def test_an_enabled_plugin_that_is_not_installed_is_one_line_with_the_nearest_name(site: Site, load: Load) -> None:
    site.install("sound", SOUND)
    registry = load(enabled=["sund"])
    assert lines(registry) == ["plugin sund: plugins.enabled: not installed; did you mean sound?"]


def test_a_name_that_settings_disable_and_nobody_has_is_one_line(load: Load) -> None:
    assert lines(load(disabled=["rulez"])) == ["plugin rulez: settings: no such plugin; did you mean rules?"]


def test_a_problem_is_told_once_as_it_happens(site: Site, load: Load) -> None:
    told: list[Problem] = []
    site.install("bad", "raise RuntimeError('boom')")
    registry = load(on_problem=told.append)
    assert told == registry.problems
    registry.report(told[0].plugin, told[0].what, told[0].why)
    assert len(told) == 1


def test_no_third_party_plugin_means_no_stevedore() -> None:
    code = """
import sys
from ffe_core.settings import Settings
from ffe_core.domain.clock import SystemClock
from ffe_core.plugins import load_plugins
load_plugins(Settings(plugins={"enabled": []}), clock=SystemClock())
print([name for name in ("stevedore", "packaging", "numpy", "pandas", "sqlmodel", "requests") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"


# names


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("rules", "the name belongs to a built-in plugin; ffe-rules needs another one"),
        ("deadline", "plugins.deadline is a setting of the host; the plugin needs another name"),
        ("Loud", "the name may hold lower-case letters, digits, _ and - only"),
    ],
)
def test_a_name_that_cannot_be_had_is_refused_without_an_import(site: Site, load: Load, name: str, reason: str) -> None:
    module = site.install(name, "raise RuntimeError('imported')", module="ffe_claimant")
    registry = load()
    assert f"plugin {name}: broken: {reason}" in lines(registry)
    assert module not in sys.modules


def test_a_plugin_that_nobody_wants_is_listed_without_a_warning(site: Site, load: Load) -> None:
    site.install("rules", SOUND, module="ffe_claimant")
    site.install("Loud", SOUND, module="ffe_loud")
    registry = load(enabled=[])
    assert lines(registry) == []
    assert info(registry, "Loud")[0] == "broken"
    assert lines(load(enabled=["Loud"])) == [
        "plugin Loud: broken: the name may hold lower-case letters, digits, _ and - only"
    ]


def test_a_builtin_name_stays_taken_while_the_builtin_is_disabled(site: Site, load: Load) -> None:
    site.install("rules", SOUND, module="ffe_claimant")
    registry = load(disabled=["rules"])
    assert any("belongs to a built-in" in plugin.reason for plugin in registry.plugins)
    assert "sound" not in registry.sources


def test_two_distributions_with_one_plugin_name_are_one_plugin_and_one_line(site: Site, load: Load) -> None:
    site.install("twin", SOUND, module="ffe_twin_a", distribution="a-twin")
    second = site.install("twin", "raise RuntimeError('imported')", module="ffe_twin_b", distribution="b-twin")
    registry = load()
    assert lines(registry) == ["plugin twin: broken: the name is already taken by a-twin"]
    assert registry.sources["sound"].plugin == "twin"
    assert second not in sys.modules


def test_an_offer_whose_name_is_taken_stays_with_the_first_plugin(site: Site, load: Load) -> None:
    site.install("first", SOUND)
    site.install("second", SOUND)
    registry = load()
    assert registry.sources["sound"].plugin == "first"
    assert lines(registry) == ["plugin second: source sound: the name is already taken by plugin first"]


# imports that fail


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import a_module_that_is_not_there", "ModuleNotFoundError: No module named 'a_module_that_is_not_there'"),
        ("raise AssertionError('not here')", "AssertionError: not here"),
        ("raise SystemExit(3)", "tried to end the process with code 3"),
        ("import sys; sys.exit('bye')", "tried to end the process with code bye"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("this is no python", "SyntaxError: invalid syntax (ffe_bad.py, line 1)"),
    ],
)
def test_an_import_that_fails_is_broken_with_its_text_and_the_others_load(
    site: Site, load: Load, source: str, why: str
) -> None:
    site.install("bad", source)
    site.install("sound", SOUND)
    registry = load()
    assert info(registry, "bad")[0] == "broken"
    (line,) = lines(registry)
    assert line.startswith(f"plugin bad: broken: import: {why}")
    assert "sound" in registry.sources


def test_an_import_that_hangs_is_left_behind_at_its_deadline(site: Site, load: Load) -> None:
    site.install("slow", "import time; time.sleep(30)")
    site.install("sound", SOUND)
    registry = load(deadline=0.03)
    assert info(registry, "slow") == ("broken", "import did not answer within 0.36 s")
    assert "sound" in registry.sources


def test_an_entry_point_without_its_module_or_object_is_broken(site: Site, load: Load) -> None:
    site.install("gone", "", entry="ffe_gone_for_good")
    site.install("empty", "", entry="ffe_empty:plugin")
    registry = load()
    assert "No module named 'ffe_gone_for_good'" in info(registry, "gone")[1]
    assert "has no attribute 'plugin'" in info(registry, "empty")[1]


def test_an_entry_point_may_name_an_object(site: Site, load: Load) -> None:
    source = """
    from ffe_core import hookimpl
    class Plugin:
        @hookimpl
        def ffe_indicators(self, candles):
            return {"one": 1.0}
    plugin = Plugin()
    """
    site.install("object", source, entry="ffe_object:plugin")
    (plugin,) = [plugin for plugin in load().plugins if plugin.name == "object"]
    assert plugin.hooks == ("ffe_indicators",)


# what stevedore and pluggy leave to us


def test_a_plugin_added_a_moment_ago_is_found_although_the_disk_cache_does_not_know_it(
    site: Site, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stevedore import _cache

    stale = _cache.Cache(str(tmp_path / "cache"))
    monkeypatch.setattr(_cache, "get_group_all", stale.get_group_all)
    site.install("first", SOUND)
    load()
    assert stale.get_group_all("ffe.plugins")
    site.install("second", SOUND.replace('"sound"', '"second"'))
    registry = load()
    assert "second" in registry.sources
    assert "second" not in [entry.name for entry in stale.get_group_all("ffe.plugins")], "the trap is gone"


def test_the_distribution_of_every_entry_point_is_known(site: Site) -> None:
    site.install("sound", SOUND, version="3.0")
    from stevedore import _cache

    cached = [entry for entry in _cache.Cache(str(site.path)).get_group_all("ffe.plugins") if entry.name == "sound"]
    assert [entry.dist for entry in cached] == [None], "the trap is gone"
    found = next(plugin for plugin in installed() if plugin.name == "sound")
    assert (found.distribution, found.version) == ("ffe-sound", "3.0")


def test_the_files_say_what_python_says_of_plugins(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.install("sound", SOUND, version="3.0", requires=["ffe-core>=0.1", 'numpy<3; python_version > "3"'])
    (info,) = site.path.glob("ffe_sound-*.dist-info")
    (info / "METADATA").write_text((info / "METADATA").read_text() + "\nName: in-the-description\n")
    site.install("twin", "", module="ffe_twin_a", distribution="A.Twin")
    site.install("twin", "", module="ffe_twin_b", distribution="b-twin")
    old = site.path / "ffe_old.egg-info"
    old.mkdir()
    (old / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: ffe-old\nVersion: 0.9\n")
    (old / "entry_points.txt").write_text("[ffe.plugins]\nold = ffe_old:plugin [extra]\n")
    (old / "requires.txt").write_text("ffe-core>=0.1\n")

    def known() -> list[tuple[object, ...]]:
        return [
            (each.name, each.entry_point.value, each.distribution, each.version, each.requires) for each in installed()
        ]

    from_files = known()
    monkeypatch.setattr("ffe_core.plugins.installed.lie_in_folders", lambda: False)
    assert {"sound", "twin", "old"} <= {name for name, *_ in from_files}
    assert from_files == known()


def test_stevedore_alone_would_crash_on_two_modules_with_one_name(site: Site) -> None:
    from stevedore.named import NamedExtensionManager

    site.install("twin", "", module="ffe_twin_a", distribution="a-twin")
    site.install("twin", "", module="ffe_twin_b", distribution="b-twin")
    NamedExtensionManager.ENTRY_POINT_CACHE.pop("ffe.plugins", None)
    try:
        extensions = NamedExtensionManager("ffe.plugins", names=["twin"])
        assert extensions.names() == ["twin", "twin"], "duplicates load unless name_order is set"
        with pytest.raises(AttributeError, match="__qualname__"):
            extensions["twin"]
    finally:
        NamedExtensionManager.ENTRY_POINT_CACHE.pop("ffe.plugins", None)


def test_a_misspelt_argument_is_one_line_with_hook_and_argument(site: Site, load: Load) -> None:
    site.install("slip", "from ffe_core import hookimpl\n@hookimpl\ndef ffe_brief(reqest): return []")
    site.install("sound", SOUND)
    registry = load()
    assert lines(registry) == ["plugin slip: broken: ffe_brief has no argument reqest"]
    assert "sound" in registry.sources


def test_a_misspelt_hook_is_one_line_with_the_nearest(site: Site, load: Load) -> None:
    site.install("slip", "from ffe_core import hookimpl\n@hookimpl\ndef ffe_data_sorces(): return []")
    site.install("sound", SOUND)
    registry = load()
    assert lines(registry) == ["plugin slip: broken: there is no hook ffe_data_sorces; did you mean ffe_data_sources?"]
    assert "sound" in registry.sources


def test_a_hook_without_its_marker_is_pointed_out(site: Site, load: Load) -> None:
    site.install("slip", "def ffe_data_sources(): return []")
    registry = load()
    assert lines(registry) == ["plugin slip: ffe_data_sources: is defined without @hookimpl, so that nobody calls it"]
    assert info(registry, "slip")[0] == "active"


def test_a_wrapper_around_other_plugins_is_refused(site: Site, load: Load) -> None:
    site.install("nosy", "from ffe_core import hookimpl\n@hookimpl(wrapper=True)\ndef ffe_brief():\n    yield")
    assert "is a wrapper around other plugins" in info(load(), "nosy")[1]


def test_a_hook_may_leave_out_or_take_settings_and_context(site: Site, load: Load) -> None:
    source = """
    from ffe_core import Note, Trust, hookimpl
    from pydantic import BaseModel
    class Section(BaseModel):
        word: str = "hello"
    @hookimpl
    def ffe_settings():
        return Section
    @hookimpl
    def ffe_indicators(settings, context):
        context.state_dir.joinpath("seen").write_text(settings.word)
        return {"draw": context.rng.random(), "hour": float(context.clock.now().hour)}
    """
    site.install("full", source)
    registry = load(full={"word": "bye"})
    from ffe_core.testing.samples import make_candles

    first = registry.indicators(make_candles(bars=3))
    assert first["full.hour"] == 12.0
    again = load(full={"word": "bye"}).indicators(make_candles(bars=3))
    assert again == first, "the same run draws the same numbers"


def test_a_plugin_cannot_set_the_clock(site: Site, load: Load) -> None:
    source = """
    from ffe_core import hookimpl
    @hookimpl
    def ffe_indicators(context):
        object.__setattr__(context.clock, "instant", None)
    """
    site.install("winder", source)
    registry = load()
    from ffe_core.testing.samples import make_candles

    assert registry.indicators(make_candles(bars=3)) == {}
    assert "AttributeError" in lines(registry)[0]


def test_the_state_folder_of_a_plugin_is_its_own_and_private(site: Site, load: Load, home: Path) -> None:
    source = """
    from ffe_core import hookimpl
    @hookimpl
    def ffe_data_sources(context):
        context.state_dir
        return []
    """
    site.install("keeper", source)
    load()
    folder = home / "state" / "plugins" / "keeper"
    assert folder.stat().st_mode & 0o777 == 0o700


# versions


@pytest.mark.parametrize(
    ("requires", "state"),
    [
        ([], "active"),
        (["ffe-core"], "active"),
        (["ffe-core>=0.1,<1"], "active"),
        (["ffe-core >= 0.1.0.0"], "active"),
        (["ffe-core>=0.1.1"], "incompatible"),
        (["ffe-core>=0.1rc1"], "active"),
        (["ffe-core>=99"], "incompatible"),
        (["FFE_Core (>=99)"], "incompatible"),
        (["ffe-core>=99; python_version < '3'"], "active"),
        (["ffe-core-extras>=99"], "active"),
        (["ffe-core >>> nonsense"], "incompatible"),
    ],
)
def test_a_requirement_on_another_core_makes_a_plugin_incompatible(
    site: Site, load: Load, requires: list[str], state: str
) -> None:
    module = site.install("dated", SOUND, requires=requires)
    registry = load()
    assert info(registry, "dated")[0] == state
    assert (module in sys.modules) is (state == "active")


def test_the_reason_for_incompatibility_names_both_versions(site: Site, load: Load) -> None:
    site.install("dated", SOUND, requires=["ffe-core>=99"])
    assert info(load(), "dated")[1] == "requires ffe-core >=99, this is 0.1.0"


# settings of a plugin

WITH_SECTION = """
from ffe_core import hookimpl
from pydantic import BaseModel, ConfigDict, SecretStr
class Section(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int = 1
    api_key: SecretStr | None = None
@hookimpl
def ffe_settings():
    return Section
@hookimpl
def ffe_data_sources(settings):
    raise RuntimeError(f"cannot reach https://x?key={settings.api_key.get_secret_value() if settings.api_key else ''}")
"""


def test_wrong_settings_of_a_plugin_break_that_plugin_alone(site: Site, load: Load) -> None:
    site.install("picky", WITH_SECTION)
    site.install("sound", SOUND)
    registry = load(picky={"sise": 3})
    (line,) = lines(registry)
    assert line.startswith("plugin picky: broken:")
    assert "plugins.picky.sise" in line
    assert "size" in line
    assert "sound" in registry.sources


def test_no_failure_line_repeats_a_secret_of_the_section(site: Site, load: Load) -> None:
    site.install("picky", WITH_SECTION)
    registry = load(picky={"api_key": "s3cr3t-canary"})
    assert lines(registry) == ["plugin picky: ffe_data_sources: RuntimeError: cannot reach https://x?key=***"]


@pytest.mark.parametrize("answer", ["None", "int", "{}", "Section()"])
def test_a_settings_hook_that_answers_no_model_breaks_its_plugin(site: Site, load: Load, answer: str) -> None:
    source = f"""
    from ffe_core import hookimpl
    from pydantic import BaseModel
    class Section(BaseModel): pass
    @hookimpl
    def ffe_settings(): return {answer}
    """
    site.install("odd", source)
    assert "instead of a pydantic model" in info(load(), "odd")[1]


def test_a_section_of_a_plugin_without_settings_is_pointed_out(site: Site, load: Load) -> None:
    site.install("sound", SOUND)
    registry = load(sound={"speed": 3})
    assert lines(registry) == ["plugin sound: settings: plugins.sound is set, and the plugin takes none"]


def test_a_section_of_nobody_is_pointed_out(load: Load) -> None:
    (line,) = lines(load(rulz={"speed": 3}))
    assert "plugins.rulz" in line
    assert "rules" in line


# what a run cannot do without


def test_an_unknown_name_is_answered_with_the_nearest(site: Site, load: Load) -> None:
    site.install("sound", SOUND)
    with pytest.raises(UnknownName, match=r"unknown source 'sond'; did you mean sound\?"):
        load().source("sond")


def test_a_required_source_of_a_broken_plugin_ends_the_run_with_its_reason(site: Site, load: Load) -> None:
    site.install("sound", "import a_module_that_is_not_there")
    registry = load()
    with pytest.raises(RequiredPluginFailed) as failed:
        registry.require("source", "sound")
    assert failed.value.exit_code == 2
    assert failed.value.message == (
        "plugin sound: broken: import: ModuleNotFoundError: No module named 'a_module_that_is_not_there', "
        "and this run needs its source sound"
    )


def test_a_required_source_whose_hook_failed_ends_the_run_with_its_reason(site: Site, load: Load) -> None:
    source = "from ffe_core import hookimpl\n@hookimpl\ndef ffe_data_sources(): raise ValueError('no such folder')"
    site.install("sound", source)
    with pytest.raises(RequiredPluginFailed, match="no such folder"):
        load().require("source", "sound")


def test_a_required_name_that_nobody_offers_is_a_usage_error(load: Load) -> None:
    with pytest.raises(UnknownName):
        load().require("platform", "nowhere")


def test_versions_of_active_plugins_are_known_for_the_record(site: Site, load: Load) -> None:
    site.install("sound", SOUND, version="4.2")
    assert load().versions()["sound"] == "4.2"
    assert "sound" not in load(disabled=["sound"]).versions()


def test_a_builtin_whose_own_section_is_wrong_is_a_settings_error(
    site: Site, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site.path / "own_builtin.py").write_text(WITH_SECTION, encoding="utf-8")
    importlib.invalidate_caches()
    monkeypatch.setitem(BUILTINS, "own", Builtin("own_builtin", "source"))
    with pytest.raises(SettingsError, match=r"plugins\.own\.sise"):
        load(own={"sise": 3})


def test_a_driver_that_is_missing_raises_whatever_its_callback_says() -> None:
    from stevedore.driver import DriverManager
    from stevedore.exception import NoMatches

    told: list[set[str]] = []
    with pytest.raises(NoMatches):
        DriverManager("ffe.no_such_group", "nobody", on_missing_entrypoints_callback=told.append)
    assert told == [], "its callback is never called"


RATIONED = """
from ffe_core import hookimpl
class Oracle:
    name, model, local, per_day = "oracle", "m", False, None
    @property
    def per_minute(self):
        {body}
    def ask(self, briefing, *, timeout): ...
class Other:
    name, model, local, per_minute, per_day = "other", "m", False, 5, 100
    def ask(self, briefing, *, timeout): ...
@hookimpl
def ffe_ai_providers():
    return [Oracle(), Other()]
"""


@pytest.mark.parametrize("isolation", ["thread", "process"])
@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("raise RuntimeError('boom')", "Oracle: RuntimeError: boom"),
        ("return 0", "Oracle: answered per_minute 0, which is no number of questions"),
        ("return -3", "Oracle: answered per_minute -3, which is no number of questions"),
        ("return True", "Oracle: answered per_minute True, which is no number of questions"),
        ("return 2.5", "Oracle: answered per_minute 2.5, which is no number of questions"),
        ("return 'often'", "Oracle: answered per_minute 'often', which is no number of questions"),
    ],
)
def test_a_ration_that_makes_no_sense_is_one_line_that_names_whose_it_is(
    site: Site, load: Callable[..., Registry], body: str, why: str, isolation: str
) -> None:
    site.install("acme", RATIONED.format(body=body))
    registry = load(isolation={"acme": isolation})
    assert [str(problem) for problem in registry.problems] == [f"plugin acme: ffe_ai_providers: {why}"]
    assert set(registry.providers) >= {"other"}
    assert "oracle" not in registry.providers


def test_no_limit_is_a_ration_too(site: Site, load: Callable[..., Registry]) -> None:
    site.install("acme", RATIONED.format(body="return None"))
    registry = load()
    assert registry.problems == []
    assert "Rationed" in registry.providers["oracle"].capabilities
