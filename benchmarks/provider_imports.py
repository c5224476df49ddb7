"""CPU time that importing each installed package of plugins adds to ``import ffe_core, pydantic``.

    python benchmarks/provider_imports.py

The least of nine interleaved runs, each in a process of its own. Ends with 1 where one costs 50 ms or more, or where a
provider of this checkout is not installed, so that nothing would have been measured.
"""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

PROVIDERS = {"ffe_codex", "ffe_copilot", "ffe_gemini", "ffe_ollama", "ffe_qwen"}
GOAL_MS = 50.0
ROUNDS = 9
MEASURE = """
import sys, time, ffe_core, pydantic
began = time.process_time()
__import__(sys.argv[1])
print(1000 * (time.process_time() - began))
"""


def main() -> int:
    packages = sorted({entry.module for entry in entry_points(group="ffe.plugins")})
    missing = PROVIDERS - set(packages)
    if missing:
        raise SystemExit(f"not installed: {', '.join(sorted(missing))}; run scripts/setup test")
    cost: dict[str, list[float]] = {package: [] for package in packages}
    for _ in range(ROUNDS):
        for package in packages:
            ran = subprocess.run([sys.executable, "-c", MEASURE, package], capture_output=True, text=True, check=True)
            cost[package].append(float(ran.stdout))
    for package, runs in cost.items():
        print(f"import {package:<16} {min(runs):6.1f} ms")
    return int(any(min(runs) >= GOAL_MS for runs in cost.values()))


if __name__ == "__main__":
    sys.exit(main())
