"""Where each rule will certainly let entries pass, said for a whole series of them at once.

Every function here stands beside the rule of its name and claims less than it, never more. Numbers are floats: what
lies within a hair of its limit is left to the rule, which reckons in decimals.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal
from typing import TYPE_CHECKING, Any

from ffe_core import Clearance, Prospect, entries_allowed
from ffe_core.builtin.gate.entry import exact
from ffe_core.builtin.gate.measures import LEAST_SCENARIOS, tail_index

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: a relative margin around limits that are no floats
HAIR = 1e-12


def always(prospect: Prospect) -> Clearance:
    """Of rules that a prospect's entries keep by what a prospect is, or that need two holdings to say anything."""
    return Clearance()


def data_sanity(prospect: Prospect) -> Clearance:
    import numpy as np

    price = prospect.price
    return Clearance(np.isfinite(price) & (price > 0) & (prospect.low <= price) & (price <= prospect.high))


def market_hours(prospect: Prospect) -> Clearance:
    if not prospect.instrument.tradeable:
        return Clearance(where=False)
    return Clearance(entries_allowed(prospect.asset.kind, prospect.sent))


def drawdown(prospect: Prospect) -> Clearance:
    return Clearance(drawdown=_limit(prospect, "max_drawdown"))


def daily_loss(prospect: Prospect) -> Clearance:
    return Clearance(daily_loss=_limit(prospect, "max_daily_loss"))


def leverage(prospect: Prospect) -> Clearance:
    return Clearance(exposure=_limit(prospect, "max_leverage"))


def concentration(prospect: Prospect) -> Clearance:
    return Clearance(exposure=_limit(prospect, "max_concentration"))


def volatility(prospect: Prospect) -> Clearance:
    """Where a wild market halves an unsure entry it does so whatever the account."""
    import numpy as np

    sure = int((exact(prospect.settings["volatile_confidence"]) * 100).to_integral_value(ROUND_CEILING))
    most = _limit(prospect, "max_volatility")
    known = ~np.isnan(prospect.volatility)
    passes = (prospect.volatility <= most * (1 - HAIR)) | (known & (prospect.confidence >= sure))
    if _need_not_be_judged(prospect):
        passes |= ~known
    if prospect.settings["on_volatile"] == "veto":
        return Clearance(passes)
    wild = (prospect.volatility > most * (1 + HAIR)) & (prospect.confidence < sure)
    return Clearance(passes | wild, kept=np.where(wild, 0.5, 1.0))


def agreement(prospect: Prospect) -> Clearance:
    return Clearance(prospect.agreement >= float(prospect.settings["entry_agreement"]))


def var(prospect: Prospect) -> Clearance:
    """With one holding the loss of the bad day is its weight times one return: the limit over that return is a weight.

    That return is the same for all entries that know the same days.
    """
    import numpy as np

    most, confidence = float(prospect.settings["max_var"]), exact(prospect.settings["var_confidence"])
    if most < 0 or not np.isfinite(prospect.returns).all():
        return Clearance(where=False)
    changes = (np.diff(prospect.since, prepend=-1) != 0) | (np.diff(prospect.until, prepend=-1) != 0)
    begins, window = np.flatnonzero(changes), np.cumsum(changes) - 1
    losses = _losses(prospect.returns, prospect.since[begins], prospect.until[begins], confidence)[:, window]
    loss = np.where(prospect.side > 0, losses[0], losses[1])
    exposure = np.full(len(loss), np.inf)
    np.divide(most, loss, out=exposure, where=loss > 0)
    return Clearance(~np.isnan(loss) | _need_not_be_judged(prospect), exposure=exposure)


def _losses(
    returns: NDArray[np.float64], since: NDArray[np.int64], until: NDArray[np.int64], confidence: Decimal
) -> NDArray[np.float64]:
    """What a bad day costs whoever holds all of it long, and whoever is that much short: float64[2, windows].

    NaN where there are too few days to tell.
    """
    import numpy as np

    losses = np.full((2, len(since)), np.nan)
    lengths = until - since
    for length in np.unique(lengths[lengths >= LEAST_SCENARIOS]).tolist():
        windows = np.flatnonzero(lengths == length)
        rows = np.lib.stride_tricks.sliding_window_view(returns, length)[since[windows]]
        worst = tail_index(length, confidence)
        rows.partition((worst, length - 1 - worst), axis=1)
        losses[0, windows], losses[1, windows] = -rows[:, worst], rows[:, length - 1 - worst]
    return losses


def _need_not_be_judged(prospect: Prospect) -> bool:
    """Whether a rule that cannot judge lets entries pass: those of a prospect are on paper."""
    return bool(prospect.settings.get("fail_closed") != "always")


def _limit(prospect: Prospect, name: str) -> float:
    limit: Any = prospect.settings[name]
    return float(exact(limit))
