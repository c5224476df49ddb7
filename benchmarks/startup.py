"""CPU time of commands that must answer at once, beside their peers on the same machine in the same minute.

``ffe --help`` against a click program that lists one entry-point group, and against any other command line:

    python benchmarks/startup.py --peer "freqtrade --help"

``ffe history``, of a store with ten decisions, against importing pydantic_settings and sqlmodel, what a program with
such settings and such a store is made of. Every command runs interleaved with its peers, so that a busy minute hits all
of them; the least CPU time (user and system, of all children) counts.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shlex
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

PEER = """
import click
from importlib.metadata import entry_points

class Listing(click.Group):
    def list_commands(self, ctx):
        return sorted(entry.name for entry in entry_points(group="ffe.commands"))

    def get_command(self, ctx, name):
        return None

@click.group(cls=Listing)
@click.option("--config", help="A file of settings.")
def peer(config):
    "A program that lists what is installed."

peer()
"""
LIBRARIES = "import pydantic_settings, sqlmodel"


def cpu(command: list[str], environment: dict[str, str]) -> float:
    """Seconds of CPU of one run of ``command`` and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def measure(commands: dict[str, list[str]], rounds: int, environment: dict[str, str]) -> dict[str, float]:
    """The least CPU seconds of each command over ``rounds`` interleaved runs, after one that warms the file cache."""
    for command in commands.values():
        cpu(command, environment)
    runs = [{name: cpu(command, environment) for name, command in commands.items()} for _ in range(rounds)]
    return {name: min(run[name] for run in runs) for name in commands}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--peer", help="another command line that prints its help")
    arguments = parser.parse_args()
    ffe = str(Path(sys.executable).with_name("ffe"))
    commands = {
        "ffe --help": [ffe, "--help"],
        "click program": [sys.executable, "-c", PEER, "--help"],
        "ffe history": [ffe, "history"],
        "import pydantic_settings, sqlmodel": [sys.executable, "-c", LIBRARIES],
        "python": [sys.executable, "-c", "pass"],
    }
    if arguments.peer:
        commands["peer"] = shlex.split(arguments.peer)
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "FFE_HOME": home}
        # Installed packages have their bytecode; a run of the checkout must be allowed to write it once.
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        for _ in range(10):
            # A decision each, so that there is a table to draw.
            cpu([ffe, "analyze", "BTCUSD"], environment)
        took = measure(commands, arguments.rounds, environment)
    goals = {
        "ffe --help / click program": (took["ffe --help"] / took["click program"], 1.5),
        "ffe history / libraries": (took["ffe history"] / took["import pydantic_settings, sqlmodel"], 1.25),
    }
    if arguments.peer:
        goals["ffe --help / peer"] = (took["ffe --help"] / took["peer"], 0.6)
    print(
        json.dumps(
            {
                "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
                "versions": {name: version(name) for name in ("ffe-core", "click", "pydantic-settings", "sqlmodel")}
                | {"python": platform.python_version()},
                "cpu_seconds": {name: round(seconds, 4) for name, seconds in took.items()},
                "ratios": {name: {"is": round(ratio, 3), "at most": goal} for name, (ratio, goal) in goals.items()},
            },
            indent=2,
        )
    )
    return 0 if all(ratio <= goal for ratio, goal in goals.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
