"""A process that reserves exposure: ``reserver.py URL DECISION NOTIONAL [ready file]``; prints what came of it."""

from __future__ import annotations

import sys
import time
from decimal import Decimal
from pathlib import Path

from ffe_core import SafetyRefusal
from ffe_core.domain.clock import FixedClock
from ffe_core.risk.exposure import Account, Exposure
from ffe_core.store import Database, Store
from tests.risk.builders import AT, BTC, account, instrument, sizing
from tests.risk.test_exposure import KEY


def main() -> None:
    url, decision, notional = sys.argv[1:4]
    with Store(Database.open(url, patience=60)) as store:
        if len(sys.argv) > 4:
            # Held back until every process is up, so that they really meet.
            store.reservations.open(KEY, AT)
            print("up", flush=True)
            while not Path(sys.argv[4]).exists():
                time.sleep(0.001)
        held = Account(account("100000"), AT, instrument(), Decimal(50000), sizing())
        try:
            Exposure(store.reservations, KEY, FixedClock(AT)).reserve(decision, BTC, Decimal(notional), held)
            print("reserved")
        except SafetyRefusal as error:
            print(error.message)


if __name__ == "__main__":
    main()
