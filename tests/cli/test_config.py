from __future__ import annotations

import io
import json
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from rich.console import Console

from ffe_core.cli.render import print_decision
from ffe_core.cli.settings_document import current
from ffe_core.domain.trading import Effect
from ffe_core.settings import Settings
from ffe_core.settings.reference import entries
from tests.cli.conftest import Run
from tests.store.records import decision

type Ffe = Callable[..., Run]

SECRET = "hunter22-s3cr3t"


@pytest.fixture
def folder(home: Path) -> Path:
    (home / "config").mkdir()
    return home / "config"


def write(file: Path, text: str, mode: int = 0o600) -> None:
    file.write_text(text, encoding="utf-8")
    file.chmod(mode)


# --- show ---


def test_show_lists_every_setting_with_its_origin(ffe: Ffe, folder: Path) -> None:
    write(folder / "config.local.yaml", "risk:\n  max_leverage: 2\n")
    data = ffe("config", "show", "--json").data

    assert data["risk.max_leverage"] == {"value": 2.0, "origin": "config.local.yaml:2"}
    assert data["data.sources"] == {"value": ["demo"], "origin": "default"}
    assert {entry.key for entry in entries()} <= data.keys()


def test_show_masks_secrets_of_the_core_and_of_plugins(ffe: Ffe, folder: Path) -> None:
    write(folder / ".env", f"FFE_STORE__URL=postgresql://u:{SECRET}@h/db\nFFE_PLUGINS__PAPER__API_KEY={SECRET}\n")
    write(
        folder / "config.yaml",
        f"plugins:\n  nowhere:\n    api_key: {SECRET}\n    url: 'http://u:{SECRET}@h'\n    n: 1\n",
    )
    for arguments in (("config", "show", "--json"), ("config", "show"), ("config", "explain", "store.url")):
        run = ffe(*arguments)
        assert run.code == 0, run.err
        assert SECRET not in run.out + run.err

    data = ffe("config", "show", "--json").data
    assert data["store.url"] == {"value": "********", "origin": ".env FFE_STORE__URL"}
    assert data["plugins.nowhere.api_key"] == {"value": "********", "origin": "config.yaml:3"}
    assert data["plugins.nowhere.url"]["value"] == "********"
    assert data["plugins.nowhere.n"] == {"value": 1, "origin": "config.yaml:5"}


def test_show_knows_the_plugins_own_settings(ffe: Ffe, folder: Path) -> None:
    write(folder / "config.yaml", "plugins: {paper: {initial_cash: 5000}}\n")
    data = ffe("config", "show", "plugins.paper", "--json").data
    assert data["plugins.paper.initial_cash"]["origin"] == "config.yaml:1"
    assert float(data["plugins.paper.initial_cash"]["value"]) == 5000
    assert all(key.startswith("plugins.paper.") for key in data)


def test_show_changed_leaves_the_defaults_out(ffe: Ffe, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_ENSEMBLE__WEIGHTS__LOCAL", "2")
    data = ffe("config", "show", "--changed", "--json").data
    assert data == {"ensemble.weights.local": {"value": 2.0, "origin": "environment FFE_ENSEMBLE__WEIGHTS__LOCAL"}}
    assert ffe("config", "show", "--changed").out.split()[-3:] == ["2.0", "environment", "FFE_ENSEMBLE__WEIGHTS__LOCAL"]


def test_a_secret_in_plain_text_is_told_at_once(ffe: Ffe, folder: Path) -> None:
    write(folder / "config.yaml", f"plugins:\n  paper2:\n    token: {SECRET}\n")
    run = ffe("config", "show", "risk")
    assert "config.yaml:3 plugins.paper2.token: a secret in plain text" in run.err
    assert SECRET not in run.err


def test_an_entry_below_the_threshold_is_marked() -> None:
    entry = decision(effect=Effect.OPEN_LONG, confidence=57)
    marked = {}
    for threshold in (0.57, 0.58):
        console = Console(file=io.StringIO(), width=200)
        print_decision(console, entry, threshold=threshold)
        marked[threshold] = "BELOW THE THRESHOLD" in console.file.getvalue()  # type: ignore[attr-defined]
    assert marked == {0.57: False, 0.58: True}


def test_an_unknown_key_is_answered_with_the_nearest(ffe: Ffe) -> None:
    for command in ("show", "explain"):
        run = ffe("config", command, "risk.max_levrage")
        assert run.code == 2
        assert "did you mean risk.max_leverage?" in run.line


# --- check ---


def test_check_of_settings_that_hold_together(ffe: Ffe) -> None:
    assert ffe("config", "check", "--json").data == {"ok": True, "problems": [], "warnings": []}


def test_check_lists_every_problem_and_exits_with_two(ffe: Ffe, folder: Path) -> None:
    write(
        folder / "config.yaml",
        "risk:\n  max_drawdwn: 1\nai: {timeout: soon}\nplugins:\n  papper: {}\n  paper: {initial_csh: 1}\n"
        "execution: {platform: papr}\n",
    )
    run = ffe("config", "check", "--json")
    assert run.code == 2
    assert run.line.startswith("error: the settings have ")
    problems = run.object["data"]["problems"]
    assert any("risk.max_drawdwn: unknown key" in line for line in problems)
    assert "config.yaml:3 ai.timeout: expected a number, found text" in problems

    write(folder / "config.yaml", "plugins:\n  papper: {}\n  paper: {initial_csh: 1}\nai: {providers: [locl]}\n")
    run = ffe("config", "check", "--json")
    assert run.code == 2
    problems = run.object["data"]["problems"]
    assert "config.yaml:3 plugins.paper.initial_csh: unknown key; did you mean plugins.paper.initial_cash?" in problems
    assert "problem  config.yaml" in ffe("config", "check").out


def test_check_names_what_settings_choose_and_nobody_offers(ffe: Ffe, folder: Path) -> None:
    write(
        folder / "config.yaml",
        "ai: {providers: [local, trend_adxx]}\nplugins: {papper: {}}\n"
        "execution: {platform: papr}\nensemble: {strategy: wieghted, weights: {nobody: 1}}\n",
    )
    run = ffe("config", "check", "--json")
    problems = "\n".join(run.object["data"]["problems"])
    assert "config.yaml:1 ai.providers: unknown provider 'trend_adxx'; did you mean trend_adx?" in problems
    assert "config.yaml:2 plugins.papper: unknown key; did you mean plugins.paper?" in problems
    assert "config.yaml:3 execution.platform: unknown platform 'papr'; did you mean paper?" in problems
    assert "config.yaml:4 ensemble.strategy: unknown strategy 'wieghted'; did you mean weighted?" in problems
    assert "config.yaml:4 ensemble.weights: unknown provider 'nobody'" in problems


def test_check_warns_of_secrets_that_others_may_read(ffe: Ffe, folder: Path) -> None:
    write(folder / ".env", "GEMINI_API_KEY=abcdefgh\n", 0o644)
    write(folder / "config.yaml", f"store: {{url: 'postgresql://u:{SECRET}@h/db'}}\n", 0o640)
    write(folder / "config.local.yaml", "mode: paper\n", 0o644)
    data = ffe("config", "check", "--json").data

    assert data["ok"]
    assert data["warnings"] == [
        "config.yaml:1 store.url: a secret in plain text; move it to .env or the environment as FFE_STORE__URL",
        f"{folder / '.env'}: others may read it (mode 0644); chmod 600 it",
        f"{folder / 'config.yaml'}: others may read it (mode 0640); chmod 600 it",
    ]


# --- explain ---


def test_explain_tells_type_default_meaning_value_origin_and_variable(ffe: Ffe, folder: Path) -> None:
    write(folder / "config.yaml", "risk: {max_leverage: 3}\n")
    assert ffe("config", "explain", "risk.max_leverage", "--json").data == {
        "key": "risk.max_leverage",
        "type": "number above 0 and at most 100",
        "default": 5.0,
        "description": Settings().risk.__class__.model_fields["max_leverage"].description,
        "value": 3.0,
        "origin": "config.yaml:1",
        "variable": "FFE_RISK__MAX_LEVERAGE",
        "other_variables": [],
    }
    text = ffe("config", "explain", "risk.max_leverage").out
    for part in ("number above 0", "5.0", "3.0 (config.yaml:1)", "FFE_RISK__MAX_LEVERAGE"):
        assert part in text


def test_explain_of_a_section_tells_all_its_keys(ffe: Ffe) -> None:
    data = ffe("config", "explain", "costs", "--json").data
    names = [entry["key"] for entry in data["keys"]]
    assert names == ["costs.profile", "costs.fee", "costs.slippage", "costs.commission"]


def test_explain_knows_plugins_and_names_within_mappings(ffe: Ffe, folder: Path) -> None:
    write(folder / "config.yaml", "ensemble: {weights: {local: 2}}\n")
    assert ffe("config", "explain", "plugins.paper.initial_cash", "--json").data["origin"] == "default"
    data = ffe("config", "explain", "ensemble.weights.local", "--json").data
    assert (data["key"], data["value"], data["origin"]) == ("ensemble.weights", {"local": 2.0}, "config.yaml:1")


def test_explain_works_while_settings_are_broken(ffe: Ffe, folder: Path) -> None:
    write(folder / "config.yaml", "decision: {threshold: 70}\n")
    run = ffe("config", "explain", "decision.threshold")
    assert run.code == 0
    assert "write 0.7 for 70 %" in run.line
    assert "fraction above 0 and at most 1" in run.out


# --- set ---


def test_set_writes_the_local_file_and_show_tells_so(ffe: Ffe, home: Path) -> None:
    file = home / "config" / "config.local.yaml"
    data = ffe("config", "set", "risk.max_leverage", "2.5", "--json").data

    assert data == {"key": "risk.max_leverage", "value": 2.5, "origin": "config.local.yaml:2", "file": str(file)}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    shown = ffe("config", "show", "risk.max_leverage", "--json").data
    assert shown == {"risk.max_leverage": {"value": 2.5, "origin": "config.local.yaml:2"}}


def test_set_keeps_comments_and_the_base_file(ffe: Ffe, folder: Path) -> None:
    write(folder / "config.yaml", "mode: paper\n")
    write(folder / "config.local.yaml", "# mine\nai:\n  timeout: 5  # short\n", 0o644)
    assert ffe("config", "set", "ai.timeout", "9").code == 0

    assert (folder / "config.yaml").read_text(encoding="utf-8") == "mode: paper\n"
    assert (folder / "config.local.yaml").read_text(encoding="utf-8") == "# mine\nai:\n  timeout: 9  # short\n"
    assert stat.S_IMODE((folder / "config.local.yaml").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("key", "value", "written"),
    [
        ("data.sources", "files,sample", ["files", "sample"]),
        ("data.sources", '["files"]', ["files"]),
        ("pulse.indicators", "", []),
        ("execution.allow_short", "yes", True),
        ("decision.horizon", "12", 12),
        ("log.level", "INFO", "INFO"),
        ("decision.timeframe", "4h", "4h"),
        ("ensemble.weights", '{"local": 2}', {"local": 2}),
        ("ensemble.weights.local", "2", 2),
        ("data.kinds.GOOG", "stock", "stock"),
        ("data.freshness.stock_daily.critical", "null", None),
        ("plugins.enabled", "null", None),
        ("plugins.isolation.paper", "process", "process"),
        ("plugins.paper.initial_cash", "5000", None),
    ],
)
def test_set_understands_values_as_they_are_typed(
    ffe: Ffe, folder: Path, key: str, value: str, written: object
) -> None:
    run = ffe("config", "set", key, value)
    assert run.code == 0, run.err

    node = yaml.safe_load((folder / "config.local.yaml").read_text(encoding="utf-8"))
    for part in key.split("."):
        node = node[part]
    assert node == written or (key == "plugins.paper.initial_cash" and float(node) == 5000)


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("sizing.risk", "2", "sizing.risk: 2 is not a fraction; fractions inside: write 0.02 for 2 %"),
        ("risk.max_leverage", "-1", "risk.max_leverage: must be above 0, not -1"),
        ("risk.max_levrage", "1", "unknown setting 'risk.max_levrage'; did you mean risk.max_leverage?"),
        ("mode", "papr", "mode: expected one of paper, live"),
        ("mode", "changeme", "mode: is still a placeholder"),
        ("data.sources", "demo,files", "demo invents prices and never mixes with real ones"),
        ("ensemble.weights", "5", "expected a mapping, as a JSON object"),
        ("plugins.papper.x", "1", "unknown plugin 'papper'; did you mean paper?"),
        ("plugins.paper.initial_csh", "1", "unknown setting 'plugins.paper.initial_csh'"),
        ("plugins.paper.initial_cash", "much", "plugins.paper.initial_cash: expected a number, found text"),
        ("exits.min", "0.5", "exits: min is above max"),
        ("execution.platform", "${NOWHERE}", "${NOWHERE} is not set"),
        ("", "1", "unknown setting ''"),
        ("risk..x", "1", "unknown setting 'risk..x'"),
    ],
)
def test_set_writes_nothing_that_does_not_hold_together(
    ffe: Ffe, folder: Path, key: str, value: str, line: str
) -> None:
    write(folder / "config.local.yaml", "# as it was\n")
    run = ffe("config", "set", key, value)

    assert run.code == 2
    assert line in run.line
    assert (folder / "config.local.yaml").read_text(encoding="utf-8") == "# as it was\n"
    assert [file.name for file in folder.iterdir()] == ["config.local.yaml"]


@pytest.mark.parametrize("key", ["store.url", "plugins.paper.api_key", "plugins.nowhere.token"])
def test_set_takes_no_secret_from_the_command_line(ffe: Ffe, folder: Path, key: str) -> None:
    run = ffe("config", "set", key, SECRET)
    assert run.code == 2
    assert SECRET not in run.out + run.err
    assert "FFE_" in run.err or "unknown plugin" in run.err
    assert list(folder.iterdir()) == []


def test_set_repairs_settings_that_are_broken(ffe: Ffe, folder: Path) -> None:
    write(folder / "config.local.yaml", "decision: {threshold: 70}\nai: {timeout: soon}\n")
    assert ffe("config", "set", "decision.threshold", "0.7").code == 0
    assert ffe("config", "set", "ai.timeout", "5").code == 0
    assert ffe("config", "check").code == 0


def test_set_says_so_where_a_variable_still_wins(ffe: Ffe, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_MODE", "paper")
    run = ffe("config", "set", "mode", "live")
    assert run.code == 0
    assert "environment FFE_MODE still wins" in run.line


def test_set_refuses_a_file_that_is_no_mapping_and_a_foreign_config(ffe: Ffe, folder: Path) -> None:
    for text in ("- a\n", "a: b: c\n"):
        write(folder / "config.local.yaml", text)
        run = ffe("config", "set", "mode", "live")
        assert run.code == 2
        assert "config.local.yaml:1" in run.line
        assert (folder / "config.local.yaml").read_text(encoding="utf-8") == text
    run = ffe("config", "set", "mode", "live", "--config", str(folder / "config.local.yaml"))
    assert (run.code, "--config leaves out" in run.line) == (2, True)


# --- files ---


def test_init_writes_a_private_paper_config_and_replaces_none(ffe: Ffe, home: Path) -> None:
    file = home / "config" / "config.yaml"
    assert ffe("config", "init", "--json").data == {"file": str(file)}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["mode"] == "paper"
    assert ffe("config", "check").code == 0

    file.write_text("mode: live\n", encoding="utf-8")
    run = ffe("config", "init")
    assert run.code == 2
    assert "--force" in run.line
    assert file.read_text(encoding="utf-8") == "mode: live\n"
    assert ffe("config", "init", "--force").code == 0
    assert yaml.safe_load(file.read_text(encoding="utf-8"))["mode"] == "paper"


def test_path_names_the_files_in_the_order_they_are_read(ffe: Ffe, folder: Path) -> None:
    write(folder / "config.yaml", "")
    data = ffe("config", "path", "--json").data
    assert data["folder"] == str(folder)
    assert [(Path(file["path"]).name, file["exists"]) for file in data["files"]] == [
        ("config.yaml", True),
        ("config.local.yaml", False),
        (".env", False),
    ]
    assert ffe("config", "path").out.splitlines()[0] == str(folder / "config.yaml")


def test_schema_is_a_json_schema_with_the_plugins(ffe: Ffe) -> None:
    whole = json.loads(ffe("config", "schema").out)
    assert whole == ffe("config", "schema", "--json").data
    assert "initial_cash" in whole["$defs"]["PluginsSettings"]["properties"]["paper"]["properties"]


def test_a_broken_file_is_one_line_for_every_command_that_needs_it(ffe: Ffe, folder: Path) -> None:
    write(folder / "config.yaml", "mode: papr\nrisk: [1]\n")
    run = ffe("config", "show", "--json")
    assert run.code == 2
    assert run.error["type"] == "SettingsError"
    assert "config.yaml:2 risk: expected a mapping" in run.line


@pytest.mark.parametrize("name", ["docs/settings.md", "config.example.yaml"])
def test_what_is_written_about_settings_is_current(home: Path, name: str) -> None:
    root = Path(__file__).resolve().parents[2]
    again = "write it again: python -m ffe_core.cli.settings_document"
    assert (root / name).read_text(encoding="utf-8") == current()[name], again


def test_the_settings_document_names_the_built_in_plugins_keys(home: Path) -> None:
    for key in ("plugins.files.path", "plugins.demo.seed", "plugins.paper.initial_cash"):
        assert f"| `{key}` |" in current()["docs/settings.md"]
