"""News and their sentiment. Titles are strangers' words; only numbers and known topics leave their envelope."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from ffe_alphavantage.api import Api, Nothing
from ffe_core import Asset, AssetKind, BadData, NoData, Note, Trust

ORIGIN = "alphavantage"
#: beyond this the mean of the scores leans to a side
BAND = Decimal("0.15")
TITLE = 200
TOPICS = 3
#: an instant this near to now is the present: the newest articles are asked for, whoever asks within it
PRESENT = timedelta(minutes=15)
#: topics as articles carry them: what is not among them is somebody's text and not repeated
KNOWN_TOPICS = frozenset(
    [
        "Blockchain",
        "Earnings",
        "Economy - Fiscal",
        "Economy - Fiscal Policy",
        "Economy - Macro",
        "Economy - Macroeconomic",
        "Economy - Monetary",
        "Economy - Monetary Policy",
        "Energy & Transportation",
        "Finance",
        "Financial Markets",
        "IPO",
        "Life Sciences",
        "Manufacturing",
        "Mergers & Acquisitions",
        "Real Estate",
        "Real Estate & Construction",
        "Retail & Wholesale",
        "Technology",
    ]
)


@dataclass(frozen=True, slots=True)
class Article:
    """``score`` is the service's own, from -1 (bearish) to 1 (bullish)."""

    published: datetime
    title: str
    source: str
    score: Decimal
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Sentiment:
    """What ``count`` articles come to: ``score`` is the mean of theirs, ``topics`` their three most frequent."""

    overall: str
    score: Decimal
    count: int
    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class News:
    """The newest articles of a span, newest first; ``sentiment`` is ``None`` where there are none."""

    ticker: str
    articles: tuple[Article, ...]
    sentiment: Sentiment | None

    @property
    def notes(self) -> tuple[Note, ...]:
        """The measured summary, then an untrusted note for each article, known from when it was published."""
        if self.sentiment is None:
            return ()
        found = self.sentiment
        topics = f", mostly on {', '.join(found.topics)}" if found.topics else ""
        told = (
            f"news sentiment of {self.ticker}: {found.overall}, mean score {found.score:+.3f} "
            f"(-1 to 1) of {found.count} articles{topics}"
        )
        summary = Note(ORIGIN, Trust.MEASURED, self.articles[0].published, told)
        return (summary, *(_note(article) for article in self.articles))


def ticker_of(asset: Asset, symbols: Mapping[str, str] | None = None) -> str | None:
    """``CRYPTO:BTC``, ``FOREX:EUR`` (of a pair its base), ``AAPL``; ``None`` for what has no name there."""
    if asset.kind is AssetKind.CRYPTO:
        return f"CRYPTO:{asset.base}"
    if asset.kind is AssetKind.FOREX:
        return f"FOREX:{asset.base}"
    if asset.kind is AssetKind.STOCK or (not asset.quote and asset.symbol.isalpha()):
        return (symbols or {}).get(asset.symbol, asset.symbol)
    return None


def read_news(
    api: Api, asset: Asset, since: datetime, until: datetime, *, timeout: float | None = None, reserve: int = 0
) -> News:
    """The newest articles on ``asset`` that were published in ``[since, until)``. Raises what ``Api.ask`` does."""
    wanted = api.settings.news
    ticker = ticker_of(asset, api.settings.symbols)
    if ticker is None:
        raise NoData(f"alphavantage has no news of {asset}")
    params = {"function": "NEWS_SENTIMENT", "tickers": ticker, "sort": "LATEST", "limit": "50"}
    if wanted.topics:
        params["topics"] = ",".join(wanted.topics)
    if api.clock.now() - until > PRESENT:
        # Minutes are all that the service reads; what is beyond the span is left out below.
        params |= {"time_from": f"{since.astimezone(UTC):%Y%m%dT%H%M}", "time_to": _minute_after(until)}
    try:
        answer = api.ask(params, "feed", keep=wanted.keep, timeout=timeout, reserve=reserve)
    except Nothing:
        return News(ticker, (), None)
    articles = [each for each in parse_news(answer.body) if since <= each.published < until][: wanted.limit]
    return News(ticker, tuple(articles), sentiment_of(articles))


def sentiment_of(articles: Sequence[Article]) -> Sentiment | None:
    """``None`` of no articles: nothing said is not neutral."""
    if not articles:
        return None
    mean = sum((each.score for each in articles), Decimal(0)) / len(articles)
    overall = "bullish" if mean > BAND else "bearish" if mean < -BAND else "neutral"
    counted = Counter(topic for each in articles for topic in each.topics)
    # Ties by name, so that the order of an answer does not matter.
    most = sorted(counted, key=lambda topic: (-counted[topic], topic))[:TOPICS]
    return Sentiment(overall, mean, len(articles), tuple(most))


def parse_news(body: Mapping[str, Any]) -> list[Article]:
    """Articles, newest first, each once. Raises ``BadData`` where there are some and none can be read."""
    feed = body.get("feed")
    if not isinstance(feed, list):
        raise BadData("alphavantage: feed is no list")
    found: dict[tuple[datetime, str], Article] = {}
    for each in feed:
        article = _article(each)
        if article is not None:
            found.setdefault((article.published, article.title), article)
    if feed and not found:
        raise BadData(f"alphavantage: of {len(feed)} articles none can be read")
    return sorted(found.values(), key=lambda article: (article.published, article.title), reverse=True)


def _article(each: Any) -> Article | None:
    if not isinstance(each, dict):
        return None
    title, source = each.get("title"), each.get("source")
    published, score = _published(each.get("time_published")), _score(each.get("overall_sentiment_score"))
    if not isinstance(title, str) or not title.strip() or published is None or score is None:
        return None
    topics = each.get("topics")
    named = [topic.get("topic") for topic in topics if isinstance(topic, dict)] if isinstance(topics, list) else []
    return Article(
        published=published,
        title=" ".join(title.split())[:TITLE],
        source=" ".join(source.split())[:40] if isinstance(source, str) else "",
        score=score,
        topics=tuple(dict.fromkeys(name for name in named if isinstance(name, str) and name in KNOWN_TOPICS)),
    )


def _published(value: Any) -> datetime | None:
    if not isinstance(value, str) or not re.fullmatch(r"\d{8}T\d{4}(\d\d)?", value, re.ASCII):
        return None
    try:
        return datetime.strptime(value.ljust(15, "0"), "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def _score(value: Any) -> Decimal | None:
    if isinstance(value, str) and re.fullmatch(r"-?\d{1,2}(\.\d{1,30})?", value, re.ASCII):
        value = Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    score = Decimal(value)
    return score if -1 <= score <= 1 else None


def _note(article: Article) -> Note:
    said = f"{article.title} ({article.source})" if article.source else article.title
    return Note(ORIGIN, Trust.UNTRUSTED, article.published, f"{said}; sentiment {article.score:+.2f}")


def _minute_after(at: datetime) -> str:
    return f"{at.astimezone(UTC) + timedelta(minutes=1):%Y%m%dT%H%M}"
