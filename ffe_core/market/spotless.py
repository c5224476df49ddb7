"""A quick look that spares most files the slow one: whether a table has nothing to repair and nothing to refuse."""

from __future__ import annotations

from array import array
from typing import cast

from ffe_core.domain.assets import AssetKind, Timeframe
from ffe_core.domain.market import COLUMNS
from ffe_core.market.tables import RawTable

#: Below it, the slow look is as quick.
WORTH_IT = 2_000
_TELLING_BARS = 50


def is_spotless(table: RawTable, timeframe: Timeframe | None, kind: AssetKind, now: int) -> bool:
    """Whether a reading would hand ``table`` on as it is. False also where only a slower look could tell."""
    if not table.exact or timeframe in (None, Timeframe.D1) or (kind is AssetKind.FOREX and _may_be_points(table)):
        return False
    if len(table.stamps) < WORTH_IT or not all(isinstance(values, array) for values in table.values.values()):
        return False
    import numpy as np

    step = cast("Timeframe", timeframe).milliseconds
    times = np.frombuffer(cast("array[int]", table.stamps), dtype=np.int64)
    opens, highs, lows, closes, volumes = (
        np.frombuffer(cast("array[float]", table.values[name]), dtype=np.float64) for name in COLUMNS
    )
    steps = np.diff(times)
    return bool(
        times[0] > 0
        and times[-1] + step <= now
        and (steps > 0).all()
        and (steps[:_TELLING_BARS] == step).any()
        and not (times % step).any()
        # A value that is not a number makes each of these comparisons false.
        and (lows > 0).all()
        and (volumes >= 0).all()
        and (lows <= np.minimum(opens, closes)).all()
        and (highs >= np.maximum(opens, closes)).all()
        and np.isfinite(highs).all()
        and np.isfinite(volumes).all()
    )


def _may_be_points(table: RawTable) -> bool:
    return float(table.values["close"][0]).is_integer()
