"""Candle files as plain columns: what stands in a CSV or Parquet file, before anybody judges it."""

from __future__ import annotations

import csv
import io
import re
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ffe_core.domain.assets import Timeframe
from ffe_core.domain.market import COLUMNS
from ffe_core.market.regular import Lines
from ffe_core.market.report import Findings, Place

TIME = "timestamp"
ALIASES = {"date": TIME, "datetime": TIME, "time": TIME, "open_time": TIME, "tick_volume": "volume", "vol": "volume"}
WANTED = (TIME, *COLUMNS)
SUFFIXES = (".csv", ".parquet")
_BYTE_ORDER_MARK = "\ufeff"
#: For a reading that knows no clock: no bar is too young for it.
END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)
_FRAMES = "|".join(frame.value for frame in Timeframe)
_NAMED = re.compile(rf"(?P<symbol>[A-Za-z0-9-]+)_(?P<frame>{_FRAMES})(_.*)?")
_PLAIN = re.compile(r"[A-Za-z0-9-]*[A-Za-z0-9][A-Za-z0-9-]*")
_STAMP_LIKE = re.compile(r"\d{4}-\d\d-\d\d|\d{9,}(\.\d*)?$")


@dataclass(frozen=True, slots=True)
class RawTable:
    """Columns by canonical name. ``stamps`` are texts, epoch numbers, or already milliseconds (``exact``); values are
    texts or floats. Row i is data row ``rows[i]`` of the file."""

    stamps: Sequence[str] | Sequence[int]
    values: Mapping[str, Sequence[str] | Sequence[float]]
    rows: Sequence[int]
    exact: bool = False


def name_of_file(path: Path) -> tuple[str | None, Timeframe | None]:
    """(canonical symbol, timeframe) that a file's name tells: ``SYMBOL_TIMEFRAME`` with more after an underscore, or a
    plain ``SYMBOL``; (None, None) for any other."""
    named = _NAMED.fullmatch(path.stem)
    if named:
        return _canonical(named["symbol"]), Timeframe(named["frame"])
    return (_canonical(path.stem), None) if _PLAIN.fullmatch(path.stem) else (None, None)


def _canonical(symbol: str) -> str | None:
    return symbol.replace("-", "").upper() or None


def read_table(path: Path, found: Findings) -> RawTable | None:
    """The columns of ``path``; ``None`` after a refusal was added to ``found``."""
    try:
        if path.stat().st_size == 0:
            found.add("unreadable", Place(detail="the file is empty: zero bytes"))
            return None
        return _read_parquet(path, found) if path.suffix.lower() == ".parquet" else _read_csv(path.read_bytes(), found)
    except OSError as error:
        found.add("unreadable", Place(detail=f"cannot be read: {error.strerror or type(error).__name__}"))
        return None


def _read_csv(data: bytes, found: Findings) -> RawTable | None:
    quick = _read_quickly(data, found)
    if quick is not None:
        return quick
    text = _decoded(data, found)
    try:
        lines = [line for line in csv.reader(io.StringIO(text, newline="")) if line]
    except csv.Error as error:
        found.add("unreadable", Place(detail=f"is no CSV: {error}"))
        return None
    if not lines:
        if text is not None:
            found.add("unreadable", Place(detail="holds no line"))
        return None
    header, body = lines[0], lines[1:]
    places = _places_of(header, found)
    if places is None:
        return None
    width = len(header)
    if body and text and not text.endswith("\n"):
        _judge_last_line(body, width, found)
    whole = [(number, line) for number, line in enumerate(body, start=1) if len(line) == width]
    for number, line in enumerate(body, start=1):
        if len(line) != width:
            found.add("ragged", Place(row=number, detail=f"{len(line)} fields where the header has {width}"))
    if not whole:
        if not body:
            found.add("no_bars")
        return None
    rows, kept = zip(*whole, strict=True)
    columns = list(zip(*kept, strict=True))
    return RawTable(columns[places[TIME]], {name: columns[places[name]] for name in COLUMNS}, rows)


def _read_quickly(data: bytes, found: Findings) -> RawTable | None:
    """What ``_read_csv`` makes of ``data``; ``None`` where there is something to say of more than its header."""
    lines = Lines.of(data)
    places = None if lines is None else _places_of(lines.header, Findings(found.texts))
    read = None if lines is None or places is None else lines.read(places[TIME])
    if lines is None or places is None or read is None:
        return None
    _places_of(lines.header, found)
    stamps, numbers = read
    values = {name: numbers[places[name] - (places[name] > places[TIME])] for name in COLUMNS}
    return RawTable(stamps, values, range(1, len(stamps) + 1), exact=True)


def _decoded(data: bytes, found: Findings) -> str | None:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        found.add("unreadable", Place(detail="is not UTF-8 text"))
        return None
    if text.startswith(_BYTE_ORDER_MARK):
        found.add("byte_order_mark")
    if "\r\n" in text:
        found.add("line_ends")
    return text.removeprefix(_BYTE_ORDER_MARK)


def _judge_last_line(body: list[list[str]], width: int, found: Findings) -> None:
    """A last line without its end was cut where it is short; where it is not, only a remark is fair."""
    last = len(body)
    if len(body[-1]) < width or not body[-1][-1].strip():
        body.pop()
        found.add("truncated", Place(row=last))
    else:
        found.add("no_line_end", Place(row=last))


def _places_of(header: list[str], found: Findings) -> dict[str, int] | None:
    """Where each wanted column stands; ``None`` after a refusal."""
    if len(header) == 1 and ";" in header[0]:
        found.add("separator")
        return None
    if header and _STAMP_LIKE.match(header[0].strip()):
        found.add("no_header")
        return None
    names = [name.strip().lower() for name in header]
    canonical = [ALIASES.get(name, name) for name in names]
    twice = sorted({name for name in WANTED if canonical.count(name) > 1})
    missing = [name for name in WANTED if name not in canonical]
    if twice:
        found.add("missing_columns", Place(detail=f"more than one column for {', '.join(twice)}"))
    if missing:
        found.add("missing_columns", Place(detail=f"no column {', '.join(missing)}"))
    if twice or missing:
        return None
    renamed = [f"{given} is {name}" for given, name in zip(header, canonical, strict=True) if given != name]
    if any(name.split(" is ")[1] in WANTED for name in renamed):
        found.add("column_names", Place(detail=", ".join(name for name in renamed if name.split(" is ")[1] in WANTED)))
    ours = [name for name in canonical if name in WANTED]
    if ours != list(WANTED):
        found.add("column_order")
    others = [given for given, name in zip(header, canonical, strict=True) if name not in WANTED]
    if others:
        found.add("other_columns", Place(detail=", ".join(others), weight=len(others)))
    return {name: canonical.index(name) for name in WANTED}


def _read_parquet(path: Path, found: Findings) -> RawTable | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            names = list(file.schema_arrow.names)
            places = _places_of(names, found)
            if places is None:
                return None
            table = file.read(columns=[names[at] for at in places.values()])
    except (pa.ArrowException, ValueError, OSError) as error:
        found.add("unreadable", Place(detail=f"is no Parquet file: {str(error).splitlines()[0][:120]}"))
        return None
    if not table.num_rows:
        found.add("no_bars")
        return None
    columns = {name: table.column(names[at]) for name, at in places.items()}
    stamps, exact = _arrow_stamps(columns.pop(TIME), found)
    if stamps is None:
        return None
    values = {name: _arrow_floats(column) for name, column in columns.items()}
    return RawTable(stamps, values, range(1, table.num_rows + 1), exact)


def _arrow_stamps(column: object, found: Findings) -> tuple[Sequence[int] | Sequence[str] | None, bool]:
    import pyarrow as pa

    kind = column.type  # type: ignore[attr-defined]
    if pa.types.is_timestamp(kind) and kind.tz is not None and not column.null_count:  # type: ignore[attr-defined]
        return _buffer(column.cast(pa.timestamp("ms", "UTC"), safe=False).cast(pa.int64()), "q"), True  # type: ignore[attr-defined]
    return ["" if value is None else _written(value) for value in column.to_pylist()], False  # type: ignore[attr-defined]


def _written(value: object) -> str:
    from datetime import date

    return value.isoformat() if isinstance(value, date) else str(value)


def _arrow_floats(column: object) -> Sequence[float] | Sequence[str]:
    import pyarrow as pa

    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):  # type: ignore[attr-defined]
        if not column.null_count:  # type: ignore[attr-defined]
            return _buffer(column.cast(pa.float64(), safe=False), "d")  # type: ignore[attr-defined]
        return [float("nan") if value is None else float(value) for value in column.to_pylist()]  # type: ignore[attr-defined]
    return ["" if value is None else str(value) for value in column.to_pylist()]  # type: ignore[attr-defined]


def _buffer(column: object, code: str) -> array:  # type: ignore[type-arg]
    """The bytes of a column without a null as they lie: no number becomes a Python object on the way."""
    values = array(code)
    for chunk in column.chunks:  # type: ignore[attr-defined]
        begins = chunk.offset * values.itemsize
        values.frombytes(memoryview(chunk.buffers()[1])[begins : begins + len(chunk) * values.itemsize])
    return values
