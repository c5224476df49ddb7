"""Trades as columns: what a simulation leaves behind, one row for each position that was opened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

type Floats = NDArray[np.float64]
type Indices = NDArray[np.int64]
type Codes = NDArray[np.int8]

#: what ended a trade; the position in this tuple is its code in ``Trades.reason``
EXIT_REASONS = ("signal", "stop", "target", "liquidation", "open_at_end", "portfolio_stop")
SIGNAL, STOP, TARGET, LIQUIDATION, OPEN_AT_END, PORTFOLIO_STOP = range(len(EXIT_REASONS))


@dataclass(frozen=True, slots=True, eq=False)
class Trades:
    """Columns of equal length in the order of their entries.

    ``side`` 1 long, -1 short. ``entry`` and ``exit`` are bar numbers of the simulated span: the bars in which the
    fills happened, a trade that is still open at the end leaves in the last one. Prices are fill prices in quote
    currency, ``quantity`` is positive base units, ``fees`` of both fills and ``pnl`` net of them in account currency.
    """

    side: Codes
    entry: Indices
    exit: Indices
    entry_price: Floats
    exit_price: Floats
    quantity: Floats
    fees: Floats
    pnl: Floats
    reason: Codes

    def __len__(self) -> int:
        return len(self.side)

    @property
    def pnl_fraction(self) -> Floats:
        """Net result over what the entry was worth at its fill price."""
        worth = self.quantity * self.entry_price
        return np.divide(self.pnl, worth, out=np.zeros(len(self)), where=worth > 0)

    def frame(self, opens: Indices | None = None) -> pd.DataFrame:
        """A row for each trade; with ``opens`` (epoch milliseconds of the bars) times instead of bar numbers."""
        import pandas as pd

        def when(bars: Indices) -> object:
            return bars if opens is None else pd.to_datetime(opens[bars], unit="ms", utc=True)

        return pd.DataFrame(
            {
                "side": np.where(self.side > 0, "long", "short"),
                "entry_time": when(self.entry),
                "exit_time": when(self.exit),
                "entry_price": self.entry_price,
                "exit_price": self.exit_price,
                "quantity": self.quantity,
                "fees": self.fees,
                "pnl": self.pnl,
                "pnl_fraction": self.pnl_fraction,
                "exit_reason": [EXIT_REASONS[code] for code in self.reason],
            }
        )


_NONE = np.empty(0)
_NO_BARS = np.empty(0, np.int64)
_NO_CODES = np.empty(0, np.int8)
NO_TRADES = Trades(_NO_CODES, _NO_BARS, _NO_BARS, _NONE, _NONE, _NONE, _NONE, _NONE, _NO_CODES)
