"""``ffe data``: what there is, whether it can be trusted, how it gets in, and the bars themselves."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.asking import OfferName
from ffe_core.cli.instants import Instant
from ffe_core.cli.output import clean, foreign
from ffe_core.cli.session import Session, group, stderr_is_terminal
from ffe_core.domain.assets import Asset, AssetKind, Timeframe
from ffe_core.errors import BadData, FfeError, NoData, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from ffe_core.domain.market import Candles
    from ffe_core.market.feed import Feed
    from ffe_core.market.quality import Finding, QualityReport, Reading

DEFAULT_BARS = 500
_FRAMES = "|".join(frame.value for frame in Timeframe)
#: Anywhere in a name, unlike the names that the source ``files`` answers to.
_IN_NAME = re.compile(rf"(?:^|_)(?P<symbol>[A-Za-z0-9-]+)_(?P<frame>{_FRAMES})(?=_|$)")
TIMEFRAME = click.Choice([frame.value for frame in Timeframe])


@group(name="data")
def data(session: Session) -> None:
    """List, check, import, fetch and print market data."""


# --- list ------------------------------------------------------------------------------------------------------------


@data.command(name="list")
@click.option("--source", type=OfferName(), metavar="NAME", help="Only what this source holds.")
def list_(session: Session, source: str | None) -> None:
    """List the series that the sources hold."""
    registry = session.engine.registry
    if source is not None:
        registry.require("source", source)
    rows: list[dict[str, Any]] = []
    for name, offer in registry.sources.items():
        if "Catalogued" not in offer.capabilities or source not in (None, name):
            continue
        holdings: Any = offer.object
        try:
            held_there = holdings.holdings()
        except FfeError as error:
            if source is not None:
                raise
            session.warn(f"{name}: {error.message}")
            continue
        rows += [
            {
                "source": name,
                "asset_pair": held.asset.symbol,
                "timeframe": held.timeframe.value,
                "bars": held.bars,
                "first": held.first,
                "last": held.last,
                "origin": held.origin,
            }
            for held in held_there
        ]
    session.emit(rows, lambda console: _print_holdings(console, rows))


def _print_holdings(console: Console, rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    if not rows:
        console.print("no source holds a series of its own; `ffe data import` brings one in")
        return
    table = Table("source", "asset", "frame", "bars", "first", "last", "from", box=None, pad_edge=False)
    table.columns[3].justify = "right"
    for row in rows:
        bars = "any" if row["bars"] is None else f"{row['bars']:,}"
        cells = (row["source"], row["asset_pair"], row["timeframe"], bars)
        table.add_row(*map(foreign, (*cells, _minute(row["first"]), _minute(row["last"]), row["origin"])))
    console.print(table)


def _minute(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M}"


# --- check -----------------------------------------------------------------------------------------------------------


@data.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path), metavar="[PATH]...")
@click.option("--asset", "text", metavar="ASSET", help="Whose bars they are, where the name does not tell.")
@click.option("--timeframe", type=TIMEFRAME, help="Length of the bars, where neither name nor bars tell.")
@click.option("--timezone", metavar="ZONE", help="Zone of stamps that name none, such as UTC or Europe/Athens.")
def check(
    session: Session, paths: tuple[Path, ...], text: str | None, timeframe: str | None, timezone: str | None
) -> None:
    """Say of candle files what is repaired, what is remarkable and what is refused.

    PATH is a Parquet or CSV file, or a folder of them; without one the data folder is checked. Nothing is changed.
    """
    files = _files_of(session, paths)
    rows = [_checked(session, path, text, timeframe, timezone) for path in files]
    refused = sum(1 for row in rows if not row["usable"])
    session.emit({"files": rows, "refused": refused}, lambda console: _print_checked(console, rows))
    if refused:
        raise BadData(f"{refused} of {len(rows)} files refused", hint="each is told above, with its rows")


def _files_of(session: Session, paths: tuple[Path, ...]) -> list[Path]:
    from ffe_core.market.folder import candle_files
    from ffe_core.market.quality import SUFFIXES

    found: list[Path] = []
    for path in paths or (_folder(session),):
        if path.is_dir():
            found += candle_files(path)
        elif not path.exists():
            raise UsageError(f"{path} does not exist", hint="name a candle file, or a folder of them")
        elif path.suffix.lower() not in SUFFIXES:
            raise UsageError(f"{path} is neither .csv nor .parquet", hint="name a candle file, or a folder of them")
        else:
            found.append(path)
    if not found:
        raise NoData(f"no candle file in {', '.join(map(str, paths or (_folder(session),)))}")
    return found


def _checked(
    session: Session, path: Path, text: str | None, timeframe: str | None, timezone: str | None
) -> dict[str, Any]:
    asset, reading = _read(session, path, text, timeframe, timezone)
    report = _whole_report(asset, reading)
    return {
        "file": str(path),
        "asset_pair": None if asset is None else asset.symbol,
        "timeframe": reading.timeframe,
        "bars": len(reading.time) if report.usable else None,
        "first": _at(reading, 0) if report.usable else None,
        "last": _at(reading, -1) if report.usable else None,
        "verdict": report.verdict,
        "usable": report.usable,
        "repairs": [_finding(found) for found in report.repairs],
        "remarks": [_finding(found) for found in report.remarks],
        "refusals": [_finding(found) for found in report.refusals],
    }


def _whole_report(asset: Asset | None, reading: Reading) -> QualityReport:
    """With what the bars themselves show, where they can be looked at."""
    from ffe_core.market.quality import check_candles

    if not reading.report.usable or reading.timeframe is None:
        return reading.report
    held = asset or Asset("UNNAMED", "UNNAMED", "", reading.kind)
    return reading.report.joined(check_candles(reading.candles(held, "files")))


def _finding(found: Finding) -> dict[str, Any]:
    first = found.places[0]
    return {"kind": found.kind, "count": found.count, "row": first.row, "column": first.column, "text": found.line()}


def _at(reading: Reading, index: int) -> datetime | None:
    from ffe_core.domain.clock import from_ms

    return from_ms(reading.time[index]) if reading.time else None


def _print_checked(console: Console, rows: list[dict[str, Any]]) -> None:
    from rich.text import Text

    styles = {"refused": "bold red", "repaired": "yellow", "reported": "yellow", "clean": "green"}
    for row in rows:
        head = Text(clean(Path(row["file"]).name))
        head.append(f"  {row['verdict']}", style=styles[row["verdict"]])
        if row["usable"]:
            head.append(f"  {row['bars']:,} bars of {row['timeframe'] or 'unknown length'}", style="dim")
        console.print(head)
        for word, kind in (("refused", "refusals"), ("repaired", "repairs"), ("noticed", "remarks")):
            for found in row[kind]:
                console.print(Text(f"  {word}: {clean(found['text'])}"))


# --- import ----------------------------------------------------------------------------------------------------------


@data.command(name="import")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--asset", "text", metavar="ASSET", help="Whose bars they are, where the name does not tell.")
@click.option("--timeframe", type=TIMEFRAME, help="Length of the bars, where neither name nor bars tell.")
@click.option("--timezone", metavar="ZONE", help="Zone of stamps that name none, such as UTC or Europe/Athens.")
@click.option("--replace", is_flag=True, help="Take the place of files that the new bars cover.")
def import_(
    session: Session, path: Path, text: str | None, timeframe: str | None, timezone: str | None, replace: bool
) -> None:
    """Check a candle file and put its bars into the data folder, which the source `files` reads."""
    from ffe_core.market.folder import store_candles

    if not path.is_file():
        raise UsageError(f"{path} is no file")
    asset, reading = _read(session, path, text, timeframe, timezone)
    if asset is None:
        raise UsageError(f"{path.name} does not tell whose bars it holds", hint="say --asset BTCUSD")
    report = _whole_report(asset, reading)
    candles = reading.candles(asset, "files")
    stored = store_candles(_folder(session), candles, replace=replace)
    row = {
        "path": str(stored.path),
        "asset_pair": asset.symbol,
        "timeframe": candles.timeframe,
        "bars": len(candles),
        "first": _at(reading, 0),
        "last": _at(reading, -1),
        "fingerprint": candles.fingerprint,
        "replaced": [str(other) for other in stored.replaced],
        "verdict": report.verdict,
        "repairs": [_finding(found) for found in report.repairs],
        "remarks": [_finding(found) for found in report.remarks],
    }

    def render(console: Console) -> None:
        from rich.text import Text

        span = f"{_minute(_at(reading, 0))} to {_minute(_at(reading, -1))}"
        console.print(Text(f"{asset} {candles.timeframe}: {len(candles):,} bars, {span}"))
        for line in report.lines():
            console.print(Text(f"  {clean(line)}"))
        console.print(Text(f"stored as {clean(stored.path)}"))

    session.emit(row, render)


def _read(
    session: Session, path: Path, text: str | None, timeframe: str | None, timezone: str | None
) -> tuple[Asset | None, Reading]:
    """Whose bars a file holds, as far as anybody says, and the bars."""
    from ffe_core.domain.clock import SystemClock
    from ffe_core.market.quality import name_of_file, read_file

    symbol, frame = name_of_file(path)
    in_name = _IN_NAME.search(path.stem)
    if frame is None and in_name:
        symbol, frame = in_name["symbol"], Timeframe(in_name["frame"])
    asset = _asset(session, text or symbol)
    reading = read_file(
        path,
        now=SystemClock().now(),
        timeframe=Timeframe(timeframe) if timeframe else frame,
        kind=asset.kind if asset else AssetKind.UNKNOWN,
        timezone=timezone,
    )
    return asset, reading


def _asset(session: Session, text: str | None) -> Asset | None:
    """With the kind that settings give it; no plugin is needed for that."""
    if text is None:
        return None
    try:
        asset = Asset.parse(text)
        kind = session.settings.data.kinds.get(asset.symbol)
        return Asset.parse(text, kind=kind) if kind else asset
    except ValueError as error:
        raise UsageError(str(error)) from error


def _folder(session: Session) -> Path:
    from ffe_core.builtin.files import NAME, FilesSettings, folder_of

    section = session.settings.plugin_section(NAME, FilesSettings)
    folder = folder_of(section, session.settings.paths.data)
    assert folder is not None  # noqa: S101 - the paths of settings always have a data folder
    return folder


# --- fetch -----------------------------------------------------------------------------------------------------------

#: bars of one question to a source: little enough to show progress, and each answer is kept before the next is asked
PAGE = 5000


@data.command()
@click.argument("asset", metavar="ASSET")
@click.option("--source", type=OfferName(), required=True, metavar="NAME", help="Where the bars come from.")
@click.option("--timeframe", type=TIMEFRAME, help="Length of a bar; default: the decision timeframe.")
@click.option("--start", type=Instant("first"), required=True, metavar="ISO", help="First bar's open.")
@click.option("--end", type=Instant("after"), metavar="ISO", help="Nothing at or after it; default: now.")
@click.option("--replace", is_flag=True, help="Take the place of files that the new bars cover.")
def fetch(
    session: Session,
    asset: str,
    source: str,
    timeframe: str | None,
    start: datetime,
    end: datetime | None,
    replace: bool,
) -> None:
    """Fetch the complete bars of a span into the data folder, which the source `files` reads.

    Bars are asked for page by page, and pages that were had before are not asked for again: a run that was cut short
    goes on where it stopped.
    """
    from ffe_core.domain.clock import from_ms
    from ffe_core.market.folder import store_candles

    engine = session.engine
    held, frame = engine.asset(asset), Timeframe(timeframe) if timeframe else engine.settings.decision.timeframe
    now = engine.clock.now()
    until = now if end is None or end > now else end
    if start >= until:
        raise UsageError(f"--start {start:%Y-%m-%dT%H:%M:%SZ} is not before {until:%Y-%m-%dT%H:%M:%SZ}")
    pages = _pages(session, held, frame, source, start, until)
    found = joined(pages)
    if found.synthetic:
        raise UsageError(f"{source} invents its prices; they are not kept beside real ones", hint="name another source")
    stored = store_candles(_folder(session), found, replace=replace)
    row = {
        "path": str(stored.path),
        "asset_pair": held.symbol,
        "timeframe": frame,
        "source": found.source,
        "bars": len(found),
        "first": from_ms(found.time[0]),
        "last": from_ms(found.time[-1]),
        "fingerprint": found.fingerprint,
        "replaced": [str(other) for other in stored.replaced],
    }
    span = f"{_minute(from_ms(found.time[0]))} to {_minute(from_ms(found.time[-1]))}"
    session.emit(
        row,
        lambda console: console.print(
            f"{held} {frame}: {len(found):,} bars, {span}\nstored as {clean(stored.path)}", markup=False, soft_wrap=True
        ),
    )


def _pages(
    session: Session, asset: Asset, frame: Timeframe, source: str, start: datetime, until: datetime
) -> list[Candles]:
    """One series a page; a page without bars, such as a weekend's, is passed over."""
    from rich.progress import Progress

    feed = session.engine.feed_of(source)
    step, at = frame.timedelta * PAGE, start
    found: list[Candles] = []
    nothing: NoData | None = None
    hidden = session.quiet or session.json or not stderr_is_terminal()
    with Progress(console=session.error_console, transient=True, disable=hidden) as progress:
        task = progress.add_task(f"{asset} {frame}", total=max(1, -(-(until - start) // step)))
        while at < until:
            try:
                found.append(feed.span(asset, frame, start=at, end=min(until, at + step)))
            except NoData as error:
                nothing = error
            at += step
            progress.advance(task)
    if not found and nothing is not None:
        raise nothing
    return found


def joined(pages: Sequence[Candles]) -> Candles:
    """Pages that follow one another, as one series."""
    from ffe_core.domain.market import COLUMNS, Candles

    first = pages[0]
    columns = {name: [value for page in pages for value in getattr(page, name)] for name in ("time", *COLUMNS)}
    return Candles.of(
        first.asset,
        first.timeframe,
        first.source,
        **columns,
        synthetic=first.synthetic,
        fetched_at=pages[-1].fetched_at,
        day_boundary=first.day_boundary,
    )


# --- candles ---------------------------------------------------------------------------------------------------------


@data.command()
@click.argument("asset", metavar="ASSET")
@click.option("--timeframe", type=TIMEFRAME, help="Length of a bar; default: the decision timeframe.")
@click.option("--start", type=Instant("first"), metavar="ISO", help="First bar's open; a date means 00:00 UTC.")
@click.option("--end", type=Instant("after"), metavar="ISO", help="Nothing at or after it; a date includes that day.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="The last N bars; default 500 without --start.")
@click.option("--source", type=OfferName(), metavar="NAME", help="Take the bars from this source alone.")
def candles(
    session: Session,
    asset: str,
    timeframe: str | None,
    start: datetime | None,
    end: datetime | None,
    limit: int | None,
    source: str | None,
) -> None:
    """Print the complete bars of an asset."""
    if start is not None and end is not None and start >= end:
        raise UsageError(f"--start {start:%Y-%m-%dT%H:%M:%SZ} is not before --end {end:%Y-%m-%dT%H:%M:%SZ}")
    engine = session.engine
    held, frame = engine.asset(asset), Timeframe(timeframe) if timeframe else engine.settings.decision.timeframe
    now = engine.clock.now()
    if start is not None and start >= now:
        raise UsageError(f"--start {start:%Y-%m-%dT%H:%M:%SZ} lies in the future")
    until = None if end is None or end >= now else end
    feed = _feed(session, source)
    if start is None:
        found = feed.candles(held, frame, end=until, bars=limit or DEFAULT_BARS)
    else:
        found = feed.span(held, frame, start=start, end=until)
        found = found if limit is None else found.tail(limit)
    for remark in found.remarks:
        session.warn(remark)
    session.emit(_data_of(found), lambda console: _print_candles(console, found))


def _feed(session: Session, source: str | None) -> Feed:
    if source is None:
        return session.engine.feed
    from ffe_core.market.feed import Feed

    engine = session.engine
    return Feed([(source, engine.registry.require("source", source))], engine.clock)


def _data_of(found: Candles) -> dict[str, Any]:
    from ffe_core.domain.clock import from_ms, iso

    columns = (found.time, found.open, found.high, found.low, found.close, found.volume)
    return {
        "asset_pair": found.asset.symbol,
        "timeframe": found.timeframe,
        "source": found.source,
        "synthetic": found.synthetic,
        "fingerprint": found.fingerprint,
        "candles": [
            {"time": iso(from_ms(time)), "open": open_, "high": high, "low": low, "close": close, "volume": volume}
            for time, open_, high, low, close, volume in zip(*columns, strict=True)
        ],
    }


def _print_candles(console: Console, found: Candles) -> None:
    from rich.table import Table
    from rich.text import Text

    from ffe_core.domain.clock import from_ms

    if found.synthetic:
        console.print(Text("SYNTHETIC MARKET: these prices are invented", style="bold magenta"))
    console.print(Text(f"{found.asset} {found.timeframe} from {clean(found.source)}, {len(found):,} bars"))
    table = Table("opens (UTC)", box=None, pad_edge=False)
    for name in ("open", "high", "low", "close", "volume"):
        table.add_column(name, justify="right")
    for index, time in enumerate(found.time):
        values = (found.open, found.high, found.low, found.close, found.volume)
        table.add_row(_minute(from_ms(time)), *(f"{column[index]:.10g}" for column in values))
    console.print(table)
