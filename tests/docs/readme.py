"""The README's commands, and the session pasted into it.

``python -m tests.docs.readme`` runs the session again and pastes what it prints.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"
WIDTH = "100"
#: what differs from run to run: ids, hashes, and the eight letters that stand for an id
CHANGING = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b[0-9a-f]{64}\b")
#: how long a provider took, with the blanks that fill its cell
LATENCY = re.compile(r"│ (?:<1|\d+|\d+\.\d) m?s +(?=│)")
SESSION = ("analyze BTCUSD --at 2025-03-28T23:00:00Z", "replay {id}", "history --scored", "history verify")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """The fenced blocks of the README in ``language``."""
    return [body for word, body in _FENCE.findall(README.read_text(encoding="utf-8")) if word == language]


def commands() -> list[str]:
    """Every command line of ffe outside the session, without its comment."""
    lines = [line.partition("  #")[0].strip() for body in blocks("sh") for line in body.splitlines()]
    return [line.removeprefix("ffe ") for line in lines if line]


def pasted() -> list[tuple[str, str]]:
    """Each command of the session with the output under it."""
    return _transcript("".join(blocks("console")))


def _transcript(text: str) -> list[tuple[str, str]]:
    parts = re.split(r"^\$ ffe (.*)\n", text, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], (body.strip() for body in parts[1::2]), strict=True))


def play(run: object) -> list[tuple[str, str]]:
    """The session as ``run(command)`` prints it now, without blanks at the ends of lines."""
    seen: list[tuple[str, str]] = []
    short = ""
    for template in SESSION:
        command = template.format(id=short)
        shown = "\n".join(line.rstrip() for line in run(command).splitlines()).strip()  # type: ignore[operator]
        seen.append((command, shown))
        short = short or CHANGING.findall(shown)[-1][:8]
    return seen


def masked(session: list[tuple[str, str]]) -> str:
    """As text in which ids and hashes are numbered by their first appearance, and nobody took any time."""
    text = LATENCY.sub("│ - ", "\n".join(f"$ ffe {command}\n{shown}" for command, shown in session))
    for number, found in enumerate(dict.fromkeys(CHANGING.findall(text))):
        text = text.replace(found, f"<{number}>").replace(found[:8], f"<{number}>")
    return text


def main() -> None:
    with tempfile.TemporaryDirectory() as home:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("FFE_")}
        environment = {**clean, "FFE_HOME": home, "COLUMNS": WIDTH}

        def run(command: str) -> str:
            line = [sys.executable, "-m", "ffe_core.cli", *command.split()]
            return subprocess.run(line, env=environment, capture_output=True, encoding="utf-8", check=True).stdout

        body = "\n".join(f"$ ffe {command}\n{shown}" for command, shown in play(run))
    text = README.read_text(encoding="utf-8")
    begins = text.index("```console\n") + len("```console\n")
    README.write_text(f"{text[:begins]}{body}\n{text[text.index('```', begins) :]}", encoding="utf-8")


if __name__ == "__main__":
    main()
