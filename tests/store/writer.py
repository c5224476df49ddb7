"""A process that writes decisions: ``writer.py URL FIRST COUNT [ready file]``; prints each id once it is durable."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from ffe_core.store import Database, Store
from tests.store.records import many


def main() -> None:
    url, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    with Store(Database.open(url, patience=60)) as store:
        for record in many(count, first=first):
            print(store.append(record).id, flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 4:
        # Held back until every writer is up, so that they really meet.
        while not Path(sys.argv[4]).exists():
            time.sleep(0.001)
    main()
