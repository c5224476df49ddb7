"""Instants as people write them on a command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Literal

import click

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class Instant(click.ParamType[datetime]):
    """An ISO 8601 instant with its zone: an hour that could be any of twenty-four is no instant.

    With ``dates`` a date of UTC will do too: its ``first`` instant, or the first ``after`` it.
    """

    name = "instant"

    def __init__(self, dates: Literal["first", "after"] | None = None) -> None:
        self.dates = dates

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        text = str(value).strip()
        also = "2023-06-01 or " if self.dates else ""
        try:
            if self.dates and _DATE.fullmatch(text):
                day = datetime.fromisoformat(text).replace(tzinfo=UTC)
                return day + timedelta(days=self.dates == "after")
            instant = datetime.fromisoformat(text)
            if instant.tzinfo is None:
                self.fail(f"{text!r} has no time zone; write it like {also}2023-06-01T00:00:00Z", param, ctx)
            return instant.astimezone(UTC)
        except (ValueError, OverflowError):
            self.fail(f"{text!r} is no instant; write it like {also}2023-06-01T00:00:00Z", param, ctx)
