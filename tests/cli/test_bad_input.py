"""Whatever is typed or lies in the way: one line, the documented exit code, no traceback, and nothing lost.

Most cases are made from the command tree, so that a new command or option is tried without anybody thinking of it.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import pytest

from ffe_core.cli.app import root
from ffe_core.cli.commands import ELSEWHERE
from ffe_core.cli.metadata import brought
from ffe_core.store import Database, Store
from ffe_core.store.chain import verify
from tests.store.records import record

type Ffe = Callable[..., Any]
type Prepare = Callable[[Path], dict[str, str]]

IDS = ("aaaa1111-0000-4000-8000-000000000000", "aaaa2222-0000-4000-8000-000000000000")
USAGE, FAILED = 2, 1
#: commands whose answer depends on no setting, so that a broken one is nothing to them
WITHOUT_SETTINGS = ("completion", "config path", "data import", "paths", "plugins check", "plugins new")
#: arguments with which each command would run
GOOD: dict[str, tuple[str, ...]] = {
    "analyze": ("BTCUSD",),
    "completion": ("bash",),
    "config explain": ("mode",),
    "config set": ("mode", "paper"),
    "data candles": ("BTCUSD",),
    "data import": ("BTCUSD_1h.csv",),
    "db backup": ("copy.db",),
    "db copy": ("--to", "copy.db"),
    "db restore": ("backup.db",),
    "plugins check": ("demo",),
    "plugins new": ("acme",),
    "replay": (IDS[0],),
    "show": (IDS[0],),
}


@dataclass(frozen=True)
class Case:
    name: str
    arguments: tuple[str, ...]
    codes: tuple[int, ...] = (USAGE,)
    says: str = ""
    #: makes the home what it has to be, and says which variables are set besides
    prepare: Prepare | None = field(default=None, compare=False)


# Cases out of the tree


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command with its path, groups that need a command left out."""

    def below(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
        ctx = click.Context(group)
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            assert command is not None
            here = (*path, name)
            if isinstance(command, click.Group):
                yield from below(command, here)
                if not command.invoke_without_command:
                    continue
            yield " ".join(here), command

    yield from below(root(), ())


def groups() -> Iterator[str]:
    ctx = click.Context(root())
    for name in root().list_commands(ctx):
        if isinstance(root().get_command(ctx, name), click.Group):
            yield name


def generated() -> Iterator[Case]:
    for path, command in commands():
        words, good = tuple(path.split()), GOOD.get(path, ())
        own = [param for param in command.params if not _is_global(param)]
        arguments = [param for param in own if isinstance(param, click.Argument)]
        yield Case("unknown option", (*words, *good, "--no-such-thing"), says="--no-such-thing")
        yield Case("flag with a value", (*words, *good, "--json=maybe"))
        yield Case("option without its value", (*words, *good, "--config"))
        if any(argument.required for argument in arguments):
            yield Case("missing argument", words)
        if all(argument.nargs == 1 for argument in arguments) and not isinstance(command, click.Group):
            yield Case("one argument too many", (*words, *_filled(arguments, good), "surplus"))
        for option in (param for param in own if isinstance(param, click.Option)):
            yield from _of_option(words, good, option)
        if path not in WITHOUT_SETTINGS:
            for name, given in (("missing", "nowhere.yaml"), ("a folder", "."), ("of another kind", "settings.toml")):
                yield Case(f"--config is {name}", (*words, *good, "--config", given))
    for name in ("", *groups()):
        words = tuple(name.split())
        yield Case("unknown command", (*words, "vanish"), says="unknown command 'vanish'")
        yield Case("a command that is spelled in other letters", (*words, "LIST\N{SNOWMAN}"), says="unknown command")


def _is_global(param: click.Parameter) -> bool:
    return type(param).__name__ == "GlobalOption"


def _filled(arguments: list[click.Argument], good: tuple[str, ...]) -> tuple[str, ...]:
    missing = len(arguments) - len([word for word in good if not word.startswith("-")])
    return (*good, *("x" for _ in range(max(0, missing))))


def _of_option(words: tuple[str, ...], good: tuple[str, ...], option: click.Option) -> Iterator[Case]:
    name = max(option.opts, key=len)
    typo = f"{name[:-1]}{name[-1] * 2}x"
    yield Case("misspelt option", (*words, *good, typo), says=f"no such option {typo}; did you mean")
    if option.is_flag:
        yield Case("flag with a value", (*words, *good, f"{name}=yes"))
        return
    yield Case("option without its value", (*words, *good, name))
    for wrong in _wrong(option.type):
        yield Case(f"wrong {option.type.name}", (*words, *good, f"{name}={wrong}"), says=name)


def _wrong(kind: click.ParamType) -> tuple[str, ...]:
    if isinstance(kind, click.IntRange):
        return ("many", "1.5", "", "-3", "nan", "9" * 5000)
    if isinstance(kind, click.FloatRange):
        return ("many", "", "-0.5")
    if isinstance(kind, click.Choice):
        return ("7 weeks", "", "1H\0", "\N{SNOWMAN}")
    if kind.name == "instant":
        return ("yesterday", "", "2023-13-01", "2023-06-01T00:00:00", "1685577600", "2023-06-01T25:00:00Z", "9" * 4300)
    return ()


# Words that name nothing

HOSTILE = (
    "",
    " ",
    "///",
    "\x1b[31mred",
    "\N{RIGHT-TO-LEFT OVERRIDE}DSUCTB",
    "a\nb",
    "\N{SNOWMAN}\N{SNOWMAN}",
    "x" * 20_000,
)


def words_that_name_nothing() -> Iterator[Case]:
    for word in HOSTILE:
        for command in (("analyze",), ("data", "candles"), ("history", "--asset"), ("demo", "--asset")):
            yield Case("no asset", (*command, word), codes=(USAGE, FAILED))
        for command in (("show",), ("replay",), ("config", "show"), ("config", "explain"), ("plugins", "doctor")):
            yield Case("no such name", (*command, word))
        yield Case("no source", ("analyze", "BTCUSD", "--source", word))
        yield Case("no provider", ("analyze", "BTCUSD", "--provider", word))
        yield Case("no plugin", ("plugins", "new", word))
        yield Case("no key", ("config", "set", word, "1"))
    for arguments, nearest in (
        (("analyze", "BTCUSD", "--source", "dmeo"), "demo"),
        (("data", "list", "--source", "fles"), "files"),
        (("data", "candles", "BTCUSD", "--source", "dem"), "demo"),
        (("analyze", "BTCUSD", "-p", "trend_adz"), "trend_adx"),
        (("analyze", "BTCUSD", "-p", "local", "-p", "lokal"), "local"),
        (("config", "explain", "risk.max_levrage"), "risk.max_leverage"),
        (("config", "show", "rsk"), "risk"),
        (("config", "set", "mod", "live"), "mode"),
        (("config", "set", "risk.max_levrage", "2"), "risk.max_leverage"),
        (("config", "set", "plugins.dmo.seed", "2"), "demo"),
        (("plugins", "doctor", "pper"), "paper"),
        (("histroy",), "history"),
        (("db", "staus"), "status"),
        (("config", "chek"), "check"),
        (("data", "canldes", "BTCUSD"), "candles"),
        (("history", "verfy"), "verify"),
        (("plugins", "lst"), "list"),
    ):
        yield Case("nearest name", arguments, says=f"did you mean {nearest}")
    yield Case("the platform's nearest", ("config", "set", "mode", "papr"), says="paper")
    for name in sorted(ELSEWHERE.keys() - brought().keys()):
        yield Case("a command of a package that is not there", (name,), says="pip install ffe-")


def meanings() -> Iterator[Case]:
    """Well-formed, and still nothing that could be done."""
    yield Case("ambiguous id", ("show", "aaaa"), says="aaaa")
    yield Case("ambiguous id", ("replay", "aaaa"), says="aaaa")
    yield Case("reversed span", ("data", "candles", "BTCUSD", "--start", "2024-02-01", "--end", "2024-01-01"))
    yield Case(
        "empty span", ("data", "candles", "BTCUSD", "--start", "2024-02-01T00:00Z", "--end", "2024-02-01T00:00Z")
    )
    yield Case("a span to come", ("data", "candles", "BTCUSD", "--start", "2999-01-01"))
    yield Case("an instant before all markets", ("analyze", "BTCUSD", "--at", "0001-01-01T00:00:00Z"), (USAGE, FAILED))
    yield Case("an instant at the edge", ("analyze", "BTCUSD", "--at", "9999-12-31T23:59:59-23:00"), (USAGE, FAILED))
    yield Case("an instant to come", ("analyze", "BTCUSD", "--at", "2999-01-01T00:00:00Z"), (USAGE, FAILED))
    yield Case("nothing at the source", ("analyze", "BTCUSD", "--source", "files"), (FAILED,))
    yield Case("nothing at the source", ("data", "candles", "ZZZ", "--source", "sample"), (FAILED,))
    yield Case("no indicator", ("analyze", "BTCUSD", "--indicator", "no_such_indicator"), says="no_such_indicator")
    yield Case("nothing to prune by", ("history", "prune"))
    yield Case("a question nobody answers", ("history", "wipe"), (FAILED,))
    yield Case("a question nobody answers", ("history", "prune", "--keep", "0"), (FAILED,))
    yield Case("a question nobody answers", ("db", "restore", "elsewhere.db"), (FAILED, USAGE))
    yield Case("a value of another type", ("config", "set", "risk.max_leverage", "lots"))
    yield Case("a value out of range", ("config", "set", "sizing.risk", "5"))
    yield Case("a secret", ("config", "set", "plugins.demo.api_key", "s3cr3t"), says=".env")
    yield Case("demo beside another", ("config", "set", "data.sources", "demo,files"))
    yield Case("a folder as a value", ("config", "set", "risk", "1"))
    yield Case("taken plugin name", ("plugins", "new", "demo"))
    yield Case("a plugin that is not there", ("plugins", "check", "nobody"), (USAGE, FAILED))
    yield Case("several that fail", ("analyze", "///", "BTCUSD"))


def files() -> Iterator[Case]:
    def lay(home: Path) -> dict[str, str]:
        (home / "folder").mkdir()
        (home / "folder.csv").mkdir()
        (home / "text.txt").write_text("words")
        (home / "empty_1h.csv").write_text("")
        (home / "BTCUSD_1h.csv").write_text("time,open,high,low,close,volume\nnever,1,2,0,1,1\n")
        (home / "broken_1h.parquet").write_bytes(b"PAR1 no parquet PAR1")
        (home / "plain.db").write_bytes(b"no database, whatever its name says" * 40)
        with sqlite3.connect(home / "other.db") as other:
            other.execute("CREATE TABLE things (id INTEGER)")
        other.close()
        return {}

    wrong = ("nowhere.csv", "folder.csv", "text.txt", "empty_1h.csv", "BTCUSD_1h.csv", "broken_1h.parquet", "a\0b.csv")
    for name in wrong:
        yield Case(f"import {name!r}", ("data", "import", f"HOME/{name}", "--asset", "BTCUSD"), (1, 2), "", lay)
        yield Case(f"check {name!r}", ("data", "check", f"HOME/{name}"), (1, 2), "", lay)
    for name in ("nowhere.db", "folder", "plain.db", "other.db", "a\0b.db"):
        yield Case(f"restore {name!r}", ("db", "restore", f"HOME/{name}", "-y"), (1, 2), "", lay)
        yield Case(
            f"copy from {name!r}", ("db", "copy", "--from", f"HOME/{name}", "--to", "HOME/new.db"), (1, 2), "", lay
        )
    for name in ("folder", "text.txt", "plain.db", "no/such/folder/copy.db", "a\0b.db"):
        yield Case(f"back up to {name!r}", ("db", "backup", f"HOME/{name}"), (1, 2), "", lay)
    for name in ("folder", "plain.db", "other.db", "data/ffe.db"):
        yield Case(f"copy to {name!r}", ("db", "copy", "--to", f"HOME/{name}"), (1, 2), "", lay)
    yield Case("a plugin into a file", ("plugins", "new", "acme", "--path", "HOME/text.txt"), (1, 2), "", lay)
    yield Case(
        "zone nobody knows", ("data", "check", "HOME/BTCUSD_1h.csv", "--timezone", "Mars/Olympus"), (1, 2), "", lay
    )


URLS = (
    "mysql://u:hunter2hunter2@127.0.0.1/x", "http://127.0.0.1", "://", "postgresql://u:hunter2hunter2@127.0.0.1:1/x",
    "sqlite://", "sqlite:///:memory:", "postgresql://u:hunter2hunter2@127.0.0.1:port/x", "x://y",
    "sqlite:////dev/null/ffe.db", "\0", "postgresql://[::1/x",
)  # fmt: skip


def urls() -> Iterator[Case]:
    for url in URLS:
        yield Case(f"copy to {url!r}", ("db", "copy", "--to", url), (1, 2))
        yield Case(f"copy from {url!r}", ("db", "copy", "--from", url, "--to", "HOME/new.db"), (1, 2))
        if "\0" not in url:
            for words in (("history",), ("db", "status"), ("show", IDS[0])):
                yield Case(f"store at {url!r}", words, (1, 2), "", _variables(FFE_STORE__URL=url))


def _variables(**variables: str) -> Prepare:
    return lambda _home: variables


# What lies in the way


def _config(text: str | bytes, name: str = "config.yaml") -> Prepare:
    def write(home: Path) -> dict[str, str]:
        (home / "config").mkdir()
        file = home / "config" / name
        file.write_bytes(text) if isinstance(text, bytes) else file.write_text(text)
        return {}

    return write


READERS = (
    ("analyze", "BTCUSD"),
    ("history",),
    ("status",),
    ("demo",),
    ("data", "list"),
    ("replay", IDS[0]),
    ("plugins",),
)


def broken_settings() -> Iterator[Case]:
    broken: dict[str, tuple[Prepare, str]] = {
        "no YAML": (_config("risk: {max_leverage: 3\nmode: paper\n"), "config.yaml:"),
        "a list": (_config("- mode\n- paper\n"), "config.yaml"),
        "binary": (_config(b"\xff\xfe\x00\x01mode"), "config.yaml"),
        "unknown key": (_config("risk: {max_levrage: 3}\n"), "config.yaml:1 risk.max_levrage"),
        "wrong type": (_config("risk: {max_leverage: lots}\n"), "config.yaml:1 risk.max_leverage"),
        "a tab": (_config("risk:\n\tmax_leverage: 3\n"), "config.yaml:2"),
        "twice": (_config("mode: paper\nmode: live\n"), "config.yaml"),
        "placeholder": (_config("mode: ${NO_SUCH_VARIABLE}\n"), "NO_SUCH_VARIABLE"),
        "overlay": (_config("mode: papre\n", "config.local.yaml"), "config.local.yaml:1 mode"),
        "dotenv": (_config("FFE_MODE=papre\n", ".env"), ".env"),
        "variable": (_variables(FFE_MODE="papre"), "FFE_MODE"),
        "unknown variable": (_variables(FFE_RISK__MAX_LEVRAGE="3"), "FFE_RISK__MAX_LEVERAGE"),
        "relative home": (_variables(FFE_HOME="relative/home"), "FFE_HOME"),
    }
    for name, (prepare, says) in broken.items():
        for words in READERS:
            yield Case(f"settings: {name}", words, (USAGE,), says, prepare)
        yield Case(f"settings: {name}", ("config", "check"), (USAGE,), "", prepare)
        if name != "relative home":
            yield Case(f"settings: {name}", ("doctor",), (FAILED,), "settings", prepare)


def _in_the_way(home: Path) -> dict[str, str]:
    (home / "file").write_text("in the way")
    return {"FFE_HOME": str(home / "file" / "home")}


def _damaged(text: bytes) -> Prepare:
    def write(home: Path) -> dict[str, str]:
        (home / "other" / "data").mkdir(parents=True)
        (home / "other" / "data" / "ffe.db").write_bytes(text)
        return {"FFE_HOME": str(home / "other")}

    return write


def _truncated(home: Path) -> dict[str, str]:
    whole = (home / "data" / "ffe.db").read_bytes()
    return _damaged(whole[: len(whole) // 2])(home)


WRITERS = (("analyze", "BTCUSD"), ("demo",), ("config", "set", "mode", "paper"), ("config", "init"))


def obstacles() -> Iterator[Case]:
    for words in WRITERS:
        yield Case("home in a file", words, (USAGE, FAILED), "", _in_the_way)
    if Path("/proc/self").exists():
        for words in WRITERS:
            yield Case("home that cannot be written", words, (FAILED,), "", _variables(FFE_HOME="/proc/ffe"))
    readers = (("history",), ("show", "aaaa1"), ("replay", "aaaa1"), ("analyze", "BTCUSD"), ("db", "status"))
    for words in readers:
        yield Case(
            "no database", words, (FAILED,), "not a SQLite file", _damaged(b"words, not pages, and enough " * 40)
        )
        yield Case("half a database", words, (FAILED,), "", _truncated)
    for words in (("show", "aaaa1"), ("replay", "aaaa1")):
        yield Case("empty home", words, (USAGE, FAILED), "", lambda home: {"FFE_HOME": str(home / "new")})


LOCKED = (
    ("analyze", "BTCUSD"),
    ("demo",),
    ("history", "wipe", "-y"),
    ("history", "prune", "--keep", "0", "-y"),
    ("history", "prune", "--max-mb", "0", "-y"),
)

CASES = [
    *generated(), *words_that_name_nothing(), *meanings(), *files(), *urls(), *broken_settings(), *obstacles(),
]  # fmt: skip


# The trial


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with decisions, to be copied."""
    home = tmp_path_factory.mktemp("decided")
    with Store(Database.open(None, home / "data")) as store:
        store.append_many([record(number, id=name) for number, name in enumerate(IDS)])
    return home


@pytest.fixture(autouse=True)
def _furnished(home: Path, decided: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each case has the decisions in a home of its own, and a working directory where nothing lies."""
    shutil.copytree(decided, home, dirs_exist_ok=True)
    (home.parent / "here").mkdir()
    monkeypatch.chdir(home.parent / "here")


def arguments_of(case: Case, home: Path) -> list[str]:
    return [word.replace("HOME/", f"{home}/") for word in case.arguments]


def assert_told_in_one_line(case: Case, ran: Any) -> None:
    assert ran.code in case.codes, (ran.code, ran.err, ran.out[:500])
    lines = ran.err.splitlines()
    assert lines, "not a word"
    told = lines[-1]
    assert told.startswith("error: "), ran.err
    # What is documented to be warned of, such as an asset that failed beside others, may stand before it.
    # So may a question.
    assert all(line.startswith("warning: ") or line.endswith("[y/N]: ") for line in lines[:-1]), ran.err
    assert "Traceback" not in ran.err + ran.out
    assert "\x1b" not in ran.err
    assert len(told) < 2000
    assert "hunter2" not in ran.err + ran.out
    assert case.says in ran.err


def assert_nothing_lost(home: Path) -> None:
    with Store(Database.at(None, home / "data")) as store:
        assert verify(store).ok
        assert store.count() >= len(IDS)
        assert {row.id for row in store.latest(100)} >= set(IDS)


def identity(case: Case) -> str:
    words = " ".join(word if len(word) < 40 else f"{word[:20]}..." for word in case.arguments)
    return f"{case.name}: {words}".encode("unicode_escape").decode()


#: every so manieth case is tried each time, all of them where the slow tests run: neighbours are much alike
STRIDE = 7
NUMBERED = [
    pytest.param(number, case, id=identity(case), marks=[pytest.mark.slow] if number % STRIDE else [])
    for number, case in enumerate(CASES)
]


@pytest.mark.parametrize(("number", "case"), NUMBERED)
def test_bad_input_is_one_line_and_the_documented_code(
    ffe: Ffe, home: Path, number: int, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    try_out(case, ffe, home, monkeypatch, as_json=bool(number % 2))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "case"), NUMBERED)
def test_so_it_is_with_the_other_kind_of_output(
    ffe: Ffe, home: Path, number: int, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    try_out(case, ffe, home, monkeypatch, as_json=not number % 2)


def try_out(case: Case, ffe: Ffe, home: Path, monkeypatch: pytest.MonkeyPatch, *, as_json: bool) -> None:
    if case.prepare is not None:
        for name, value in case.prepare(home).items():
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stdin", io.StringIO())

    ran = ffe(*(["--json"] if as_json else []), *arguments_of(case, home))

    assert_told_in_one_line(case, ran)
    if as_json:
        body = ran.object
        if "error" in body:
            assert set(ran.error) == {"type", "message", "hint"}
        else:
            # A result that failed, such as a check: all of it is told.
            assert body["data"], body
    assert_nothing_lost(home)


@pytest.mark.parametrize("words", LOCKED, ids=" ".join)
def test_a_store_that_another_process_writes_is_waited_for_and_then_said(
    ffe: Ffe, home: Path, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(Database.__init__.__kwdefaults__, "patience", 0.05)
    holder = sqlite3.connect(home / "data" / "ffe.db", isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        case = Case("locked", words, (FAILED,), "is being written by another process")
        assert_told_in_one_line(case, ffe(*words))
        ran = ffe("--json", *words)
        assert_told_in_one_line(case, ran)
        assert ran.error["type"] == "StoreError"
    finally:
        holder.close()
    assert_nothing_lost(home)


@pytest.mark.slow
def test_thirty_of_them_as_processes_of_their_own(home: Path) -> None:
    able = [case for case in CASES if not any("\0" in word for word in case.arguments)]
    chosen = able[:: len(able) // 30][:30]
    assert len(chosen) == 30

    def run(numbered: tuple[int, Case]) -> tuple[Case, Path, Any]:
        number, case = numbered
        place = home.parent / f"home{number}"
        shutil.copytree(home, place)
        variables = {"FFE_HOME": str(place), **(case.prepare(place) if case.prepare is not None else {})}
        done = subprocess.run(
            [sys.executable, "-m", "ffe_core.cli", "--json", *arguments_of(case, place)],
            capture_output=True,
            encoding="utf-8",
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        return case, place, done

    with ThreadPoolExecutor(2) as pool:
        for case, place, done in pool.map(run, enumerate(chosen)):
            body = json.loads(done.stdout)
            assert body.keys() <= {"schema", "error", "data"}
            assert_told_in_one_line(case, _Run(done.returncode, done.stdout, done.stderr))
            assert_nothing_lost(place)


@dataclass(frozen=True)
class _Run:
    code: int
    out: str
    err: str


def test_there_are_at_least_three_hundred_of_them_and_each_command_is_tried() -> None:
    assert len({(case.name, case.arguments) for case in CASES}) >= 300
    tried = {" ".join(case.arguments) for case in CASES}
    assert all(any(line.startswith(path) for line in tried) for path, _ in commands())
