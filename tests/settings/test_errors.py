"""What people get wrong, and the one line that each mistake is answered with."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ffe_core.settings import Settings, SettingsProblems, examine, load_settings
from ffe_core.settings.problems import is_placeholder, is_secret_key, scrub, variable_of
from ffe_core.settings.reference import entries
from ffe_core.settings.sources import Text, file_layer


def lines_for(
    home: Path, text: str, *, env: dict[str, str] | None = None, file: str = "config.local.yaml"
) -> list[str]:
    folder = home / "config"
    folder.mkdir(exist_ok=True)
    (folder / "config.local.yaml").write_text(text, encoding="utf-8")
    return [str(problem) for problem in examine(env=env or {}, home=home)[1]]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("risk:\n  max_levrage: 3\n", "@2 risk.max_levrage: unknown key; did you mean risk.max_leverage?"),
        ("max_leverage: 3\n", "@1 max_leverage: unknown key; did you mean risk.max_leverage?"),
        ("zzzz: 3\n", "@1 zzzz: unknown key"),
        ("sizing:\n  kelly:\n    capp: 1\n", "@3 sizing.kelly.capp: unknown key; did you mean sizing.kelly.cap?"),
        ("decision:\n  horizon: soon\n", "@2 decision.horizon: expected a whole number, found text"),
        ("decision:\n  horizon: 2.5\n", "@2 decision.horizon: expected a whole number, found a number"),
        ("decision:\n  horizon: 0\n", "@2 decision.horizon: must be at least 1, not 0"),
        ("data: {bars: 49}\n", "@1 data.bars: must be at least 50, not 49"),
        ("risk:\n- 1\n", "@1 risk: expected a mapping of keys to values, found a list"),
        ("risk: 5\n", "@1 risk: expected a mapping of keys to values, found a number"),
        ("ensemble: {weights: [1]}\n", "@1 ensemble.weights: expected a mapping of keys to values, found a list"),
        ("ensemble: {weights: {a: -1}}\n", "@1 ensemble.weights.a: must be at least 0, not -1"),
        ("- mode: paper\n", "@1: expected a mapping of keys to values at the top"),
        ("just text\n", "@1: expected a mapping of keys to values at the top"),
        ("mode: papr\n", "@1 mode: expected one of paper, live"),
        ("ai: {fallback: maybe}\n", "@1 ai.fallback: expected one of none, local"),
        ("data: {sources: files}\n", "@1 data.sources: expected a list, found text"),
        ("data: {sources: []}\n", "@1 data.sources: must not be empty"),
        ("data:\n  sources:\n  - files\n  - 5\n", "@2 data.sources.1: expected text, found a number; put it in quotes"),
        (
            "data: {sources: [demo, files]}\n",
            "demo invents prices and never mixes with real ones",
        ),
        ("ai: {providers: [local, local]}\n", "@1 ai.providers: local is listed twice"),
        ("execution: {allow_short: 2}\n", "@1 execution.allow_short: expected true or false, found a number"),
        ("decision: {threshold: true}\n", "@1 decision.threshold: expected a number, found true or false"),
        ("decision: {threshold: .nan}\n", "@1 decision.threshold: expected a finite number"),
        ("exits: {min: 0.04, max: 0.03}\n", "@1 exits: min is above max"),
        ("data: {freshness: {crypto: {warn: 20}}}\n", "critical comes before warn"),
        ("execution: {platform: 7}\n", "execution.platform: expected text, found a number; put it in quotes"),
        ("mode: paper\nmode: live\n", "@2 mode: is written twice; keep one"),
        ("risk:\n  max_leverage: 1\n  max_leverage: 2\n", "@3 risk.max_leverage: is written twice; keep one"),
        ("? [a]\n: 1\n", "@1: a key must be a plain word"),
        ("mode: !!python/name:os.system x\n", "@1 mode: has a tag that settings do not know"),
        ("mode: !x y\n", "@1 mode: has a tag that settings do not know"),
        ("mode: &a [*a]\n", "@1 mode: contains itself"),
        ("plugins: {enabled: {a: 1}}\n", "@1 plugins.enabled: expected a list, found a mapping"),
        ("plugins: {isolation: {a: fork}}\n", "@1 plugins.isolation.a: expected one of thread, process"),
        ("plugins: {deadline: soon}\n", "@1 plugins.deadline: expected a number, found text"),
    ],
)
def test_a_mistake_is_one_line_with_file_line_and_key(home: Path, text: str, line: str) -> None:
    lines = lines_for(home, text)
    assert any(line.replace("@", "config.local.yaml:") in told for told in lines), lines
    assert all("\n" not in told for told in lines)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("mode: paper\nrisk:\n  max_leverage: [1\n", "config.local.yaml:4: not valid YAML: "),
        ("mode: paper\n\trisk: 1\n", "config.local.yaml:2: not valid YAML: "),
        ("a: b: c\n", "config.local.yaml:1: not valid YAML: mapping values are not allowed in this context"),
        ("mode: paper\n---\nmode: live\n", "config.local.yaml:2: not valid YAML: "),
        ("mode: 'paper\n", "config.local.yaml:2: not valid YAML: "),
        ("mode: \x01\n", "config.local.yaml: not valid YAML: a control character"),
    ],
)
def test_broken_yaml_is_named_with_its_line(home: Path, text: str, line: str) -> None:
    (told,) = lines_for(home, text)
    assert told.startswith(line)


@pytest.mark.parametrize(
    "text", ["", "\n\n", "# only a remark\n", "---\n", "null\n", "risk:\nai:\n  timeout:\n", "﻿mode: paper\n"]
)
def test_an_empty_file_or_section_sets_nothing(home: Path, text: str) -> None:
    assert lines_for(home, text) == []
    assert load_settings(env={}, home=home).recorded() == Settings().recorded()


@pytest.mark.parametrize(
    ("key", "written", "meant"),
    [
        ("decision.threshold", "70", "0.7"),
        ("sizing.risk", "2", "0.02"),
        ("exits.max", "5", "0.05"),
        ("exits.target", "7.5", "0.075"),
        ("risk.max_concentration", "'25'", "0.25"),
        ("costs.fee", "1.5", "0.015"),
    ],
)
def test_a_percent_is_refused_with_the_fraction_that_was_meant(home: Path, key: str, written: str, meant: str) -> None:
    section, name = key.split(".")
    (told,) = lines_for(home, f"{section}:\n  {name}: {written}\n")
    percent = written.strip("'")
    assert told == (
        f"config.local.yaml:2 {key}: {percent} is not a fraction; fractions inside: write {meant} for {percent} %"
    )


@pytest.mark.parametrize("written", ["0.7", "'0.7'", "7e-1", "7.0e-1"])
def test_numbers_may_be_written_as_text(home: Path, written: str) -> None:
    assert lines_for(home, f"decision: {{threshold: {written}}}\n") == []
    assert load_settings(env={}, home=home).decision.threshold == 0.7


@pytest.mark.parametrize(
    "text",
    [
        "YOUR_KEY",
        "YOUR_COINBASE_API_KEY",
        "your-key-here",
        "changeme",
        "CHANGE_ME",
        "change-me-please",
        "<key>",
        "xxxx",
    ],
)
def test_a_placeholder_is_refused_wherever_it_was_left(home: Path, text: str) -> None:
    assert is_placeholder(text)
    (told,) = lines_for(home, f"execution:\n  platform: '{text}'\n")
    assert told.startswith("config.local.yaml:2 execution.platform: is still a placeholder")
    (told, *_) = lines_for(home, "", env={"FFE_STORE__URL": text})
    assert told.startswith("environment FFE_STORE__URL store.url: is still a placeholder")


@pytest.mark.parametrize("text", ["sk-live-1234", "paper", "exchange", "youroanda", "a<b>c", "xx"])
def test_an_ordinary_word_is_no_placeholder(text: str) -> None:
    assert not is_placeholder(text)


def test_an_unreadable_or_foreign_file_is_named(home: Path) -> None:
    folder = home / "config"
    folder.mkdir()
    (folder / "config.yaml").write_bytes(b"mode: \xff\xfe\n")
    (folder / "config.local.yaml").mkdir()
    lines = [str(problem) for problem in examine(env={}, home=home)[1]]
    assert lines == [
        f"{folder / 'config.local.yaml'}: cannot be read: Is a directory",
        f"{folder / 'config.yaml'}: is not UTF-8 text",
    ]


@pytest.mark.slow
def test_yaml_that_grows_without_end_is_refused_quickly(home: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
    )
    lines = lines_for(home, bomb)
    assert any("too many values" in line for line in lines)


def test_yaml_that_nests_without_end_is_refused(home: Path) -> None:
    lines = lines_for(home, "mode: " + "[" * 3000 + "]" * 3000)
    assert len(lines) == 1


def test_yaml_merge_keys_and_words_that_look_like_other_things_stay_text(home: Path) -> None:
    text = (
        "data:\n  kinds: {NO: stock, ON: stock, 1: stock}\n  freshness:\n    crypto: &limits {warn: 1, critical: 2}\n"
        "    forex: {<<: *limits, warn: 2}\nplugins: {x: {when: 2025-01-01, at: 12:30, odd: 2025-99-99}}\n"
    )
    assert lines_for(home, text) == []
    loaded = load_settings(env={}, home=home)
    assert set(loaded.data.kinds) == {"NO", "ON", "1"}
    assert (loaded.data.freshness.forex.warn, loaded.data.freshness.forex.critical) == (2, 2)
    assert loaded.plugin_sections["x"] == {"when": "2025-01-01", "at": "12:30", "odd": "2025-99-99"}


# --- secrets ---

SECRET = "hunter22-s3cr3t"


@pytest.mark.parametrize(
    "text",
    [
        f"store: {{url: [{SECRET}]}}\n",
        f"store: {{url: {{{SECRET}: 1}}}}\n",
        f"store:\n  ulr: {SECRET}\n",
        f"api_key: {SECRET}\n",
        f"mode: {SECRET}\n",
        f"risk: {SECRET}\n",
        f"risk: {{max_leverage: {SECRET}}}\n",
        f"log: {{level: {SECRET}}}\n",
        f"password: *{SECRET}\n",
        f"password: !{SECRET} x\n",
        f"password: '{SECRET}\n",
        f"a: {SECRET}: b\n",
        f"plugins: {SECRET}\n",
        f"data: {{kinds: {{GOOG: {SECRET}}}}}\n",
    ],
)
def test_no_value_of_a_text_key_shows_in_an_error(home: Path, text: str) -> None:
    lines = lines_for(home, text)
    assert lines
    shown = [line for line in lines if SECRET in line and f".{SECRET}:" not in line]
    assert shown == []


def test_what_pydantic_would_print_is_never_let_through(home: Path) -> None:
    env = {"FFE_STORE__URL": SECRET, "FFE_MODE": SECRET}
    with pytest.raises(SettingsProblems) as caught:
        load_settings(env=env, home=home)

    assert SECRET not in f"{caught.value!s} {caught.value!r} {caught.value.hint} {caught.value.problems!r}"
    chain = caught.value.__cause__ or caught.value.__context__
    assert not isinstance(chain, ValidationError)


def test_settings_and_half_loaded_trees_do_not_repr_secrets(home: Path) -> None:
    lines_for(home, f"plugins:\n  x:\n    key: {SECRET}\n", env={})
    loaded = load_settings(env={"FFE_STORE__URL": f"postgresql://u:{SECRET}@h/db", "OTHER": SECRET}, home=home)

    assert SECRET not in repr(loaded)
    assert SECRET not in str(loaded)
    assert SECRET not in repr(loaded.plugin_sections)
    assert SECRET not in repr(file_layer("f", f"a: {SECRET}", lambda _: None).tree)
    assert str(Text(SECRET)) == SECRET


def test_the_debug_log_of_pydantic_settings_shows_no_secret(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PYDANTIC_SETTINGS_DEBUG", "1")
    caplog.set_level(logging.DEBUG, logger="pydantic_settings")

    load_settings(env={"FFE_STORE__URL": SECRET, "FFE_PLUGINS__X__API_KEY": SECRET}, home=home)

    assert "store" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plugins:\n  coinbase:\n    api_key: abc123\n", "yaml:3 plugins.coinbase.api_key: a secret in plain text"),
        ("plugins: {x: {API-SECRET: abc123}}\n", "plugins.x.API-SECRET: a secret in plain text"),
        ("plugins: {x: {tokens: [abc123]}}\n", "plugins.x.tokens: a secret in plain text"),
        ("plugins: {x: {passwords: {bob: abc123}}}\n", "plugins.x.passwords.bob: a secret in plain text"),
        ("store: {url: 'postgresql://u:abc123@h/db'}\n", "store.url: a secret in plain text"),
    ],
)
def test_a_secret_in_plain_text_is_flagged_at_start_without_its_value(home: Path, text: str, line: str) -> None:
    assert lines_for(home, text) == []
    (warning,) = load_settings(env={}, home=home).warnings
    assert line in warning
    assert "FFE_" in warning
    assert "abc123" not in warning


@pytest.mark.parametrize(
    "text",
    [
        "plugins: {x: {api_key: '${KEY:-}'}}\n",
        "plugins: {x: {api_key: 'YOUR_API_KEY'}}\n",
        "plugins: {x: {api_key: ''}}\n",
        "plugins: {x: {prompt_tokens: 900}}\n",
        "plugins: {x: {url: 'https://host:8080/path'}}\n",
        "store: {url: 'postgresql://${U:-u}:${P:-p}@h/db'}\n",
    ],
)
def test_references_placeholders_and_numbers_are_no_plain_secrets(home: Path, text: str) -> None:
    lines_for(home, text)
    assert load_settings(env={}, home=home).warnings == ()


@pytest.mark.parametrize("key", ["api_key", "COINBASE_API_SECRET", "bot-token", "passphrase", "db_password"])
def test_keys_that_hold_secrets_are_known_by_their_name(key: str) -> None:
    assert is_secret_key(key)


@given(st.text("abc \n", min_size=1), st.text("xyz \n"))
def test_scrubbed_text_is_one_line_without_the_secret(secret: str, around: str) -> None:
    cleaned = scrub(f"{around}{secret}{around}", [secret])
    assert cleaned == " ".join(cleaned.split())
    assert not set(cleaned) & set("abc")


@given(st.text(max_size=200))
def test_any_text_as_a_settings_file_is_values_or_problems(text: str) -> None:
    layer = file_layer("any.yaml", text, lambda _: None)
    assert isinstance(layer.tree, dict)
    assert all("\n" not in str(problem) for problem in layer.problems)


ODD = st.sampled_from(
    [
        "x",
        "70",
        "-1",
        "[1, 2]",
        "{a: 1}",
        "null",
        "true",
        "1e400",
        ".inf",
        "2020-01-01",
        "!!binary aGk=",
        "!!set {a}",
        "'${X}'",
        "'${X:-5}'",
        "''",
        "0o17",
        "9" * 400,
        "9" * 5000,
        "&a b",
        "*a",
        "|\n   t",
        "!!float x",
        "[[{}]]",
    ]
)
ODD_TEXT = st.sampled_from(
    ["x", "", "[", "{", "70", '{"a": 1}', "null", "é", "nan", "[[]]", '{"a": {"b": [1]}}', "1e999"]
)
PATHS = st.sampled_from([entry.path for entry in entries()])


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300, deadline=None)
@given(PATHS, st.integers(1, 4), st.sampled_from([(), ("zz",)]), ODD, PATHS, st.integers(1, 3), ODD_TEXT)
def test_whatever_is_written_is_settings_or_one_line_each(
    home: Path, path: tuple[str, ...], depth: int, more: tuple[str, ...], odd: str, other: tuple[str, ...],
    cut: int, text: str,
) -> None:  # fmt: skip
    (home / "config").mkdir(exist_ok=True)
    keys = (*path[:depth], *more)
    written = "\n".join(f"{'  ' * level}{key}:" for level, key in enumerate(keys))
    (home / "config" / "config.yaml").write_text(f"{written} {odd}\n", encoding="utf-8")

    loaded, found = examine(env={variable_of(other[:cut]): text}, home=home)

    assert (loaded is None) <= bool(found)
    assert all("\n" not in str(problem) and str(problem) for problem in found)
    if loaded is not None:
        json.dumps(loaded.recorded(), allow_nan=False)
