"""``scripts/soak``: kills ffe, and breaks its line to the exchange, some hundred times on either database.

Prints a line per proof and one at the end; leaves with 1 where one did not hold. PostgreSQL is the server that tests
use (``FFE_TEST_POSTGRES``), in a schema that goes again.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from ffe_core.store import Database
from tests.conftest import POSTGRES, clean_environment
from tests.execution.exchange import Exchange, Fault
from tests.execution.killing import Forge, Killing
from tests.execution.proofs import Trouble, kill_at_every_step, kill_at_random_points


def main() -> int:
    options = _options()
    began, failed, counted = time.monotonic(), 0, dict.fromkeys(("kills", "faults"), 0)
    for name, open_store in (("sqlite", _sqlite), ("postgresql", _postgres)):
        for what, proof in _proofs(options).items():
            with TemporaryDirectory(prefix="ffe-soak-") as home, open_store(Path(home)) as url:
                os.environ.update(clean_environment(Path(home)))
                try:
                    kind, number = proof(url)
                except Exception:
                    failed += 1
                    traceback.print_exc()
                    print(f"{name}: {what}: DOES NOT HOLD", flush=True)
                    continue
                counted[kind] += number
                print(f"{name}: {what}: {number} {kind}, books and exchange agree", flush=True)
    told = "every proof held" if not failed else f"{failed} PROOFS DID NOT HOLD"
    print(
        f"soak: {counted['kills']} kills and {counted['faults']} faults in {time.monotonic() - began:.0f} s: "
        f"{told} (seed {options.seed})"
    )
    return 1 if failed else 0


type Proof = Callable[[str], tuple[str, int]]


def _proofs(options: argparse.Namespace) -> dict[str, Proof]:
    def steps(url: str) -> tuple[str, int]:
        with _killing(url) as killing:
            return "kills", kill_at_every_step(killing)

    def points(url: str) -> tuple[str, int]:
        with _killing(url) as killing:
            return "kills", kill_at_random_points(killing, options.kills, options.seed)

    def faults(fault: Fault) -> Proof:
        def run(url: str) -> tuple[str, int]:
            with Database.at(url) as database, Exchange(options.seed) as exchange:
                database.made_ready() if database.is_sqlite else database.upgrade()
                trouble = Trouble(exchange, url)
                for number in range(options.faults):
                    trouble.run(fault, number % 3)
            return "faults", options.faults

        return run

    named = {"named steps": steps, f"{options.kills} random points": points}
    return named | {f"fault: {fault}": faults(fault) for fault in Fault if options.faults}


@contextmanager
def _killing(url: str) -> Iterator[Killing]:
    with Database.at(url) as database:
        database.made_ready() if database.is_sqlite else database.upgrade()
        with Exchange() as exchange, Forge(exchange.url, url) as forge:
            yield Killing(exchange, forge, database)


@contextmanager
def _sqlite(home: Path) -> Iterator[str]:
    yield f"sqlite:///{home}/ffe.db"


@contextmanager
def _postgres(_: Path) -> Iterator[str]:
    schema = f"ffe_soak_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(POSTGRES.replace("postgresql+psycopg://", "postgresql://", 1), autocommit=True) as server:
        server.execute(f'CREATE SCHEMA "{schema}"')
        try:
            yield f"{POSTGRES}{'&' if '?' in POSTGRES else '?'}options=-csearch_path%3D{schema}"
        finally:
            server.execute("SET lock_timeout = '10s'")
            server.execute(f'DROP SCHEMA "{schema}" CASCADE')


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=200, help="random points at which ffe is killed, each database")
    parser.add_argument("--faults", type=int, default=100, help="runs of each of the twelve faults, each database")
    parser.add_argument("--seed", type=int, default=11)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
