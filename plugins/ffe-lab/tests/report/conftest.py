"""A run to report on, from a seeded random walk, and a real browser to look at it with."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

type Data = dict[str, Any]

START = datetime(2021, 3, 1, tzinfo=UTC)
FEE = 0.001


def walk(bars: int, seed: int) -> dict[str, NDArray[Any]]:
    """Hourly candles of a random walk."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    close = 30_000 * np.exp(np.cumsum(rng.normal(0.00003, 0.006, bars)))
    opens = np.concatenate(([30_000.0], close[:-1]))
    air = np.abs(rng.normal(0, 0.002, (2, bars)))
    start = int(START.timestamp() * 1000)
    return {
        "time": start + np.arange(bars, dtype=np.int64) * 3_600_000,
        "open": opens,
        "high": np.maximum(opens, close) * (1 + air[0]),
        "low": np.minimum(opens, close) * (1 - air[1]),
        "close": close,
    }


def crossings(close: NDArray[np.float64], fast: int, slow: int) -> list[tuple[int, int]]:
    """Bars at whose close the fast mean is above the slow one, as runs ``(first, last)``."""
    sums = np.concatenate(([0.0], np.cumsum(close)))
    above = np.zeros(len(close), dtype=bool)
    at = np.arange(slow, len(close))
    above[slow:] = (sums[at + 1] - sums[at + 1 - fast]) / fast > (sums[at + 1] - sums[at + 1 - slow]) / slow
    edges = np.flatnonzero(np.diff(above.astype(np.int8))) + 1
    starts = [int(edge) for edge in edges if above[edge]]
    ends = [int(edge) for edge in edges if not above[edge] and starts and edge > starts[0]]
    return list(zip(starts, [*ends, len(close) - 1], strict=False))


def stamp(candles: dict[str, NDArray[Any]], bar: int) -> str:
    return f"{START + timedelta(hours=bar):%Y-%m-%dT%H:%M:%SZ}"


def sampled(bars: int = 24 * 120, *, seed: int = 7, fast: int = 24, slow: int = 120) -> tuple[Data, Data, list[Data]]:
    """``(data, candles, decisions)`` of a run that is long while the fast mean is above the slow one."""
    candles = walk(bars, seed)
    close, opens = candles["close"], candles["open"]
    equity, cash = np.full(bars, 10_000.0), 10_000.0
    trades: list[Data] = []
    for first, last in crossings(close, fast, slow):
        into, out = min(first + 1, bars - 1), min(last + 1, bars - 1)
        if out <= into:
            continue
        units = cash / (opens[into] * (1 + FEE))
        equity[into:out] = units * close[into:out]
        after = units * opens[out] * (1 - FEE)
        trades.append(
            {
                "side": "long",
                "entry_time": stamp(candles, into),
                "exit_time": stamp(candles, out),
                "entry_price": float(opens[into]),
                "exit_price": float(opens[out]),
                "quantity": float(units),
                "fees": float(units * (opens[into] + opens[out]) * FEE),
                "pnl": float(after - cash),
                "pnl_fraction": float(after / cash - 1),
                "exit_reason": "open_at_end" if out == bars - 1 else ("signal", "stop", "target")[len(trades) % 3],
            }
        )
        cash = after
        equity[out:] = cash
    data: Data = {
        "asset_pair": "BTCUSD",
        "timeframe": "1h",
        "start": stamp(candles, 0),
        "end": stamp(candles, bars),
        "provider": "sma_cross",
        "params": {"fast": fast, "slow": slow},
        "assumptions": [
            "Signals are decided at the close of a bar and filled at the open of the next one.",
            "Inside a bar: pending orders at the open, then the stop, then the target, then the close.",
            "A gap through a stop or a target fills at the open.",
            "Fees are 0.10 % of each fill, slippage is 0.01 % against the order.",
            "Size: all equity, fees included. No risk rules were asked (--no-gate).",
            "Short positions are not opened.",
            "A position that is open at the end is valued at the last close.",
        ],
        "fingerprint": "sha256:2b7c1e4f0f0e6c55a7f1b1b7b0d5f6f3d6a9ec3f3a4f1a5f9f0b6bb0a1a2c3d4",
        "metrics_basis": {
            "periods_per_year": 365,
            "risk_free": 0.0,
            "frequency": "1d",
            "formula": "mean(r - rf) / std(r - rf, ddof 1) * sqrt(365)",
        },
        "metrics": measured(equity, trades),
        "intervals": {"total_return": [-0.42, 1.31], "sharpe": [-0.81, 1.64], "max_drawdown": [0.21, 0.66]},
        "baselines": {
            "buy_and_hold": measured(10_000 * close / close[0], []) | {"total_trades": 1},
            "always_hold": measured(np.full(bars, 10_000.0), []),
            "buy_and_hold_same_exposure": measured(10_000 * (1 + (close / close[0] - 1) / 2), []) | {"total_trades": 1},
            "random_entry": measured(10_000 * (walk(bars, seed + 1)["close"] / 30_000) ** 0.5, [])
            | {"total_trades": len(trades)},
        },
        "trades": trades,
        "equity": [{"time": stamp(candles, bar + 1), "value": float(equity[bar])} for bar in range(bars)],
    }
    data["cost_sensitivity"] = [
        {"name": name, "fee": fee, "slippage": slip, "metrics": data["metrics"] | {"total_return": result}}
        for name, fee, slip, result in (
            ("as run", 0.001, 0.0001, data["metrics"]["total_return"]),
            ("twice the cost", 0.002, 0.0002, -0.21),
            ("taker fee of the venue", 0.006, 0.0001, -0.83),
            ("break-even cost", 0.00131, 0.00013, 0.0),
        )
    ]
    data["trades"] = [as_printed(trade) for trade in trades]
    return data, candles, [decided(trade, at) for at, trade in enumerate(trades)]


def as_printed(trade: Data) -> Data:
    """The trade as JSON has it: amounts of money as text."""
    amounts = ("entry_price", "exit_price", "quantity", "fees", "pnl")
    return trade | {name: f"{trade[name]:.8f}" for name in amounts}


def measured(equity: NDArray[np.float64], trades: list[Data]) -> Data:
    """Metrics enough for a page; what they are worth is tested where they are computed."""
    days = np.concatenate(([10_000.0], equity[23::24]))
    returns = days[1:] / days[:-1] - 1
    spread = float(returns.std(ddof=1)) if len(returns) > 1 else 0.0
    pnl = np.array([trade["pnl"] for trade in trades])
    total = float(equity[-1] / 10_000 - 1)
    annual = float((1 + total) ** (365.25 * 24 / len(equity)) - 1)
    deep = float((1 - equity / np.maximum.accumulate(equity)).max())
    sharpe = float(returns.mean() / spread * 365**0.5) if spread and len(returns) >= 30 else None
    return {
        "initial_balance": 10_000.0,
        "final_value": float(equity[-1]),
        "total_return": total,
        "annual_return": annual,
        "annual_volatility": spread * 365**0.5,
        "sharpe": sharpe,
        "sortino": None if sharpe is None else sharpe * 1.4,
        "calmar": annual / deep if deep else None,
        "max_drawdown": deep,
        "max_drawdown_bars": 4112,
        "recovery_factor": total / deep if deep else None,
        "ulcer_index": deep / 2,
        "var_95": 0.031,
        "var_99": 0.058,
        "es_95": 0.044,
        "es_99": 0.071,
        "total_trades": len(trades),
        "winning_trades": int((pnl > 0).sum()),
        "losing_trades": int((pnl < 0).sum()),
        "break_even_trades": int((pnl == 0).sum()),
        "win_rate": float((pnl > 0).mean()) if trades else None,
        "average_win": float(pnl[pnl > 0].mean()) if (pnl > 0).any() else None,
        "average_loss": float(pnl[pnl < 0].mean()) if (pnl < 0).any() else None,
        "profit_factor": float(-pnl[pnl > 0].sum() / pnl[pnl < 0].sum()) if (pnl < 0).any() else None,
        "total_fees": float(sum(trade["fees"] for trade in trades)),
        "exposure": 0.53,
        "psr": None if sharpe is None else 0.71,
        "dsr": None if sharpe is None else 0.38,
        "trials": 24,
    }


def decided(trade: Data, at: int) -> Data:
    return {
        "time": trade["entry_time"],
        "action": "BUY",
        "confidence": 60 + at % 30,
        "votes": [
            {
                "provider": "sma_cross",
                "action": "BUY",
                "confidence": 70,
                "reasoning": "SMA(24) crossed above SMA(120): the short mean leads, and volume agrees.",
            },
            {"provider": "rsi_reversion", "action": "HOLD", "confidence": 50, "reasoning": "RSI 54 is neither."},
        ],
        "rulings": [{"rule": "concentration", "outcome": "passed", "reason": "24 % of equity"}],
    }


@pytest.fixture(scope="session")
def sample() -> tuple[Data, Data, list[Data]]:
    return sampled()


@pytest.fixture(scope="session")
def make_sample() -> Callable[..., tuple[Data, Data, list[Data]]]:
    return sampled


def _missing(what: str) -> None:
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"{what} is missing, and no page can be looked at: apt-get install chromium chromium-driver")
    pytest.skip(f"needs {what}: apt-get install chromium chromium-driver")


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """Chromium without a window, which writes down what it complained of and what it asked the network for."""
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    driver = shutil.which("chromedriver")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if driver is None or program is None:
        _missing("chromedriver" if driver is None else "Chromium")
    options = ChromeOptions()
    options.binary_location = str(program)
    profile = tmp_path_factory.mktemp("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = Chrome(options=options, service=Service(driver, log_output=os.devnull))
    # the page that a new window shows asks for much of its own
    chrome.get("about:blank")
    yield chrome
    chrome.quit()
