from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr

import ffe_core
from ffe_core.settings import Settings, load_settings
from ffe_core.settings.editing import with_value, write_private
from ffe_core.settings.reference import entries, example, schema

# --- what there is to set ---


def test_the_example_says_nothing_but_the_defaults(home: Path) -> None:
    (home / "config").mkdir()
    file = home / "config" / "config.yaml"
    file.write_text(example(), encoding="utf-8")
    assert load_settings(env={}, home=home).recorded() == Settings().recorded()

    uncommented = "".join(re.sub(r"^# ", "", line) for line in example().splitlines(keepends=True))
    file.write_text(uncommented, encoding="utf-8")
    settings = load_settings(env={"COINBASE_API_KEY": "k"}, home=home)
    assert settings.recorded() == Settings().recorded()
    assert settings.warnings == ()
    assert set(yaml.safe_load(uncommented)) == set(Settings.model_fields)


def test_every_key_is_described_and_has_a_variable() -> None:
    for entry in entries():
        assert entry.description, entry.key
        assert entry.variables[0] == "FFE_" + entry.key.replace(".", "__").upper()


@pytest.mark.parametrize("entry", list(entries()), ids=lambda entry: entry.key)
def test_every_default_can_be_written_in_yaml_and_as_a_variable(home: Path, entry: object) -> None:
    assert isinstance(entry, type(next(entries())))
    if entry.default is None:
        return
    text = entry.default if isinstance(entry.default, str) else json.dumps(entry.default)
    by_variable = load_settings(env={entry.variables[0]: text}, home=home)
    (home / "config").mkdir()
    (home / "config" / "config.yaml").write_text(with_value("", entry.path, entry.default), encoding="utf-8")
    by_file = load_settings(env={}, home=home)
    assert by_variable.recorded() == by_file.recorded() == Settings().recorded()


@pytest.mark.slow
def test_every_key_is_read_by_something() -> None:
    package = Path(ffe_core.__file__).parent
    files = [file for file in package.rglob("*.py") if package / "settings" not in file.parents]
    code = "\n".join(file.read_text(encoding="utf-8") for file in files)
    # Limits are reached by the kind of asset, not by name, and a profile is what fills the figures beside it.
    read_otherwise = r"freshness\.\w+\.(warn|critical)|costs\.profile"
    unread = [
        entry.key
        for entry in entries()
        if not re.search(rf"\b{re.escape('.'.join(('settings', *entry.path)[-2:]))}\b", code)
        and not re.search(read_otherwise, entry.key)
    ]
    assert unread == []


def test_the_schema_describes_the_files_that_are_accepted() -> None:
    class Venue(BaseModel):
        api_key: SecretStr | None = Field(default=None, description="the key")

    whole = schema({"venue": Venue})
    json.dumps(whole)
    assert whole["additionalProperties"] is False
    assert set(whole["properties"]) == set(Settings.model_fields)
    assert whole["$defs"]["RiskSettings"]["properties"]["max_leverage"]["maximum"] == 100
    assert "venue" in whole["$defs"]["PluginsSettings"]["properties"]


# --- changing a file ---

FILE = """\
# my settings

mode: paper  # for now
risk:
  # half of what it was
  max_leverage: 2.5   # times equity
  max_concentration: 0.2

data: {sources: [files], bars: 600}
plugins:
  venue:
    products:
    - spot
    # the end of the list
log:
"""


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (("mode",), "live", "mode: live  # for now"),
        (("risk", "max_leverage"), 3, "  max_leverage: 3   # times equity"),
        (("risk", "buying_power"), 0.9, "  buying_power: 0.9"),
        (("data", "sources"), ["files", "x y"], "data: {sources: [files, x y], bars: 600}"),
        (("data", "cache_ttl"), 0, "data: {sources: [files], bars: 600, cache_ttl: 0}"),
        (("plugins", "venue", "share"), 0.5, "    share: 0.5"),
        (("plugins", "other", "name"), "a: b", "    name: 'a: b'"),
        (("log", "level"), "INFO", "  level: INFO"),
        (("ai", "timeout"), 5, "  timeout: 5"),
        (("execution", "allow_short"), True, "  allow_short: true"),
    ],
)
def test_a_change_keeps_every_other_line_and_every_comment(path: tuple[str, ...], value: object, line: str) -> None:
    edited = with_value(FILE, path, value)

    wanted = yaml.safe_load(FILE)
    node = wanted
    for part in path[:-1]:
        node[part] = node.get(part) or {}
        node = node[part]
    node[path[-1]] = value
    assert yaml.safe_load(edited) == wanted
    assert line in edited.splitlines()
    for comment in ("# my settings", "# for now", "# half of what it was", "# times equity", "# the end of the list"):
        assert comment in edited
    gone = set(FILE.splitlines()) - set(edited.splitlines())
    assert len(gone) <= 1


@pytest.mark.parametrize("text", ["", "# nothing yet", "# nothing yet\n", "---\n", "{}\n", "a: {}\n", "a: 1"])
def test_a_file_with_nothing_or_no_line_end_takes_a_first_key(text: str) -> None:
    edited = with_value(text, ("risk", "max_leverage"), 2)
    assert yaml.safe_load(edited) == {**(yaml.safe_load(text) or {}), "risk": {"max_leverage": 2}}


KEYS = st.text("ab- é#:", min_size=1, max_size=4).map(str.strip).filter(bool)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**20) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(KEYS, VALUES, max_size=4),
    st.lists(KEYS, min_size=1, max_size=3),
    VALUES,
    st.sampled_from([None, False, True]),
)
def test_a_changed_file_means_what_was_asked(
    tree: dict[str, object], path: list[str], value: object, flow: bool | None
) -> None:
    text = "# head\n" + (yaml.safe_dump(tree, default_flow_style=flow, allow_unicode=True) if tree else "")
    edited = with_value(text, tuple(path), value)

    node = yaml.safe_load(edited)
    for part in path:
        node = node[part]
    assert node == value
    for key, kept in (yaml.safe_load(text) or {}).items():
        if key != path[0]:
            assert yaml.safe_load(edited)[key] == kept
    assert edited.startswith("# head\n")


def test_a_written_file_is_private_and_whole_or_untouched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "new" / "config.local.yaml"
    write_private(file, "a: 1\n")
    assert file.read_text(encoding="utf-8") == "a: 1\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700

    def full(_self: Path, _target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_private(file, "a: 2\n")
    assert file.read_text(encoding="utf-8") == "a: 1\n"
    assert list(file.parent.iterdir()) == [file]


def test_a_linked_file_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "dotfiles.yaml", tmp_path / "config.local.yaml"
    real.write_text("", encoding="utf-8")
    link.symlink_to(real)
    write_private(link, "a: 1\n")
    assert link.is_symlink()
    assert real.read_text(encoding="utf-8") == "a: 1\n"


# --- cost ---


def test_loading_settings_imports_nothing_heavy(home: Path) -> None:
    code = (
        "import sys; from ffe_core.settings import load_settings; load_settings(env={'FFE_MODE': 'paper'});"
        "heavy = {'pandas', 'numpy', 'sqlmodel', 'requests', 'rich', 'yaml', 'difflib'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
