"""Programs on the user's machine: what they are given, how they are ended, and what is left of them."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from pathlib import Path

import pytest

from ffe_core import ProviderFailed, Tool, ToolLate, ToolRun
from ffe_core.ai.command import AT_ONCE
from ffe_core.testing import make_context, make_tool
from tests.conftest import clean_environment

SECRET = "sk-0123456789abcdef"


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's temporary folder of this test, where a run must leave nothing."""
    place = tmp_path / "system-temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def tool_of(folder: Path, source: str, **more: object) -> Tool:
    return Tool("acme", str(make_tool(folder, source)), "get acme", make_context(folder), **more)  # type: ignore[arg-type]


def run(tool: Tool, text: str = "", *, timeout: float = 20.0, arguments: tuple[str, ...] = ()) -> ToolRun:
    with tool.workplace() as place:
        return place.run(arguments, text=text, timeout=timeout)


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def pids(record: Path) -> list[int]:
    return [int(word) for word in record.read_text().split()]


def test_a_tool_hears_its_text_and_is_heard(tmp_path: Path) -> None:
    tool = tool_of(tmp_path, "import sys; print(sys.argv[1:], sys.stdin.read().upper()); print('hm', file=sys.stderr)")
    ran = run(tool, "grüße", arguments=("--a", "b c", "$(id)"))
    assert ran.output == "['--a', 'b c', '$(id)'] GRÜSSE\n"
    assert (ran.code, ran.complaint, ran.reason) == (0, "hm\n", "hm")


def test_a_long_text_and_a_long_answer_do_not_wait_for_each_other(tmp_path: Path) -> None:
    echo = "import sys\nfor line in sys.stdin: sys.stdout.write(line); sys.stderr.write(line)"
    text = "a line of some length\n" * 40_000
    ran = run(tool_of(tmp_path, echo), text)
    assert ran.output == text
    assert 0 < len(ran.complaint) <= 64 << 10


def test_a_tool_that_does_not_read_is_no_failure(tmp_path: Path) -> None:
    assert run(tool_of(tmp_path, "print('done')"), "x" * 1_000_000).output == "done\n"


def test_a_tool_sees_little_of_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COINBASE_API_SECRET", "canary")
    monkeypatch.setenv("HTTPS_PROXY", "http://canary")
    monkeypatch.setenv("FFE_PLUGINS__ACME__KEY", "canary")
    tool = tool_of(
        tmp_path,
        "import os, json; print(json.dumps([dict(os.environ), os.getcwd(), os.listdir()]))",
        environment={"ACME_KEY": "x", "HOME": "/elsewhere", "TMPDIR": "/elsewhere"},
    )
    ran = run(tool)
    assert "canary" not in ran.output
    environment, cwd, files = json.loads(ran.output)
    known = {
        "PATH",
        "HOME",
        "TMPDIR",
        "NO_COLOR",
        "ACME_KEY",
        "LANG",
        "LC_ALL",
        "LC_CTYPE",
        "PWD",
        "SHLVL",
        "_",
        "OLDPWD",
    }
    assert set(environment) <= known
    assert environment["HOME"] == str(tool.home)
    assert environment["TMPDIR"].startswith(str(Path(cwd).parent))
    assert files == []


def test_the_home_of_a_tool_is_its_own_and_stays(tmp_path: Path) -> None:
    tool = tool_of(tmp_path, "import os, pathlib; f = pathlib.Path.home() / 'login'; print(f.exists()); f.touch()")
    assert [run(tool).output, run(tool).output] == ["False\n", "True\n"]
    assert tool.home.stat().st_mode & 0o777 == 0o700
    assert tool.home.is_relative_to(make_context(tmp_path).state_dir)


def test_asking_makes_no_home_before_there_is_a_question(tmp_path: Path) -> None:
    tool_of(tmp_path, "")
    assert not make_context(tmp_path).state_root.exists()


@pytest.mark.slow
def test_at_the_deadline_the_tool_and_its_children_end(tmp_path: Path, temporary: Path) -> None:
    record = tmp_path / "pids"
    source = f"""
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
sys.stderr.write("Reconnecting... waiting for network\\n")
children = [subprocess.Popen(["sleep", "60"], start_new_session=apart).pid for apart in (False, True)]
open({str(record)!r}, "w").write(" ".join(map(str, [os.getpid(), *children])))
time.sleep(60)
"""
    began = time.monotonic()
    with pytest.raises(ProviderFailed, match=r"no answer within 1\.5 s: Reconnecting\.\.\. waiting for network"):
        run(tool_of(tmp_path, source), timeout=1.5)
    assert time.monotonic() - began < 2.0
    assert len(pids(record)) == 3
    assert not [pid for pid in pids(record) if lives(pid)]
    assert list(temporary.iterdir()) == []


@pytest.mark.slow
def test_a_tool_that_listens_may_end_by_itself(tmp_path: Path) -> None:
    record = tmp_path / "heard"
    source = f"""
import signal, sys, time
def end(*_): open({str(record)!r}, "w").write("TERM"); sys.exit(0)
signal.signal(signal.SIGTERM, end)
time.sleep(60)
"""
    with pytest.raises(ProviderFailed, match="no answer within"):
        run(tool_of(tmp_path, source), timeout=6)
    assert record.read_text() == "TERM"


def test_a_child_that_holds_the_output_neither_delays_nor_outlives_an_answer(tmp_path: Path) -> None:
    record = tmp_path / "pids"
    source = f"""
import subprocess
children = [subprocess.Popen(["sleep", "60"], start_new_session=apart).pid for apart in (False, True)]
open({str(record)!r}, "w").write(" ".join(map(str, children)))
print("answer", flush=True)
"""
    began = time.monotonic()
    assert run(tool_of(tmp_path, source), timeout=10).output == "answer\n"
    assert time.monotonic() - began < 3
    assert not [pid for pid in pids(record) if lives(pid)]


def test_a_tool_that_closes_its_output_and_goes_on_is_waited_for(tmp_path: Path) -> None:
    source = "import os, sys, time; print('x', flush=True); os.close(1); os.close(2); time.sleep(0.2); os._exit(4)"
    ran = run(tool_of(tmp_path, source))
    assert (ran.output, ran.code) == ("x\n", 4)


def test_endless_output_ends_the_tool(tmp_path: Path, temporary: Path) -> None:
    with pytest.raises(ProviderFailed, match="acme wrote more than 4 MiB"):
        run(tool_of(tmp_path, "import sys\nwhile True: sys.stdout.write('x' * 65536)"))
    assert list(temporary.iterdir()) == []


def test_endless_complaints_are_cut_and_harm_nothing(tmp_path: Path) -> None:
    ran = run(tool_of(tmp_path, "import sys\nfor _ in range(200): sys.stderr.write('y' * 65536)\nprint('fine')"))
    assert ran.output == "fine\n"
    assert len(ran.complaint) == 64 << 10


def test_output_of_any_bytes_is_text(tmp_path: Path) -> None:
    ran = run(tool_of(tmp_path, "import sys; sys.stdout.buffer.write(bytes(range(256)))"))
    assert "\ufffd" in ran.output
    assert ran.output.encode()


def test_what_a_tool_locks_is_removed_all_the_same(tmp_path: Path, temporary: Path) -> None:
    source = """
import os, pathlib
inner = pathlib.Path(os.environ["TMPDIR"]) / "a" / "b"
inner.mkdir(parents=True); (inner / "f").touch(); os.symlink("/etc", inner / "l")
inner.chmod(0); inner.parent.chmod(0o500)
"""
    run(tool_of(tmp_path, source))
    assert list(temporary.iterdir()) == []
    assert Path("/etc/passwd").exists()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import sys; sys.exit(3)", "acme ended with code 3"),
        ("import os; os.kill(os.getpid(), 9)", "acme was ended by signal 9"),
        ("import sys; sys.exit('one\\nError: spent\\n\\nDo this:\\n  * that')", "acme ended with code 1: Error: spent"),
        ("import sys; sys.exit('\\x1b[31mred\\x1b[0m\\u202e \\x07word')", "acme ended with code 1: red word"),
        ("raise KeyError('x')", "acme ended with code 1: KeyError: 'x'"),
    ],
)
def test_how_a_tool_failed_is_told_in_one_line(tmp_path: Path, source: str, told: str) -> None:
    error = run(tool_of(tmp_path, source)).failure(hint="do that")
    assert (str(error), error.hint) == (told, "do that")


def test_a_missing_tool_says_how_to_get_it(tmp_path: Path) -> None:
    absent = Tool("acme", "acme-that-is-not-there", "npm install -g acme", make_context(tmp_path))
    with pytest.raises(ProviderFailed, match="is not installed") as caught:
        run(absent)
    assert caught.value.hint == "npm install -g acme"


@pytest.mark.parametrize("content", ["", "no interpreter at all", "#!/no/such/interpreter\n"])
def test_a_file_that_is_no_program_is_a_failure(tmp_path: Path, content: str) -> None:
    file = tmp_path / "acme"
    file.write_text(content)
    file.chmod(0o700)
    with pytest.raises(ProviderFailed, match="acme cannot be run"):
        run(Tool("acme", str(file), "get acme", make_context(tmp_path)))


def test_without_time_nothing_is_started(tmp_path: Path) -> None:
    with pytest.raises(ProviderFailed, match="no time left to ask acme"):
        run(tool_of(tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w')"), timeout=0.0)
    assert not (tmp_path / "ran").exists()


def test_secrets_of_a_tool_show_nowhere(tmp_path: Path) -> None:
    source = "import os, sys; print(os.environ['KEY']); sys.exit('Error: bad key ' + os.environ['KEY'])"
    tool = tool_of(tmp_path, source, environment={"KEY": SECRET}, secrets=(SECRET,))
    ran = run(tool)
    assert ran.output == "***\n"
    assert SECRET not in f"{tool!r} {ran!r} {ran.failure()!s} {ran.complaint}"


@pytest.mark.parametrize("end", ["return", "SIGTERM", "SIGKILL"])
def test_the_end_of_the_process_takes_its_tools_along(tmp_path: Path, end: str) -> None:
    record = tmp_path / "pids"
    source = f"""
import os, signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "60"], start_new_session=True).pid
open({str(record)!r} + ".new", "w").write(f"{{os.getpid()}} {{child}}")
os.rename({str(record)!r} + ".new", {str(record)!r})
time.sleep(60)
"""
    tool = make_tool(tmp_path, source)
    program = f"""
import os, signal, threading, time
from pathlib import Path
from ffe_core import Tool
from ffe_core.testing import make_context
def ask():
    with Tool("acme", {str(tool)!r}, "", make_context(Path({str(tmp_path)!r}))).workplace() as place:
        place.run([], timeout=50)
threading.Thread(target=ask, daemon=True).start()
while not Path({str(record)!r}).exists(): time.sleep(0.01)
if {end!r} != "return":
    os.kill(os.getpid(), getattr(signal, {end!r}))
    time.sleep(60)
"""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = {**clean_environment(tmp_path / "home"), "TMPDIR": str(temporary)}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, timeout=30, check=False)
    assert ran.returncode == (0 if end == "return" else -getattr(signal, end))
    until = time.monotonic() + 5
    while time.monotonic() < until and (any(map(lives, pids(record))) or list(temporary.iterdir())):
        time.sleep(0.02)
    assert not [pid for pid in pids(record) if lives(pid)]
    assert list(temporary.iterdir()) == []


def test_a_sign_in_line_names_the_home(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    folder.mkdir()
    line = tool_of(folder, "").in_home("acme login")
    assert re.fullmatch(r"HOME='.*with space.*/home' acme login", line)


def test_ending_one_tool_leaves_another_alone(tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        with pytest.raises(ProviderFailed):
            run(tool_of(tmp_path, "import time; time.sleep(60)"), timeout=0.3)
        assert other.poll() is None
    finally:
        os.killpg(other.pid, signal.SIGKILL)
        other.wait()


def test_a_tool_is_looked_at_by_its_version(tmp_path: Path) -> None:
    seen = tool_of(tmp_path, "import sys; print('acme', *sys.argv[1:], '1.2\\x1b[31m'); print('more')").look(timeout=10)
    assert (seen.installed, seen.ready, seen.hint) == (True, True, None)
    assert seen.detail == f"acme --version 1.2 at {tmp_path / 'tool'}"


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import sys; sys.exit('Error: no such library')", "acme ended with code 1: Error: no such library"),
        ("import time; time.sleep(60)", "acme gave no answer within 0.5 s"),
    ],
)
def test_a_tool_that_does_not_tell_its_version_is_not_ready(tmp_path: Path, source: str, said: str) -> None:
    seen = tool_of(tmp_path, source).look(timeout=0.5)
    assert (seen.installed, seen.ready, seen.detail) == (False, False, said)


def test_what_a_tool_complained_about_until_its_deadline_is_kept_whole(tmp_path: Path) -> None:
    source = f"import sys, time; print('one {SECRET}\\ntwo', file=sys.stderr, flush=True); time.sleep(60)"
    with pytest.raises(ToolLate) as late:
        run(tool_of(tmp_path, source, secrets=(SECRET,)), timeout=0.8)
    assert late.value.complaint == "one ***\ntwo\n"


@pytest.mark.slow
def test_no_more_than_two_tools_run_at_once_and_the_others_wait_for_their_turn(tmp_path: Path) -> None:
    record = tmp_path / "record"
    source = f"""
import os, time
note = os.open({str(record)!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(note, b"+")
time.sleep(0.3)
os.write(note, b"-")
"""
    tool = tool_of(tmp_path, source)
    with ThreadPoolExecutor(5) as pool:
        assert [ran.code for ran in pool.map(lambda _: run(tool), range(5))] == [0] * 5
    running = list(accumulate(1 if mark == "+" else -1 for mark in record.read_text()))
    assert max(running) == AT_ONCE
    assert running[-1] == 0


@pytest.mark.slow
def test_a_tool_that_has_no_turn_in_time_says_so_and_is_not_started(tmp_path: Path) -> None:
    started, folders = tmp_path / "started", [tmp_path / name for name in ("busy", "late")]
    for folder in folders:
        folder.mkdir()
    busy = tool_of(folders[0], "import time; time.sleep(1.5)")
    late = tool_of(folders[1], f"open({str(started)!r}, 'w')")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        others = [pool.submit(run, busy) for _ in range(AT_ONCE)]
        time.sleep(0.3)
        with pytest.raises(ProviderFailed, match=r"acme had no turn within 0\.5 s: 2 tools run at once"):
            run(late, timeout=0.5)
        assert [other.result().code for other in others] == [0] * AT_ONCE
    assert not started.exists()
    assert run(late).code == 0
