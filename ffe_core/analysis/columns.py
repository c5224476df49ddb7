"""Indicators of long series without a loop over bars, to the bits of their steps in ``kernels``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ffe_core.analysis import kernels

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


#: its operations are those of columns as well
exact_sum: Any = kernels.exact_sum


def sma_columns(values: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """``batches.sma_batch`` of float64[n], finite: what sums one after the other in the loop does so here, too."""
    import numpy as np

    changes, rests = values.copy(), np.zeros(len(values))
    changes[period:], rests[period:] = exact_sum(values[period:], -values[: max(0, len(values) - period)])
    totals = np.add.accumulate(changes)
    _, lost = exact_sum(np.concatenate(([0.0], totals[:-1])), changes)
    means: NDArray[np.float64] = (totals + np.add.accumulate(rests + lost)) / period
    means[: period - 1] = np.nan
    return means
