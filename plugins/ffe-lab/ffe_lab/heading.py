"""What every result of the lab says first: which market, which decision maker, under which assumptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ffe_core import from_ms
from ffe_core.domain.clock import iso
from ffe_lab.assumptions import assumptions
from ffe_lab.backtest import Provider, name_of, record
from ffe_lab.market import Market
from ffe_lab.returns import MetricsBasis
from ffe_lab.simulate import Setup

#: the label of numbers that were looked for where they were found
IN_SAMPLE = "IN-SAMPLE"


def heading(
    market: Market, provider: Provider, params: Mapping[str, Any], setup: Setup, basis: MetricsBasis
) -> dict[str, Any]:
    """The first keys of ``ffe backtest --json``, for the other experiments."""
    first = market.first
    return {
        "asset_pair": market.asset.symbol,
        "timeframe": market.timeframe.value,
        "start": iso(from_ms(int(market.time[first]))),
        "end": iso(from_ms(int(market.closes[-1]))),
        "source": market.candles.source,
        "synthetic": market.candles.synthetic,
        "provider": name_of(provider),
        "params": dict(params),
        "assumptions": list(assumptions(market, setup)),
        "fingerprint": market.candles.fingerprint,
        "metrics_basis": record(basis),
    }
