"""What the lab's tests share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ffe_lab.costs import Costs
from ffe_lab.gate import Calls
from ffe_lab.lab import Lab
from ffe_lab.market import Market, candles_of
from ffe_lab.simulate import Setup, Simulation, simulate
from ffe_lab.trades import Trades
from hypothesis import settings

from ffe_core import Asset, Instrument
from ffe_core.builtin.executors import Processes
from ffe_core.risk.sizing import Exits, Kelly, SizingRules

# Examples take as long as the machine is busy, also where these tests run alone.
settings.register_profile("ffe", deadline=None)
settings.load_profile("ffe")

ROOT = Path(__file__).resolve().parents[3]
#: read here once, because no test may take it for a setting of ffe
DATA_FOLDER = os.environ.get("FFE_TEST_DATA", "")


@pytest.fixture
def lab(ffe_home: Path) -> Lab:
    """A bench with the settings and plugins of a newcomer, and a trial ledger of its own."""
    return Lab.from_settings()


@pytest.fixture(scope="session")
def processes() -> Iterator[Processes]:
    """Two workers that are up for all tests: each takes seconds to import what it runs."""
    with Processes(2) as made:
        yield made


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real candles: ``$FFE_TEST_DATA``, else ``shared/data`` beside or inside the checkout."""
    places = [Path(DATA_FOLDER)] if DATA_FOLDER else [ROOT.parent / "shared" / "data", ROOT / "shared" / "data"]
    for place in places:
        if place.is_dir():
            return place
    pytest.skip("no market data: set FFE_TEST_DATA to a folder of candle files, or put one at shared/data")


@pytest.fixture(scope="session")
def walk() -> Callable[..., pd.DataFrame]:
    """``walk(bars, seed, freq)``: a seeded random walk; highs and lows reach beyond both opens and closes."""

    def made(bars: int = 1500, seed: int = 7, freq: str = "h") -> pd.DataFrame:
        rng = np.random.Generator(np.random.Philox(key=seed))
        close = 100 * np.exp(np.cumsum(rng.normal(0, 0.01, bars)))
        opened = np.append(100.0, close[:-1]) * np.exp(rng.normal(0, 0.001, bars))
        reach = np.abs(rng.normal(0, 0.004, (2, bars)))
        high, low = np.maximum(opened, close) * (1 + reach[0]), np.minimum(opened, close) * (1 - reach[1])
        index = pd.date_range("2022-01-03", periods=bars, freq=freq, tz="UTC")
        columns = {"open": opened, "high": high, "low": low, "close": close, "volume": rng.uniform(1, 9, bars)}
        return pd.DataFrame(columns, index=index)

    return made


FREE = Costs(fee=0.0, slippage=0.0)


def setup_of(
    *,
    sizing: str = "all_in",
    share: str = "0.01",
    stop: str = "0",
    target: str = "0",
    costs: Costs = FREE,
    allow_short: bool = False,
    leverage: float = 1.0,
    initial_balance: float = 10_000.0,
    concentration: str = "100",
    buying_power: str = "1",
) -> Setup:
    """An account without a gate, of which a test says everything that it does not leave at nothing."""
    exits = Exits(stop="fixed", fallback=Decimal(stop), target=Decimal(target))
    rules = SizingRules(
        exits=exits, method=sizing, risk=Decimal(share), kelly=Kelly(), max_concentration=Decimal(concentration),
        max_leverage=Decimal(100), buying_power=Decimal(buying_power), fee=Decimal(repr(costs.fee)),
        allow_short=allow_short,
    )  # fmt: skip
    return Setup(sizing=rules, costs=costs, initial_balance=initial_balance, gate=False, leverage=leverage)


def instrument_of(asset: Asset, quantity_increment: str = "0.00000001", price_increment: str = "0.01") -> Instrument:
    steps = Decimal(quantity_increment), Decimal(price_increment)
    return Instrument(asset, *steps, steps[0], Decimal(0), asset.quote, can_short=True)


def require_same(one: Simulation, other: Simulation) -> None:
    """Fails where a single bit of two runs differs."""
    assert one.equity.tobytes() == other.equity.tobytes()
    for column in fields(Trades):
        assert getattr(one.trades, column.name).tobytes() == getattr(other.trades, column.name).tobytes(), column.name
    for name in ("exposure", "closed_market", "price_moved", "too_small", "ruined"):
        assert getattr(one, name) == getattr(other, name), name


@pytest.fixture(scope="session")
def play() -> Callable[..., Simulation]:
    """``play(bars, signals, ...)``: what the loop makes of hourly bars, in both of its forms, which have to agree.

    ``bars`` are (open, high, low, close), with volume where there is one; ``signals`` are actions by bar; ``hours``
    says when bars open where they do not follow each other; the rest is ``setup_of``'s.
    """

    def played(
        bars: Sequence[Sequence[float]],
        signals: Mapping[int, int],
        *,
        hours: Sequence[int] | None = None,
        first: int = 0,
        asset: str = "BTCUSD",
        price_increment: str = "0.01",
        **account: object,
    ) -> Simulation:
        rows = [(*bar, 0.0) if len(bar) == 4 else tuple(bar) for bar in bars]
        index = pd.Timestamp("2024-01-02T10:00Z") + pd.to_timedelta(list(hours or range(len(rows))), unit="h")
        frame = pd.DataFrame(rows, columns=["open", "high", "low", "close", "volume"], index=index)
        candles = candles_of(frame, asset=asset, timeframe="1h")
        action = np.zeros(len(rows), np.int8)
        action[list(signals)] = list(signals.values())
        calls = Calls(action, np.full(len(rows), 80, np.int8))
        setup = setup_of(**account)  # type: ignore[arg-type]
        instrument = instrument_of(candles.asset, price_increment=price_increment)
        plain, machine = (
            simulate(Market(candles, first, compiled=compiled), calls, setup, instrument) for compiled in (False, True)
        )
        require_same(plain, machine)
        return plain

    return played


@pytest.fixture(scope="session")
def same() -> Callable[[Simulation, Simulation], None]:
    return require_same
