"""Many courses of one market as columns: drawn into the same buffers again and again."""

from __future__ import annotations

from typing import Any

import numpy as np

from ffe_core.analysis.series import indicators_of
from ffe_lab.market import Market
from ffe_lab.trades import Floats, Indices

PRICES = ("open", "high", "low", "close", "volume")


class Courses:
    """Courses of a market, for rules that answer for many (``ffe_core.Columns``): a row each, at most ``room``.

    A column is made when somebody asks for it.
    """

    compiled = True

    def __init__(self, market: Market, room: int) -> None:
        self._market, self._room = market, room
        self._buffers: dict[str, Floats] = {}
        self._known: dict[tuple[Any, ...], Any] = {}
        self._factors: Floats = np.empty((0, len(market)))
        self.count = 0

    def move(self, factors: Floats) -> None:
        """From now on row k is the market with its traded bars times the row k of ``factors``, but for the volume."""
        self._known.clear()
        self._factors, self.count = factors, len(factors)

    def put(self, row: int, path: Floats) -> None:
        """From now on ``row`` and those before it are all there is; ``path`` has the rows of ``PRICES``."""
        self._known.clear()
        self.count = row + 1
        for name, column in zip(PRICES, path, strict=True):
            self._buffer(name)[row] = column

    @property
    def time(self) -> Indices:
        return self._market.time

    def price(self, name: str) -> Floats:
        """Read-only float64[count, bars]."""
        key = (name,)
        if key not in self._known:
            self._known[key] = self._made(name)
        made: Floats = self._known[key]
        return made

    def indicator(self, name: str, **params: float) -> Floats:
        """Read-only float64[count, bars]. Raises like ``CandleSeries.indicator``."""
        key = (name, *sorted(params.items()))
        if key not in self._known:
            for other, column in indicators_of(name, params, self.price, compiled=True).items():
                self._known[(other, *key[1:])] = column
        made: Floats = self._known[key]
        return made

    def _made(self, name: str) -> Floats:
        first, column = self._market.first, self._buffer(name)[: self.count]
        if len(self._factors) and name != "volume":
            np.multiply(getattr(self._market, name)[first:], self._factors, out=column[:, first:])
        view = column.view()
        view.flags.writeable = False
        return view

    def _buffer(self, name: str) -> Floats:
        if name not in self._buffers:
            self._buffers[name] = np.tile(getattr(self._market, name), (self._room, 1))
        return self._buffers[name]
