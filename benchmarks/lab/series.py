"""The bars of the lab's benchmarks: seeded ones of any length, and the real hourly file where it is present."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

type Columns = dict[str, NDArray[Any]]

HOURLY = "BTCUSD_1h_20200101_20231231.parquet"
HOURLY_BARS = 35_058
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
_BEGIN_MS = 1_577_836_800_000  # 2020-01-01


def seeded(rows: int, seed: int = 1, step_ms: int = MINUTE_MS) -> Columns:
    """Bars that trend for some hours at a time, so that a rule which follows trends does not trade itself to ruin.

    On a plain random walk ten thousand trades at 0.2 % leave nothing of any account, and the peers stop trading.
    Prices are not rounded: averages never tie, so that no peer's last digit decides about a trade.
    """
    chance = np.random.default_rng(seed)
    lengths = chance.geometric(1 / 240, rows // 120 + 100)
    drift = np.repeat(chance.choice((-1.0, 1.0), lengths.size) * 6.5e-5, lengths)[:rows]
    close = 20_000.0 * np.exp(np.cumsum(drift + chance.normal(0.0, 2.5e-4, rows)))
    opened = np.concatenate([close[:1], close[:-1]]) * (1.0 + chance.normal(0.0, 2e-5, rows))
    reach = 1.0 + np.abs(chance.normal(0.0, 2e-4, (2, rows)))
    return {
        "time": _BEGIN_MS + step_ms * np.arange(rows, dtype=np.int64),
        "open": opened,
        "high": np.maximum(opened, close) * reach[0],
        "low": np.minimum(opened, close) / reach[1],
        "close": close,
        "volume": chance.lognormal(2.0, 1.0, rows),
    }


def data_folder() -> Path | None:
    """Where real candles lie, found as the tests find them."""
    checkout = Path(__file__).parents[2]
    given = os.environ.get("FFE_TEST_DATA")
    places = [Path(given)] if given else [checkout.parent / "shared" / "data", checkout / "shared" / "data"]
    return next((place for place in places if place.is_dir()), None)


def hourly() -> tuple[str, Columns]:
    """Four years of hourly bars and what they are: the real ones where they are present, else as many seeded ones."""
    folder = data_folder()
    if folder is None:
        return "seeded hourly bars", seeded(HOURLY_BARS, 3, HOUR_MS)
    import pyarrow.parquet as parquet

    table = parquet.read_table(folder / HOURLY)
    columns: Columns = {name: table[name].to_numpy() for name in ("open", "high", "low", "close", "volume")}
    return "real hourly bars", {
        "time": table["timestamp"].to_numpy().astype("datetime64[ms]").view(np.int64),
        **columns,
    }


def write(path: Path, columns: Columns) -> str:
    np.savez(path, **columns)  # type: ignore[arg-type]
    return str(path)


def read(path: str) -> Columns:
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}
