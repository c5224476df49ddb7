"""What the lab's tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from ffe_lab.lab import Lab
from hypothesis import settings

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
