"""What the stand-in has to tell: waves for prices, rows as the service writes them, articles and figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

EASTERN = ZoneInfo("US/Eastern")
#: a Wednesday in winter, noon in New York
NOON = datetime(2024, 3, 6, 17, 0, tzinfo=UTC)
MINUTES = {"1min": 1, "5min": 5, "15min": 15, "30min": 30, "60min": 60}
STOCKS = ("AAPL", "IBM", "BRK.B")
COINS = ("BTC", "ETH")
CURRENCIES = ("EUR", "USD", "JPY", "GBP")
#: nothing is older
FIRST = date(2022, 1, 3)


class Market:
    """``at`` tells the time; nothing later is told."""

    def __init__(self, at: Callable[[], datetime]) -> None:
        self.at = at
        #: coins in the style with each price twice
        self.old_style = False

    # rows, newest first

    def stock_days(self, symbol: str) -> dict[str, dict[str, str]]:
        now = self.at().astimezone(EASTERN)
        days = [day for day in _days(now.date()) if day.weekday() < 5]
        if days and days[0] == now.date() and now.time() < time(9, 30):
            days = days[1:]
        return {day.isoformat(): row(symbol, _noon(day), volume=True) for day in days}

    def currency_days(self, pair: str) -> dict[str, dict[str, str]]:
        return {day.isoformat(): row(pair, _noon(day)) for day in _days(self.at().date()) if day.weekday() != 5}

    def coin_days(self, coin: str, market: str) -> dict[str, dict[str, str]]:
        days = list(_days(self.at().date()))[:400]
        return {day.isoformat(): self._coin_row(coin, market, _noon(day)) for day in days}

    def stock_bars(self, symbol: str, interval: str, month: str | None, *, extended: bool) -> dict[str, dict[str, str]]:
        step = timedelta(minutes=MINUTES[interval])
        now = self.at().astimezone(EASTERN)
        begins, ends = (time(4), time(20)) if extended else (time(9, 30), time(16))
        rows: dict[str, dict[str, str]] = {}
        for day in _days(now.date()):
            if day.weekday() > 4 or (month is not None and f"{day:%Y-%m}" != month):
                continue
            if month is None and now.date() - day > timedelta(days=30):
                break
            opened = datetime.combine(day, begins)
            stamps = [opened + step * index for index in range(16 * 60) if (opened + step * index).time() < ends]
            for stamp in reversed([each for each in stamps if each.date() == day]):
                if stamp.replace(tzinfo=EASTERN) <= now:
                    at = stamp.replace(tzinfo=EASTERN).astimezone(UTC)
                    rows[f"{stamp:%Y-%m-%d %H:%M:%S}"] = row(symbol, at, volume=True)
        return rows

    def bars(self, name: str, interval: str, *, volume: bool) -> dict[str, dict[str, str]]:
        step = timedelta(minutes=MINUTES[interval])
        now = self.at()
        newest = now - (now - datetime(1970, 1, 1, tzinfo=UTC)) % step
        stamps = [newest - step * index for index in range(1000)]
        return {f"{stamp:%Y-%m-%d %H:%M:%S}": row(name, stamp, volume=volume) for stamp in stamps}

    def _coin_row(self, coin: str, market: str, at: datetime) -> dict[str, str]:
        new = row(coin + market, at, volume=True)
        if not self.old_style:
            return new
        told = {name.partition(". ")[2]: value for name, value in new.items()}
        rate = 2
        twice = {
            f"{number}{letter}. {name} ({currency})": f"{float(told[name]) * factor:.8f}"
            for number, name in enumerate(("open", "high", "low", "close"), 1)
            for letter, currency, factor in (("a", market, 1), ("b", "USD" if market != "USD" else "CNY", rate))
        }
        return {**twice, "5. volume": told["volume"], "6. market cap (USD)": "1.0"}

    # articles and figures

    def articles(self) -> list[dict[str, Any]]:
        """One every six hours, newest first."""
        newest = self.at().replace(minute=0, second=0, microsecond=0)
        return [
            article(
                newest - timedelta(hours=6 * index),
                f"Headline {index}",
                score=0.4 if index % 2 else 0.1,
                topics=["Technology", "Earnings"] if index % 3 else ["Technology"],
            )
            for index in range(40)
        ]

    def figures(self, months: int) -> list[dict[str, str]]:
        """A figure for each period that is over, newest first; of the newest but one nothing is known."""
        told: list[dict[str, str]] = []
        year, month = self.at().year, (self.at().month - 1) // months * months + 1
        while len(told) < 40:
            year, month = (year, month - months) if month > months else (year - 1, 12 + month - months)
            value = "." if len(told) == 1 else f"{(year - 2000) + month / 100:.2f}"
            told.append({"date": f"{year}-{month:02}-01", "value": value})
        return told


def article(
    published: datetime,
    title: str,
    *,
    score: float = 0.0,
    topics: list[str] | None = None,
    tickers: tuple[str, ...] = ("AAPL", "IBM", "CRYPTO:BTC", "FOREX:EUR"),
) -> dict[str, Any]:
    """As the service writes one: an article's score is a number, those of its tickers are texts."""
    return {
        "title": title,
        "url": "https://news.example/1",
        "time_published": f"{published:%Y%m%dT%H%M%S}",
        "authors": [],
        "summary": "A summary.",
        "banner_image": None,
        "source": "Example Wire",
        "category_within_source": "n/a",
        "source_domain": "news.example",
        "topics": [{"topic": each, "relevance_score": "0.5"} for each in topics or []],
        "overall_sentiment_score": score,
        "overall_sentiment_label": "Neutral",
        "ticker_sentiment": [
            {
                "ticker": each,
                "relevance_score": "0.31",
                "ticker_sentiment_score": "0.12",
                "ticker_sentiment_label": "Neutral",
            }
            for each in tickers
        ],
    }


def row(name: str, at: datetime, *, volume: bool = False) -> dict[str, str]:
    """A bar that opens at ``at``: a wave around a price that hangs on the name."""
    base = 1.0 + sum(map(ord, name)) % 7 if len(name) == 6 and name[:3] in CURRENCIES else 100.0 + len(name)
    hours = (at - datetime(2020, 1, 1, tzinfo=UTC)) / timedelta(hours=1)
    open_, close = (base * (1 + 0.1 * math.sin((hours + ahead) / 300)) for ahead in (0, 1))
    prices = (open_, max(open_, close) * 1.001, min(open_, close) * 0.999, close)
    told = {
        f"{index}. {field}": f"{price:.6f}" for index, (field, price) in enumerate(zip(_FIELDS, prices, strict=True), 1)
    }
    return told | ({"5. volume": str(1000 + round(hours) % 50)} if volume else {})


_FIELDS = ("open", "high", "low", "close")


def _days(last: date) -> Iterator[date]:
    day = last
    while day >= FIRST:
        yield day
        day -= timedelta(days=1)


def _noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)
