from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ffe_core.errors import SettingsError, UsageError
from ffe_core.paths import resolve_paths
from ffe_core.settings import Settings, SettingsProblems, examine, load_settings


@pytest.fixture
def write(home: Path) -> Callable[..., Path]:
    """Writes files into the config folder by name: ``write(base=..., local=..., dotenv=...)``."""
    names = {"base": "config.yaml", "local": "config.local.yaml", "dotenv": ".env"}

    def put(**texts: str) -> Path:
        folder = home / "config"
        folder.mkdir(exist_ok=True)
        for key, text in texts.items():
            (folder / names[key]).write_text(text, encoding="utf-8")
        return folder

    return put


def problems(home: Path, env: dict[str, str] | None = None) -> list[str]:
    return [str(problem) for problem in examine(env=env or {}, home=home)[1]]


def test_with_nothing_set_every_value_is_the_default(home: Path) -> None:
    settings = load_settings(env={}, home=home)

    assert settings.mode == "paper"
    assert settings.data.sources == ["demo"]
    assert settings.decision.threshold == 0.7
    assert settings.origin("decision.threshold") == "default"
    assert settings.model_dump() == Settings().model_dump()


def test_the_order_is_base_then_local_then_dotenv_then_environment(home: Path, write: Callable[..., Path]) -> None:
    write(base="risk: {max_leverage: 1}\n")
    assert load_settings(env={}, home=home).risk.max_leverage == 1

    write(local="risk: {max_leverage: 2}\n")
    assert load_settings(env={}, home=home).risk.max_leverage == 2

    write(dotenv="FFE_RISK__MAX_LEVERAGE=3\n")
    assert load_settings(env={}, home=home).risk.max_leverage == 3

    settings = load_settings(env={"FFE_RISK__MAX_LEVERAGE": "4"}, home=home)
    assert settings.risk.max_leverage == 4
    assert settings.origin("risk.max_leverage") == "environment FFE_RISK__MAX_LEVERAGE"


def test_every_value_knows_where_it_came_from(home: Path, write: Callable[..., Path]) -> None:
    write(
        base="ai:\n  timeout: 12\n  fallback: local\nexits:\n  target: 0.1\n",
        local="# mine\n\nai:\n  timeout: 13\n",
        dotenv="FFE_COSTS__FEE=0.002\n",
    )
    settings = load_settings(env={"FFE_MODE": "live"}, home=home)

    assert settings.origin("ai.timeout") == "config.local.yaml:4"
    assert settings.origin("ai.fallback") == "config.yaml:3"
    assert settings.origin("costs.fee") == ".env FFE_COSTS__FEE"
    assert settings.origin("mode") == "environment FFE_MODE"
    assert settings.origin("ai.providers") == "default"
    assert settings.origin("ai") == "config.local.yaml:4, config.yaml:3"


def test_mappings_merge_deeply_and_lists_replace(home: Path, write: Callable[..., Path]) -> None:
    write(
        base="ensemble: {weights: {local: 1, trend_adx: 2}}\nai: {providers: [local, trend_adx]}\n"
        "data: {freshness: {crypto: {warn: 1}}}\n",
        local="ensemble: {weights: {trend_adx: 3}}\nai: {providers: [local]}\n"
        "data: {freshness: {crypto: {critical: 9}}}\n",
    )
    settings = load_settings(env={}, home=home)

    assert settings.ensemble.weights == {"local": 1, "trend_adx": 3}
    assert settings.ai.providers == ["local"]
    assert (settings.data.freshness.crypto.warn, settings.data.freshness.crypto.critical) == (1, 9)
    assert settings.data.freshness.stock_daily.warn == 1440
    assert settings.origin("ensemble.weights.local") == "config.yaml:1"
    assert settings.origin("ensemble.weights.trend_adx") == "config.local.yaml:1"


def test_the_working_directory_is_never_read(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "config").mkdir(parents=True)
    for file in ("config.yaml", ".env", "config/config.yaml", "config/.env"):
        (elsewhere / file).write_text("mode: live\n" if file.endswith("yaml") else "FFE_MODE=live\n", encoding="utf-8")
    monkeypatch.chdir(elsewhere)

    assert load_settings(env={}, home=home).mode == "paper"


def test_settings_read_the_process_environment_by_default(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_DECISION__HORIZON", "12")
    settings = load_settings()

    assert settings.decision.horizon == 12
    assert settings.paths.home == home


def test_settings_made_by_hand_read_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_MODE", "live")

    settings = Settings(risk={"max_leverage": 2})  # type: ignore[arg-type]

    assert (settings.mode, settings.risk.max_leverage) == ("paper", 2)


def test_settings_cannot_be_changed_afterwards(home: Path) -> None:
    settings = load_settings(env={}, home=home)
    with pytest.raises(ValueError, match="frozen"):
        settings.risk.max_leverage = 100
    with pytest.raises(ValueError, match="frozen"):
        settings.mode = "live"  # type: ignore[assignment]


# --- one file instead of the tiers ---


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("mine.yaml", "mode: live\ncosts:\n  fee: 0.5e-2\n"),
        ("mine.yml", "mode: live\ncosts:\n  fee: 0.005\n"),
        ("mine.json", '{\n\t"mode": "live",\n\t"costs": {\n\t"fee": 5e-3}\n}'),
    ],
)
def test_one_config_file_replaces_the_tiers_and_not_the_variables(
    home: Path, write: Callable[..., Path], tmp_path: Path, name: str, text: str
) -> None:
    write(base="sizing: {risk: 0.02}\n", local="sizing: {risk: 0.03}\n", dotenv="FFE_AI__TIMEOUT=7\n")
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")

    settings = load_settings(config=file, env={"FFE_DECISION__HORIZON": "9"}, home=home)

    assert (settings.mode, settings.costs.fee) == ("live", 0.005)
    assert settings.origin("costs.fee").startswith(f"{file}:")
    assert settings.sizing.risk == 0.01
    assert (settings.ai.timeout, settings.decision.horizon) == (7, 9)


@pytest.mark.parametrize(("name", "made"), [("absent.yaml", False), ("mine.toml", True), ("mine", True)])
def test_a_config_file_that_is_missing_or_of_another_kind_is_a_usage_error(
    home: Path, tmp_path: Path, name: str, made: bool
) -> None:
    file = tmp_path / name
    if made:
        file.write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match=name):
        load_settings(config=file, env={}, home=home)


def test_broken_json_is_named_with_its_line(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{\n "mode": "paper",\n "costs": {"fee": }\n}', encoding="utf-8")

    (problem,) = examine(config=file, env={}, home=home)[1]

    assert str(problem).startswith(f"{file}:3: not valid JSON: ")


def test_a_slash_may_be_escaped_in_json(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text(r'{"plugins": {"x": {"url": "http:\/\/h\\\/", "tail": "a\\"}}}', encoding="utf-8")

    section = load_settings(config=file, env={}, home=home).plugin_sections["x"]

    assert section == {"url": "http://h\\/", "tail": "a\\"}


# --- variables ---


@pytest.mark.parametrize("text", ["files,demo2", "files, demo2", '["files", "demo2"]'])
def test_a_list_from_the_environment_is_commas_or_json(home: Path, text: str) -> None:
    assert load_settings(env={"FFE_DATA__SOURCES": text}, home=home).data.sources == ["files", "demo2"]


def test_a_mapping_from_the_environment_is_json_and_joins_the_rest(home: Path, write: Callable[..., Path]) -> None:
    write(base="plugins: {isolation: {a: process}}\n")
    env = {
        "FFE_PLUGINS__ISOLATION": '{"b": "thread"}',
        "FFE_RISK": '{"max_leverage": 2, "max_concentration": 0.1}',
        "FFE_RISK__MAX_LEVERAGE": "3",
        "FFE_DATA__KINDS__GOOG": "stock",
    }
    settings = load_settings(env=env, home=home)

    assert settings.plugins.isolation == {"a": "process", "b": "thread"}
    assert (settings.risk.max_leverage, settings.risk.max_concentration) == (3, 0.1)
    assert settings.data.kinds == {"GOOG": "stock"}
    assert settings.origin("data.kinds.goog") == "environment FFE_DATA__KINDS__GOOG"


@pytest.mark.parametrize(
    ("env", "line"),
    [
        ({"FFE_DATA__SOURCES": "[files"}, "environment FFE_DATA__SOURCES data.sources: expected a list"),
        ({"FFE_RISK": "5"}, "environment FFE_RISK risk: expected a mapping"),
        ({"FFE_MODE": "live", "FFE_MODE__X": "1"}, "environment FFE_MODE__X: FFE_MODE is already set to a plain value"),
        ({"FFE_PLUGINS__X": "1"}, "environment FFE_PLUGINS__X plugins.x: expected a mapping"),
        ({"FFE_DECISION__HORIZON": "soon"}, "decision.horizon: expected a whole number, found text"),
        ({"FFE_EXECUTION__ALLOW_SHORT": "maybe"}, "execution.allow_short: expected true or false, found text"),
        ({"FFE_AI__TIMEOUT": ""}, "ai.timeout: expected a number, found text"),
        ({"FFE_AI__TIMEOUT": "nan"}, "ai.timeout: expected a finite number"),
    ],
)
def test_a_variable_that_does_not_fit_is_named(home: Path, env: dict[str, str], line: str) -> None:
    settings, found = examine(env=env, home=home)
    held = settings.plugin_problems if settings is not None else ()
    assert any(line in str(problem) for problem in (*found, *held))


@pytest.mark.parametrize(
    ("name", "guess"),
    [
        ("FFE_RISK__MAX_LEVRAGE", "FFE_RISK__MAX_LEVERAGE"),
        ("FFE_RSK__MAX_LEVERAGE", "FFE_RISK__MAX_LEVERAGE"),
        ("FFE_MAX_LEVERAGE", "FFE_RISK__MAX_LEVERAGE"),
        ("FFE_HOEM", "FFE_HOME"),
        ("FFE_PLUGIN", "FFE_PLUGINS"),
        ("FFE_MDOE", "FFE_MODE"),
    ],
)
@pytest.mark.parametrize("where", ["environment", ".env"])
def test_an_unknown_variable_of_ours_is_an_error_with_the_nearest_one(
    home: Path, write: Callable[..., Path], where: str, name: str, guess: str
) -> None:
    env = {name: "1"} if where == "environment" else {}
    if where == ".env":
        write(dotenv=f"{name}=1\n")
    assert problems(home, env) == [f"{where} {name}: unknown key; did you mean {guess}?"]


def test_variables_of_others_are_nobodys_business(home: Path, write: Callable[..., Path]) -> None:
    write(dotenv="export OTHER_TOOL_KEY=1\nRISK__MAX_LEVERAGE=9\nEMPTY=\n# comment\nQUOTED='a b'\n")
    settings = load_settings(
        env={"RISK": "1", "MODE": "live", "FFE_TEST_DATA": "x", "FFE_HOME": str(home), "_FFE_COMPLETE": "bash"}
    )
    assert settings.recorded() == Settings().recorded()


def test_a_line_of_dotenv_that_sets_nothing_is_named(home: Path, write: Callable[..., Path]) -> None:
    write(dotenv="FFE_MODE=paper\nthis is no assignment\nFFE_HOME=/elsewhere\n")
    assert problems(home) == [
        ".env FFE_HOME: has no effect in this file, which lies under it; set it in the environment",
        ".env:2: expected NAME=value",
    ]


@pytest.mark.parametrize(("text", "names"), [("a,b", ["a", "b"]), ("", []), ("a", ["a"]), ('["x"]', ["x"])])
def test_ffe_plugins_replaces_the_enabled_ones(
    home: Path, write: Callable[..., Path], text: str, names: list[str]
) -> None:
    write(base="plugins:\n  enabled: [c]\n  deadline: 9\n  x: {key: 1}\n", dotenv="FFE_PLUGINS__DISABLED=d\n")
    env = {"FFE_PLUGINS": text, "FFE_PLUGINS__ENABLED": "other", "FFE_PLUGINS__X__OTHER": "2"}

    settings = load_settings(env=env, home=home)

    assert settings.plugins.enabled == names
    assert settings.origin("plugins.enabled") == "environment FFE_PLUGINS"
    assert (settings.plugins.deadline, settings.plugins.disabled) == (9, ["d"])
    assert settings.plugin_sections == {"x": {"key": 1, "other": "2"}}


def test_enabled_plugins_unset_are_all_that_is_installed(home: Path) -> None:
    assert load_settings(env={}, home=home).plugins.enabled is None


# --- references ---


def test_references_expand_in_yaml_and_in_lists(home: Path, write: Callable[..., Path]) -> None:
    write(
        base="data:\n  sources: ['${FIRST}', \"${SECOND:-files}\"]\n  bars: ${BARS:-600}\n"
        "log: {level: '${LEVEL:-INFO}'}\nai: {providers: '${PANEL}'}\n"
        "execution: {platform: 'x-${FIRST}-$${FIRST}', allow_short: '${SHORT:-true}'}\n",
        dotenv="PANEL=local,trend_adx\nFIRST=from-dotenv\n",
    )
    settings = load_settings(env={"FIRST": "here", "LEVEL": ""}, home=home)

    assert settings.data.sources == ["here", "files"]
    assert settings.data.bars == 600
    assert settings.log.level == "INFO"
    assert settings.ai.providers == ["local", "trend_adx"]
    assert settings.execution.platform == "x-here-${FIRST}"
    assert settings.execution.allow_short is True
    assert settings.origin("data.bars") == "config.yaml:3"


def test_a_reference_without_value_or_default_is_reported(home: Path, write: Callable[..., Path]) -> None:
    write(base="execution:\n  platform: ${NOWHERE}\ndata:\n  sources: [files, '${ALSO}', '${bad name}']\n")

    assert problems(home) == [
        "config.yaml:2 execution.platform: ${NOWHERE} is not set; set it, or write ${NOWHERE:-default}",
        "config.yaml:4 data.sources: ${ALSO} is not set; set it, or write ${ALSO:-default}",
        "config.yaml:4 data.sources: a reference must read ${NAME} or ${NAME:-default}",
    ]


def test_dotenv_values_may_refer_to_others(home: Path, write: Callable[..., Path]) -> None:
    write(dotenv="HOST=db.example\nFFE_STORE__URL=postgresql://${HOST}/${NAME:-ffe}\n")

    url = load_settings(env={}, home=home).store.url

    assert url is not None
    assert url.get_secret_value() == "postgresql://db.example/ffe"


# --- where things live ---


def test_everything_lies_under_ffe_home(home: Path) -> None:
    paths = resolve_paths({"FFE_HOME": str(home)})
    assert (paths.config, paths.data, paths.cache, paths.logs, paths.state) == tuple(
        home / name for name in ("config", "data", "cache", "logs", "state")
    )
    assert paths.store_file == home / "data" / "ffe.db"
    assert not (home / "data").exists()


def test_without_ffe_home_the_platform_decides(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("CONFIG", "DATA", "CACHE", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / "xdg" / name.lower()))

    paths = resolve_paths({})

    assert paths.home is None
    assert all(place.is_absolute() for place in (paths.config, paths.data, paths.cache, paths.logs, paths.state))
    assert list(tmp_path.iterdir()) == []


def test_a_relative_home_is_refused() -> None:
    with pytest.raises(SettingsError, match="absolute"):
        resolve_paths({"FFE_HOME": "here"})


def test_a_home_may_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_paths({"FFE_HOME": "~/ffe"}).config == tmp_path / "ffe" / "config"


# --- the record ---


def test_a_record_holds_what_matters_and_neither_secret_nor_path(home: Path, write: Callable[..., Path]) -> None:
    write(base="plugins: {files: {path: /data}}\n", dotenv="FFE_STORE__URL=postgresql://u:hunter22@h/db\n")
    recorded = load_settings(env={}, home=home).recorded()

    assert recorded["sizing"]["risk"] == 0.01
    assert recorded["decision"] == {"timeframe": "1h", "threshold": 0.7, "horizon": 24}
    assert not {"store", "log", "plugins"} & recorded.keys()
    assert "hunter22" not in str(recorded)
    assert str(home) not in str(recorded)


def test_several_problems_are_one_error_that_lists_them_all(home: Path, write: Callable[..., Path]) -> None:
    write(local="mode: papr\nrisk:\n  max_drawdwn: 1\n")
    with pytest.raises(SettingsProblems) as caught:
        load_settings(env={}, home=home)

    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    assert len(caught.value.problems) == 2
    assert caught.value.hint is not None
    assert caught.value.hint.startswith("also: config.local.yaml:")
