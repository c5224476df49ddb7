"""A whole backtest from a cold start, as a command: ``ffe backtest`` beside a script that uses backtesting.py.

    python benchmarks/lab/cold.py [--rounds N]

35,058 hourly bars in a CSV file, SMA(10/30). CPU time of the process and its children, the least of interleaved runs.
The command runs as settings are when nobody set any, then without the gate and with all of the cash in, which is what
the script does; and once more with what it leaves out when asked to be fast: intervals, baselines, cost sensitivity.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import series
from peers import HERE, Goal, judge, machine, python_of

ALL_IN = "--no-gate --sizing all_in --stop-loss-percentage 0 --take-profit-percentage 0".split()


def write_csv(path: Path, bars: series.Columns) -> None:
    columns = ("open", "high", "low", "close", "volume")
    times = (datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for at in bars["time"].tolist())
    rows = zip(times, *(bars[name].tolist() for name in columns), strict=True)
    lines = (",".join(map(str, row)) for row in rows)
    path.write_text("\n".join((",".join(("timestamp", *columns)), *lines)) + "\n")


def cpu(command: list[str], environment: dict[str, str]) -> float:
    """Seconds of CPU of one run of ``command`` and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=7)
    rounds = asked.parse_args().rounds
    told, bars = series.hourly()
    with tempfile.TemporaryDirectory() as folder:
        candles = Path(folder) / "candles"
        candles.mkdir()
        first, last = (
            f"{np.datetime64(int(at), 'ms').astype('datetime64[D]')}".replace("-", "") for at in bars["time"][[0, -1]]
        )
        file = candles / f"BTCUSD_1h_{first}_{last}.csv"
        write_csv(file, bars)
        environment = {**os.environ, "FFE_HOME": str(Path(folder) / "home"), "FFE_PLUGINS__FILES__PATH": str(candles)}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        # What somebody has who installed the core and the lab.
        environment["FFE_PLUGINS"] = "lab"
        ffe = [str(Path(sys.executable).with_name("ffe")), "backtest", "BTCUSD"]
        ffe += "--source files --provider sma_cross --json".split()
        commands = {
            "backtesting.py": [str(python_of("backtesting")), str(HERE / "backtesting_script.py"), str(file)],
            "ffe backtest": ffe,
            "ffe backtest, all in, no gate": [*ffe, *ALL_IN],
            "ffe backtest, all in, no gate, --fast": [*ffe, *ALL_IN, "--fast"],
        }
        for command in commands.values():
            cpu(command, environment)
        runs = [{name: cpu(command, environment) for name, command in commands.items()} for _ in range(rounds)]
    took = {name: min(run[name] for run in runs) for name in commands}
    print(f"{len(bars['close']):,} {told}\n  {machine()}")
    for name, seconds in took.items():
        print(f"  {name:44} CPU {seconds:8.2f} s")
    script = took.pop("backtesting.py")
    return judge(*(Goal(f"{name} / backtesting.py", seconds / script, most=0.5) for name, seconds in took.items()))


if __name__ == "__main__":
    sys.exit(main())
