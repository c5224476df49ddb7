"""What a data source must do."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

from ffe_core.domain.assets import Asset, Timeframe
from ffe_core.domain.clock import from_ms, to_ms
from ffe_core.domain.market import COLUMNS, Candles, Quote
from ffe_core.errors import DataError, NoData
from ffe_core.ports import DataSource, QuoteSource
from ffe_core.testing.contracts.base import Contract, ContractBroken, broken, not_applicable, require

BARS = 60


class DataSourceContract(Contract):
    """Candles are of the asset and frame asked for, in order, within the span, and the same twice.

    ``asset`` and ``timeframe`` must be served, with at least four bars. ``unknown_asset`` is one that is not there
    (``None`` for a source that has every asset). ``failing``, where given, makes a source whose upstream fails.
    """

    port = DataSource
    factory: ClassVar[Callable[[], DataSource]]
    failing: ClassVar[Callable[[], DataSource] | None] = None
    asset: ClassVar[str] = "BTCUSD"
    timeframe: ClassVar[Timeframe] = Timeframe.H1
    unknown_asset: ClassVar[str | None] = "ZZZZZZUSD"

    def read(
        self,
        source: DataSource | None = None,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        limit: int | None = BARS,
    ) -> Candles:
        """The candles of the contract's asset and timeframe."""
        asked = source or self.make()
        found: Any = asked.candles(Asset.parse(self.asset), self.timeframe, start=start, end=end, limit=limit)
        if not isinstance(found, Candles):
            broken(f"candles() returned {type(found).__name__}, not Candles")
        return found

    def read_span(self) -> Candles:
        whole = self.read()
        require(len(whole) >= 4, f"{len(whole)} bars are too few to try a span on; the contract needs four")
        return whole

    def test_it_serves_the_asset_that_it_is_tried_with(self) -> None:
        served = self.make().serves(Asset.parse(self.asset))
        require(served is True, f"serves({self.asset}) is {served!r}")

    def test_candles_are_of_the_asset_and_timeframe_asked_for(self) -> None:
        source = self.make()
        found = self.read(source)
        require(found.asset.symbol == Asset.parse(self.asset).symbol, f"asked for {self.asset}, got {found.asset}")
        require(found.timeframe is self.timeframe, f"asked for {self.timeframe}, got {found.timeframe}")
        require(found.source == source.name, f"candles say source {found.source!r}, the source is {source.name!r}")
        require(len(found) > 0, "an empty series is no answer: raise NoData")

    def test_stamps_are_strictly_increasing(self) -> None:
        times = list(self.read().time)
        for earlier, later in itertools.pairwise(times):
            require(earlier < later, f"bar {from_ms(later)} follows {from_ms(earlier)}")

    def test_stamps_are_utc_opens_on_the_grid_of_the_timeframe(self) -> None:
        if self.timeframe is Timeframe.D1:
            not_applicable("a day begins where the source's boundary says")
        for stamp in self.read().time:
            off = stamp - self.timeframe.open_of(stamp)
            require(off == 0, f"bar {from_ms(stamp)} opens {off} ms off the {self.timeframe} grid in UTC")

    def test_prices_are_finite_positive_and_consistent(self) -> None:
        found = self.read()
        for index, stamp in enumerate(found.time):
            bar = {name: float(getattr(found, name)[index]) for name in COLUMNS}
            where = f"bar {from_ms(stamp)} {bar}"
            require(all(math.isfinite(value) for value in bar.values()), f"{where}: not finite")
            require(min(bar[name] for name in COLUMNS[:4]) > 0, f"{where}: a price is not above zero")
            require(bar["volume"] >= 0, f"{where}: negative volume")
            require(bar["low"] <= min(bar["open"], bar["close"]), f"{where}: the low is not the lowest")
            require(bar["high"] >= max(bar["open"], bar["close"]), f"{where}: the high is not the highest")

    def test_bars_open_within_start_and_end_and_none_is_left_out(self) -> None:
        whole = self.read_span()
        first, last = len(whole) // 4, len(whole) * 3 // 4
        start, end = from_ms(whole.time[first]), from_ms(whole.time[last])
        found = self.read(start=start, end=end, limit=None)
        wanted, got = list(whole.time[first:last]), list(found.time)
        early = [stamp for stamp in got if stamp < to_ms(start)]
        late = [stamp for stamp in got if stamp >= to_ms(end)]
        require(not early, f"start {start}: {len(early)} bars open before it")
        require(not late, f"end {end}: {len(late)} bars open at or after it")
        require(got == wanted, f"between {start} and {end} there are {len(wanted)} bars, {len(got)} came")

    def test_the_limit_keeps_the_last_bars(self) -> None:
        whole = self.read_span()
        found = self.read(end=from_ms(whole.time[-1]), limit=2)
        require(len(found) <= 2, f"limit 2 gave {len(found)} bars")
        wanted = list(whole.time[-3:-1])
        require(list(found.time) == wanted, "limit 2 did not give the last two bars before the end")

    def test_an_empty_span_holds_no_bars(self) -> None:
        at = from_ms(self.read().time[-1])
        try:
            found = self.read(start=at, end=at, limit=None)
        except NoData:
            return
        require(len(found) == 0, f"a span without length gave {len(found)} bars")

    def test_an_unknown_asset_is_no_data(self) -> None:
        if self.unknown_asset is None:
            not_applicable("this source has every asset")
        source, unknown = self.make(), Asset.parse(self.unknown_asset)
        require(source.serves(unknown) is False, f"it claims to serve {unknown}")
        try:
            found = source.candles(unknown, self.timeframe, start=None, end=None, limit=10)
        except NoData:
            return
        except Exception as error:
            raise ContractBroken(f"{unknown} raised {type(error).__name__}: {error}; NoData is meant for it") from error
        broken(f"{unknown} gave {found!r:.60}; NoData is meant for it")

    def test_a_failing_upstream_is_a_data_error(self) -> None:
        source = self.make_by("failing")
        try:
            self.read(source)
        except DataError:
            return
        except Exception as error:
            raise ContractBroken(f"raised {type(error).__name__}: {error}; SourceFailed is meant for it") from error
        broken("the upstream failed and candles came nevertheless")

    def test_the_same_question_twice_gives_the_same_bars(self) -> None:
        source = self.make()
        first = self.read(source)
        end = from_ms(first.close_time(-1))
        asked, again, fresh = (self.read(one, end=end).fingerprint for one in (source, source, self.make()))
        require(asked == again, "one source gave different bars for one question")
        require(asked == fresh, "two fresh sources gave different bars for one question")


class QuoteSourceContract(Contract):
    """A quote is of the asset asked for, or ``NoData``; for sources that also have live prices."""

    port = QuoteSource
    factory: ClassVar[Callable[[], QuoteSource]]
    asset: ClassVar[str] = "BTCUSD"
    unknown_asset: ClassVar[str | None] = "ZZZZZZUSD"

    def test_a_quote_is_of_the_asset_asked_for(self) -> None:
        found = self.make().quote(Asset.parse(self.asset))
        require(isinstance(found, Quote), f"quote() returned {type(found).__name__}")
        require(found.asset.symbol == Asset.parse(self.asset).symbol, f"asked for {self.asset}, got {found.asset}")
        require(found.at.tzinfo is not None, "the quote's time has no zone")
        require(0 < found.bid <= found.ask, f"bid {found.bid}, ask {found.ask}")

    def test_an_unknown_asset_has_no_quote(self) -> None:
        if self.unknown_asset is None:
            not_applicable("this source has every asset")
        try:
            found = self.make().quote(Asset.parse(self.unknown_asset))
        except NoData:
            return
        except Exception as error:
            raise ContractBroken(f"raised {type(error).__name__}: {error}; NoData is meant for it") from error
        broken(f"{self.unknown_asset} gave {found!r:.60}; NoData is meant for it")
