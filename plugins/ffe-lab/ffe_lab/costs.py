"""What trading costs in a simulation: the user's own flat rates, or a model of what venues really take.

The scalar functions are written for floats and for numba alike; the loop calls them on every fill.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from ffe_core import Asset, AssetKind, UsageError

if TYPE_CHECKING:
    from ffe_core.settings import Settings

#: base slippage of the realistic model: the deepest markets, the major pairs, everything else
_DEEP, _MAJOR, _OTHER = 0.0002, 0.0001, 0.0005
_DEEP_BASES = frozenset(("BTC", "ETH"))
_MAJOR_PAIRS = frozenset("EURUSD GBPUSD USDJPY USDCHF AUDUSD USDCAD NZDUSD EURGBP EURJPY GBPJPY".split())
#: what an order's size adds, by notional
_SMALL, _MEDIUM, _LARGE = 0.00005, 0.0001, 0.0003
_THIN_HOURS = frozenset((20, 21, 22, 23, 0, 1, 2))
_THIN_FACTOR = 1.5
_LARGEST_IMPACT = 0.05
#: what a forced sale pays of the usual slippage
LIQUIDATION_FACTOR = 3.0
#: of the time from decision to fill, in seconds: lognormal
LATENCY_MEDIAN, LATENCY_SIGMA = 0.5, 0.6
MODELS = ("basic", "realistic")
#: taker and maker fee by the venue that usually trades a kind of asset
FEE_TIERS = {AssetKind.CRYPTO: (0.004, 0.0025), AssetKind.FOREX: (0.001, 0.001)}
DEFAULT_TIER = (0.001, 0.001)


@dataclass(frozen=True, slots=True)
class Costs:
    """``fee`` and ``slippage`` are fractions of a fill's value and price, ``commission`` an amount per fill.

    ``maker`` is the fee of a target, which is a limit order; unset it is ``fee``. ``model`` basic takes ``slippage`` as
    it is; realistic reckons it from the asset, the size, the hour and the volume, and lets orders arrive late.
    """

    fee: float = 0.001
    slippage: float = 0.0001
    commission: float = 0.0
    maker: float | None = None
    model: str = "basic"
    impact: float = 0.01

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise UsageError(f"execution model {self.model!r} is none of {', '.join(MODELS)}")
        for name in ("fee", "slippage"):
            if not 0 <= getattr(self, name) < 0.5:
                raise UsageError(f"{name} {getattr(self, name)} is no fraction below 0.5")
        if not 0 <= self.commission < float("inf") or not 0 <= self.impact < float("inf"):
            raise UsageError("commission and impact are amounts of at least 0")

    @classmethod
    def of(cls, settings: Settings) -> Self:
        held = settings.costs
        return cls(held.fee, held.slippage, float(held.commission))

    @classmethod
    def tiered(cls, kind: AssetKind, **changes: object) -> Self:
        """The fees of the venue that usually trades such an asset."""
        taker, maker = FEE_TIERS.get(kind, DEFAULT_TIER)
        return replace(cls(fee=taker, maker=maker), **changes)  # type: ignore[arg-type]

    @property
    def maker_fee(self) -> float:
        return self.fee if self.maker is None else self.maker

    def base(self, asset: Asset) -> float:
        """Slippage before size, hour and volume."""
        if self.model == "basic":
            return self.slippage
        if asset.base in _DEEP_BASES:
            return _DEEP
        return _MAJOR if asset.symbol in _MAJOR_PAIRS else _OTHER

    def scaled(self, factor: float) -> Self:
        """The same model at ``factor`` times the cost."""
        maker = None if self.maker is None else self.maker * factor
        return replace(
            self,
            fee=min(self.fee * factor, 0.499),
            slippage=min(self.slippage * factor, 0.499),
            commission=self.commission * factor,
            maker=maker,
        )


def realistic_slippage(base: float, notional: float, hour: float, traded: float, impact: float) -> float:
    """The fraction that a market order of ``notional`` loses: base and size by the hour, and what it moves the price.

    ``hour`` is 1.5 where the market is thin; ``traded`` is what the whole bar was worth, 0 where volume is unknown.
    """
    size = _SMALL if notional < 1000.0 else _MEDIUM if notional < 10000.0 else _LARGE
    moved = notional / traded * impact if traded > 0.0 else 0.0
    return (base + size) * hour + (moved if moved < _LARGEST_IMPACT else _LARGEST_IMPACT)


def thin_hours(time: NDArray[np.int64]) -> NDArray[np.float64]:
    """1.5 for bars that open from 20 to 2 o'clock UTC, else 1."""
    hours = time // 3_600_000 % 24
    thin = np.isin(hours, np.array(sorted(_THIN_HOURS)))
    return np.where(thin, _THIN_FACTOR, 1.0)


def delays(bars: int, bar_ms: int, seed: int) -> NDArray[np.int64]:
    """How many bars late an order decided on at each bar arrives: 0 wherever its latency lies within the next bar."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    latency_ms = 1000.0 * LATENCY_MEDIAN * np.exp(rng.normal(0.0, LATENCY_SIGMA, bars))
    return (latency_ms // bar_ms).astype(np.int64)
