"""``ffe doctor``: says what is not in place and what to do, and fails for what is needed only."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from ffe_core.cli import doctor as module
from ffe_core.store import Database, Store
from tests.store.records import record

type Ffe = Callable[..., Any]


def checks(ran: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ran.object["data"]
    assert all(set(each) == {"name", "ok", "detail", "hint", "required"} for each in found)
    return found


def failed(ran: Any) -> dict[str, dict[str, Any]]:
    """Failed checks by name."""
    return {each["name"]: each for each in checks(ran) if not each["ok"]}


@pytest.fixture
def no_guests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Built-ins only: what the workspace's plugins lack on this machine is their own business."""
    monkeypatch.setenv("FFE_PLUGINS", "")


@pytest.mark.usefixtures("no_guests")
def test_a_new_home_is_well(ffe: Ffe, home: Path) -> None:
    ran = ffe("doctor", "--json")

    assert (ran.code, ran.err) == (0, "")
    assert failed(ran) == {}
    names = [each["name"] for each in checks(ran)]
    assert {"settings", "folder data", "clock", "secrets", "store", "plugin demo", "source demo"} <= set(names)
    assert not (home / "data").exists()


@pytest.mark.usefixtures("no_guests")
def test_it_stays_well_once_there_are_decisions(ffe: Ffe) -> None:
    assert ffe("demo").code == 0

    ran = ffe("doctor", "--json")

    assert failed(ran) == {}
    assert "chain" in {each["name"] for each in checks(ran)}


def test_the_line_that_adds_a_model_says_that_it_is_a_package_of_its_own(ffe: Ffe) -> None:
    (models,) = [each for each in checks(ffe("doctor", "--json")) if each["name"] == "AI models"]

    assert "pip install ffe-ollama" in models["hint"]
    assert "package of its own" in models["hint"]
    assert models["required"] is False


def test_people_get_a_table_and_one_line_for_what_failed(ffe: Ffe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_DATA__SOURCES", "files")

    ran = ffe("doctor")

    assert ran.code == 1
    assert "FAILED" in ran.out
    assert "ffe data import" in ran.out
    assert "source files" in ran.line


def test_every_problem_of_the_settings_is_a_check(ffe: Ffe, home: Path) -> None:
    (home / "config").mkdir()
    (home / "config" / "config.yaml").write_text("risk: {max_levrage: 3, buying_power: lots}\nmode: papre\n")

    ran = ffe("doctor", "--json")

    assert ran.code == 1
    problems = [each["detail"] for each in checks(ran) if each["name"] == "settings"]
    assert len(problems) == 3
    assert any("did you mean risk.max_leverage?" in line for line in problems)
    # What needs no settings is looked at all the same.
    assert "clock" in {each["name"] for each in checks(ran)}


def test_a_plugins_section_and_chosen_names_are_looked_at_too(ffe: Ffe, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, value, said in (
        ("FFE_ENSEMBLE__STRATEGY", "weighed", "did you mean weighted?"),
        ("FFE_PLUGINS__DEMO__SED", "3", "did you mean FFE_PLUGINS__DEMO__SEED?"),
    ):
        monkeypatch.setenv(variable, value)
        ran = ffe("doctor", "--json")
        assert ran.code == 1
        assert any(said in each["detail"] for each in checks(ran) if each["name"] == "settings")


def test_secrets_in_plain_text_are_said_and_files_that_others_may_read_fail(ffe: Ffe, home: Path) -> None:
    (home / "config").mkdir()
    file = home / "config" / "config.yaml"
    file.write_text("store: {url: 'sqlite:////tmp/never/ffe.db'}\nplugins: {acme: {api_key: s3cr3t-value-here}}\n")
    file.chmod(0o644)

    ran = ffe("doctor", "--json")

    assert "s3cr3t" not in ran.out + ran.err
    secrets = [each for each in checks(ran) if each["name"] == "secrets"]
    assert any(each["required"] and "chmod 600" in each["detail"] for each in secrets)
    assert any(not each["required"] and ".env" in each["hint"] for each in secrets if each["hint"])


def test_a_folder_that_others_may_read_is_noted_and_one_that_is_a_file_fails(ffe: Ffe, home: Path) -> None:
    (home / "state").mkdir()
    (home / "state").chmod(0o755)
    (home / "logs").write_text("not a folder")

    found = failed(ffe("doctor", "--json"))

    assert found["folder state"]["required"] is False
    assert found["folder state"]["hint"] == f"chmod 700 {home / 'state'}"
    assert found["folder logs"]["required"] is True


def test_a_home_that_cannot_be_made_fails(ffe: Ffe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FFE_HOME", str(tmp_path / "file" / "home"))

    ran = ffe("doctor", "--json")

    assert ran.code == 1
    assert "FFE_HOME" in failed(ran)["folder data"]["hint"]


def test_a_store_that_does_not_answer_fails_without_its_password(ffe: Ffe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_STORE__URL", "postgresql://trader:hunter2hunter2@127.0.0.1:1/ffe")

    ran = ffe("doctor", "--json")

    assert ran.code == 1
    assert failed(ran)["store"]["required"]
    assert "hunter2" not in ran.out + ran.err


def test_a_damaged_store_fails(ffe: Ffe, home: Path) -> None:
    (home / "data").mkdir(mode=0o700)
    (home / "data" / "ffe.db").write_bytes(b"no database at all, but long enough to be read as one" * 20)

    assert "not a SQLite file" in failed(ffe("doctor", "--json"))["store"]["detail"]


def test_an_older_store_is_well_because_first_use_upgrades_it(ffe: Ffe, home: Path) -> None:
    from tests.store.test_store_database import migrated

    with migrated(home / "data" / "ffe.db", "0001"):
        pass

    (store,) = [each for each in checks(ffe("doctor", "--json")) if each["name"] == "store" and each["ok"]]
    assert "0001" in store["detail"]


def test_a_network_file_system_fails(ffe: Ffe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ffe_core.store.status.network_filesystem", lambda _path: "nfs4")

    ran = ffe("doctor", "--json")

    assert ran.code == 1
    assert "nfs4" in failed(ran)["store"]["detail"]


def test_records_from_the_future_speak_against_the_clock(ffe: Ffe, home: Path) -> None:
    with Store(Database.open(None, home / "data")) as store:
        store.append(record(0, created_at=datetime.now(UTC) + timedelta(days=2)))

    assert "still to come" in failed(ffe("doctor", "--json"))["clock"]["detail"]


def test_a_clock_that_was_never_set_fails(ffe: Ffe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EARLIEST", datetime(2999, 1, 1, tzinfo=UTC))

    assert "time server" in failed(ffe("doctor", "--json"))["clock"]["hint"]


@pytest.mark.slow
def test_an_extra_that_is_missing_is_needed_only_by_who_uses_it(ffe: Ffe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_has", lambda package: package != "bokeh_sampledata" and find_spec(package))

    ran = ffe("doctor", "--json")
    assert ran.code == 0
    assert failed(ran)["source sample"]["hint"] == 'pip install "ffe-core[sample]"'

    monkeypatch.setenv("FFE_DATA__SOURCES", "sample")
    assert ffe("doctor", "--json").code == 1


def test_a_plugin_that_breaks_is_named_and_a_tool_that_is_missing_too(
    ffe: Ffe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, source in (
        ("broken", "import no_such_package_at_all\n"),
        ("needy", "TOOLS = {'fluxcompensator': 'get it'}\n"),
    ):
        (tmp_path / f"ffe_{name}_here.py").write_text(source)
        info = tmp_path / f"ffe_{name}_here-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: ffe-{name}-here\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[ffe.plugins]\n{name} = ffe_{name}_here\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    ran = ffe("doctor", "--json")
    found = failed(ran)
    assert "no_such_package_at_all" in found["plugin broken"]["detail"]
    assert found["plugin needy"]["hint"] == "get it"
    assert ran.code == 0

    monkeypatch.setenv("FFE_PLUGINS", "needy,broken")
    assert ffe("doctor", "--json").code == 1


def test_a_store_that_another_process_holds_is_a_check_like_any_other(ffe: Ffe, home: Path) -> None:
    with Store(Database.open(None, home / "data")) as store:
        store.append(record(0))
    holder = sqlite3.connect(home / "data" / "ffe.db", isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        # Readers are never held up by a writer.
        assert ffe("doctor", "--json").code == 0
    finally:
        holder.close()
