"""The command line itself: one lazy group, one printer, one line per error."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from ffe_core.cli import commands as table
from ffe_core.cli import group, main
from ffe_core.cli.metadata import GROUP
from ffe_core.cli.session import Session, command
from ffe_core.errors import FfeError, SafetyRefusal, VerificationFailed
from tests.cli.conftest import Run
from tests.plugins.conftest import Site

type Ffe = Callable[..., Run]

HEAVY = {
    "alembic",
    "numba",
    "numpy",
    "pandas",
    "pluggy",
    "pyarrow",
    "pydantic",
    "pydantic_settings",
    "requests",
    "rich",
    "sqlalchemy",
    "sqlmodel",
    "stevedore",
    "structlog",
    "yaml",
}


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts a command into the table of built-ins for one test."""

    def add(**commands: click.Command) -> None:
        module = ModuleType("commands_of_a_test")
        for name, made in commands.items():
            setattr(module, name, made)
            monkeypatch.setitem(table.BUILT_IN, name, (f"commands_of_a_test:{name}", "For a test."))
        monkeypatch.setitem(sys.modules, "commands_of_a_test", module)

    return add


def raising(error: BaseException) -> click.Command:
    @command()
    def fails(session: Session) -> None:
        raise error

    return fails


# --- what is imported -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["nonsense"], []])
def test_answers_about_itself_import_nothing_heavy(arguments: list[str], home: Path) -> None:
    program = (
        "import json, sys\nfrom ffe_core.cli import main\n"
        f"main({arguments!r})\nprint(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert loaded & HEAVY == set()


def test_help_imports_no_command_module(home: Path) -> None:
    program = (
        "import sys\nfrom ffe_core.cli import main\nfrom ffe_core.cli.commands import BUILT_IN\nmain(['--help'])\n"
        "print({where.partition(':')[0] for where, _ in BUILT_IN.values()} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.splitlines()[-1] == "set()"


# --- help, version, names ---------------------------------------------------------------------------------------------


def test_bare_ffe_prints_help_and_succeeds(ffe: Ffe) -> None:
    run = ffe()
    assert run.code == 0
    assert run.out.startswith("Usage: ffe ")
    assert run.err == ""
    assert all(f"  {name} " in run.out for name in table.BUILT_IN)


def test_version_is_the_package_s(ffe: Ffe) -> None:
    import ffe_core

    assert ffe("--version").out == f"ffe {ffe_core.__version__}\n"
    assert ffe("--json", "--version").data == {"version": ffe_core.__version__}


def test_near_miss_names_the_command_that_was_meant(ffe: Ffe) -> None:
    run = ffe("pahts")
    assert run.code == 2
    assert run.line.startswith("error: unknown command 'pahts'; did you mean paths?")


def test_near_miss_names_the_option_that_was_meant(ffe: Ffe) -> None:
    run = ffe("paths", "--jsn")
    assert run.code == 2
    assert "no such option --jsn; did you mean --json?" in run.line


@pytest.mark.parametrize("name", ["backtest", "walk-forward", "monte-carlo", "optimize"])
def test_command_of_an_absent_package_names_the_package(name: str, ffe: Ffe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "brought", dict)
    run = ffe(name, "BTCUSD", "--start", "2023-01-01")
    assert run.code == 2
    assert run.line == f"error: {name} is a command of ffe-lab, which is not installed (pip install ffe-lab)"


# --- global options ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [["--json", "paths"], ["paths", "--json"]])
def test_json_works_before_and_after_the_command(order: list[str], ffe: Ffe, home: Path) -> None:
    assert ffe(*order).data["home"] == str(home)


@pytest.mark.parametrize("before", [True, False])
def test_every_global_option_is_merged_into_one_run(before: bool, ffe: Ffe, added: Callable[..., None]) -> None:
    @command()
    def probe(session: Session) -> None:
        session.emit(
            {"quiet": session.quiet, "verbose": session.verbose, "color": session.color, "config": session.config},
            lambda _console: None,
        )

    added(probe=probe)
    options = ["--json", "--quiet", "-v", "--no-color", "-c", "mine.yaml"]
    run = ffe(*options, "probe") if before else ffe("probe", *options)
    assert run.data == {"quiet": True, "verbose": True, "color": False, "config": "mine.yaml"}


def test_global_options_reach_commands_below_a_family(ffe: Ffe, added: Callable[..., None]) -> None:
    @group()
    def family(session: Session) -> None:
        """A family."""

    @family.command("child")
    def child(session: Session) -> None:
        session.emit({"quiet": session.quiet}, lambda _console: None)

    added(family=family)
    assert ffe("family", "--quiet", "child", "--json").data == {"quiet": True}
    assert ffe("--quiet", "family", "child", "--json").data == {"quiet": True}
    assert "did you mean child?" in ffe("family", "chld").line
    needs = ffe("family")
    assert needs.code == 2
    assert needs.line.startswith("error: ffe family needs a command: child")


def test_help_of_a_command_stands_on_standard_output(ffe: Ffe) -> None:
    run = ffe("paths", "--help")
    assert (run.code, run.err) == (0, "")
    assert run.out.startswith("Usage: ffe paths ")
    assert "Global options:" in run.out


def test_warnings_are_one_line_and_quiet_drops_them(ffe: Ffe, added: Callable[..., None]) -> None:
    @command()
    def warns(session: Session) -> None:
        session.warn("the first\nand \x1b[31mthe second\x1b[0m")

    added(warns=warns)
    assert ffe("warns").err == "warning: the first and the second\n"
    assert ffe("warns", "--quiet").err == ""


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (FfeError("no data", hint="try later"), 1, "FfeError"),
        (SafetyRefusal("halted", hint="ffe arm"), 3, "SafetyRefusal"),
        (VerificationFailed("record 4 differs", hint="ffe db restore"), 6, "VerificationFailed"),
        (ZeroDivisionError("by nought"), 1, "ZeroDivisionError"),
        (PermissionError(13, "Permission denied", "/some/file"), 1, "PermissionError"),
        (KeyboardInterrupt(), 130, "Interrupted"),
        (SystemExit("stopped"), 1, "Exit"),
        (RecursionError("too deep"), 1, "RecursionError"),
    ],
)
def test_error_is_one_line_an_object_and_a_code(
    error: BaseException, code: int, kind: str, ffe: Ffe, added: Callable[..., None]
) -> None:
    added(fails=raising(error))
    plain = ffe("fails")
    assert (plain.code, plain.out) == (code, "")
    assert plain.line.startswith("error: ")
    run = ffe("fails", "--json")
    assert run.code == code
    assert run.error["type"] == kind
    assert run.line == plain.line
    assert "Traceback" not in run.err


def test_private_refinement_of_an_error_is_told_as_the_documented_class(ffe: Ffe, added: Callable[..., None]) -> None:
    class Refined(SafetyRefusal):
        pass

    added(fails=raising(Refined("no")))
    assert ffe("fails", "--json").error["type"] == "SafetyRefusal"


def test_hint_stands_in_brackets(ffe: Ffe, added: Callable[..., None]) -> None:
    added(fails=raising(FfeError("the store is locked", hint="close the other ffe")))
    assert ffe("fails").line == "error: the store is locked (close the other ffe)"


def test_traceback_is_shown_with_verbose_only(ffe: Ffe, added: Callable[..., None]) -> None:
    added(fails=raising(ValueError("odd")))
    assert ffe("fails").line == "error: ValueError: odd (-v shows the traceback)"
    assert "Traceback (most recent call last)" in ffe("fails", "-v").err


def test_usage_error_with_json_is_an_object_too(ffe: Ffe) -> None:
    for arguments in (
        ["--jsn", "--json"],
        ["pahts", "--json"],
        ["--json", "completion"],
        ["completion", "--json", "x"],
    ):
        run = ffe(*arguments)
        assert run.code == 2
        assert run.error["message"]
        assert run.line


def test_foreign_text_in_an_error_cannot_drive_the_terminal(ffe: Ffe, added: Callable[..., None]) -> None:
    added(fails=raising(FfeError("a\x1b]0;title\x07b\x9b2Jc\r\nd\u202ee")))
    assert ffe("fails").line == "error: abc de"


def test_result_printed_before_a_failure_stays_the_only_object(ffe: Ffe, added: Callable[..., None]) -> None:
    @command()
    def half(session: Session) -> None:
        session.emit({"done": "half"}, lambda _console: None)
        raise FfeError("the rest failed")

    added(half=half)
    run = ffe("half", "--json")
    assert run.code == 1
    assert run.object == {"schema": 1, "data": {"done": "half"}}
    assert run.line == "error: the rest failed"


def test_command_can_end_with_a_code_after_its_result(ffe: Ffe, added: Callable[..., None]) -> None:
    @command()
    def verdict(session: Session) -> None:
        session.emit({"verdict": "HOLD"}, lambda _console: None)
        session.exit(1)

    added(verdict=verdict)
    run = ffe("verdict", "--json")
    assert (run.code, run.err) == (1, "")


# --- standard output --------------------------------------------------------------------------------------------------


def test_nobody_else_can_write_to_standard_output(ffe: Ffe, added: Callable[..., None]) -> None:
    @command()
    def noisy(session: Session) -> None:
        print("from python")
        sys.stdout.write("from sys.stdout\n")
        os.write(1, b"from a C library\n")
        subprocess.run([sys.executable, "-c", "print('from a child')"], check=True)
        session.emit({"answer": 42}, lambda _console: None)

    added(noisy=noisy)
    run = ffe("noisy", "--json")
    assert run.data == {"answer": 42}
    assert {"from python", "from sys.stdout", "from a C library", "from a child"} <= set(run.err.splitlines())


def test_standard_output_is_as_before_after_a_run(ffe: Ffe, capfd: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout
    ffe("nonsense")
    assert sys.stdout is before
    os.write(1, b"still here\n")
    assert capfd.readouterr().out == "still here\n"


def test_run_leaves_no_file_descriptor_open(ffe: Ffe) -> None:
    ffe("paths")
    before = set(Path("/dev/fd").iterdir())
    ffe("paths")
    ffe("nonsense", "--json")
    assert set(Path("/dev/fd").iterdir()) == before


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&-"])
def test_closed_standard_streams_are_no_reason_to_fail(closed: str, home: Path) -> None:
    line = f'exec "{sys.executable}" -m ffe_core.cli paths {closed}'
    done = subprocess.run(["bash", "-c", line], capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert done.returncode == 0
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("pipe", ["--help | true", "config schema | true", "config schema --json | head -c 1"])
def test_reader_that_leaves_early_is_no_error(home: Path, pipe: str) -> None:
    line = f'set -o pipefail; "{sys.executable}" -m ffe_core.cli {pipe} > /dev/null'
    done = subprocess.run(["bash", "-c", line], capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert done.returncode in (0, 1)
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
def test_full_disk_is_told_in_one_line(home: Path) -> None:
    line = f'"{sys.executable}" -m ffe_core.cli paths --json > /dev/full'
    done = subprocess.run(["bash", "-c", line], capture_output=True, encoding="utf-8", timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr == "error: the output could not be written: No space left on device\n"


def test_json_is_unicode_on_a_terminal_of_another_encoding(home: Path) -> None:
    program = (
        "import sys\nfrom ffe_core.cli.output import owned_stdout\n"
        "with owned_stdout() as printer:\n    printer.object({'name': 'Zürich \\U0001f600'})\n"
    )
    for encoding in ("utf-8", "latin-1", "ascii"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": encoding},
            check=True,
        )
        assert json.loads(done.stdout) == {"name": "Zürich \U0001f600"}


def test_control_c_ends_with_130_and_one_line(home: Path) -> None:
    program = (
        "import signal, sys, time\nfrom types import ModuleType\nfrom ffe_core.cli import main, command, commands\n"
        # A run in the background is started deaf to it, and its children with it.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "@command()\ndef waits(session):\n"
        "    session.warn('waiting')\n    time.sleep(60)\n"
        "sys.modules['waiting'] = module = ModuleType('waiting')\nmodule.waits = waits\n"
        "commands.BUILT_IN['waits'] = ('waiting:waits', '')\nsys.exit(main(['waits']))"
    )
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "warning: waiting\n"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert err == "error: interrupted\n"


# --- commands of other packages ---------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A folder of installed packages that goes with the test."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield Site(folder)
    for name in set(sys.modules) - before:
        if name.startswith("shop_"):
            del sys.modules[name]


def bring(site: Site, name: str, source: str, *, distribution: str = "shop-good", module: str = "shop_good") -> None:
    site.install(name, source, module=module, distribution=distribution, group=GROUP, entry=f"{module}:{name}")


def test_plugin_s_command_runs_with_the_global_options(site: Site, ffe: Ffe) -> None:
    bring(
        site,
        "greet",
        """
        import click
        from ffe_core.cli import pass_session

        @click.command()
        @click.option("--times", default=2)
        @pass_session
        def greet(session, times):
            session.emit({"times": times, "quiet": session.quiet}, print)
        """,
    )
    assert re.search(r"^  greet +From shop-good\.$", ffe("--help").out, re.MULTILINE)
    assert "shop_good" not in sys.modules
    assert ffe("greet", "--json", "--quiet").data == {"times": 2, "quiet": True}
    assert "did you mean greet?" in ffe("gret").line


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        ("assert False, 'no'", "AssertionError: no"),
        ("greet = 3", "is a int, not a click command"),
        ("other = 3", "AttributeError"),
        ("def broken(:", "SyntaxError"),
    ],
)
def test_broken_command_is_one_line_and_never_breaks_help(source: str, told: str, site: Site, ffe: Ffe) -> None:
    bring(site, "greet", source)
    assert ffe("--help").code == 0
    run = ffe("greet")
    assert run.code == 1
    assert run.line.startswith("error: plugin shop-good: command greet ")
    assert told in run.line


def test_package_with_unreadable_metadata_hides_no_other(site: Site, ffe: Ffe) -> None:
    bring(site, "greet", "import click\n@click.command()\ndef greet(): pass")
    (site.path / "torn-1.0.dist-info").mkdir()
    (site.path / "torn-1.0.dist-info" / "METADATA").write_bytes(b"Name: torn\n")
    (site.path / "torn-1.0.dist-info" / "entry_points.txt").write_bytes(b"[ffe.commands]\nno equals sign\n\xff")
    run = ffe("--help")
    assert (run.code, run.err) == (0, "")
    assert "  greet " in run.out


def test_name_of_a_built_in_cannot_be_taken(site: Site, ffe: Ffe) -> None:
    bring(site, "paths", "raise SystemExit('never imported')")
    assert ffe("paths").code == 0
    assert "shop_good" not in sys.modules


def test_two_packages_with_one_command_are_both_named(site: Site, ffe: Ffe) -> None:
    bring(site, "greet", "", distribution="shop-one", module="shop_one")
    bring(site, "greet", "", distribution="shop-two", module="shop_two")
    run = ffe("greet")
    assert run.code == 2
    assert run.line == "error: shop-one and shop-two both bring a command greet (uninstall one of them)"


# --- completion -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_names_the_program(shell: str, ffe: Ffe) -> None:
    run = ffe("completion", shell)
    assert run.code == 0
    assert "_FFE_COMPLETE" in run.out
    assert run.err == ""


def test_completion_answers_names_without_importing_commands(
    ffe: Ffe, monkeypatch: pytest.MonkeyPatch, site: Site
) -> None:
    bring(site, "pagoda", "raise SystemExit('never imported')")
    monkeypatch.setenv("_FFE_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "ffe pa")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert ffe().out.split() == ["plain,pagoda", "plain,paths"]


def test_completion_of_an_unknown_shell_is_silent(ffe: Ffe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_FFE_COMPLETE", "tcsh_complete")
    run = ffe()
    assert (run.code, run.out, run.err) == (1, "", "")


# --- paths ------------------------------------------------------------------------------------------------------------


def test_paths_lie_under_the_home_and_asking_makes_none(ffe: Ffe, home: Path) -> None:
    data = ffe("paths", "--json").data
    assert all(Path(place).is_relative_to(home) for place in data.values())
    assert list(home.iterdir()) == []


def test_relative_home_is_refused(ffe: Ffe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFE_HOME", "here")
    run = ffe("paths")
    assert run.code == 2
    assert "FFE_HOME" in run.line


def test_main_reads_the_process_s_arguments(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["ffe", "--version"])
    # What it sets for a process that ends with the run, ours goes on without.
    often = gc.get_threshold()
    monkeypatch.setattr(os, "environ", dict(os.environ))
    try:
        assert main() == 0
    finally:
        gc.set_threshold(*often)
    assert capfd.readouterr().out.startswith("ffe ")


@pytest.mark.parametrize(("given", "found"), [(None, "1"), ("2", "2")])
def test_a_process_of_ffe_needs_one_thread_for_algebra_unless_told(given: str | None, found: str, home: Path) -> None:
    program = (
        "import os, sys; from ffe_core.cli import main; sys.argv = ['ffe', '--version'];"
        "code = main(); print(os.environ['OPENBLAS_NUM_THREADS']); sys.exit(code)"
    )
    others = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    given_ones = {} if given is None else {"OPENBLAS_NUM_THREADS": given}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=True, env=others | given_ones
    )
    assert done.stdout.splitlines()[-1] == found


def test_how_often_cycles_are_looked_for_is_as_before_after_a_run(ffe: Ffe, added: Callable[..., None]) -> None:
    @command()
    def look(session: Session) -> None:
        session.emit(gc.get_threshold(), print)

    added(look=look)
    before = gc.get_threshold()
    meanwhile = ffe("look", "--json").data
    assert gc.get_threshold() == before
    assert meanwhile[0] > before[0]
