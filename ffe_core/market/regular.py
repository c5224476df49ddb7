"""A quick reading of CSV text without a surprise in it: the same cells and instants, a column at a time.

Whatever is quoted, ragged, or written in more than one way is left to the slow reading, which says what it is.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ffe_core.market.instants import FIRST_DAY, LAST_DAY

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Below so many characters, the slow reading is as quick.
WORTH_IT = 100_000
#: longer than the csv module lets a field be
_LONGEST = 100_000
_STAMP = "0000-00-00T00:00:00"
_ZONES = ("Z", "+00:00")
_DIGITS = [at for at, character in enumerate(_STAMP) if character == "0"]


def cells_of(text: str) -> tuple[list[str], list[str]] | None:
    """The header's fields, and those of all lines after it in one list; ``None`` where only a reading of each line
    could tell."""
    if len(text) < WORTH_IT or not text.isascii() or '"' in text or "\r" in text or not text.endswith("\n"):
        return None
    first, _, body = text.partition("\n")
    header = first.split(",")
    # Python reads 1_000 as a number, and nobody who writes a candle file means that.
    if not first or not body or "_" in body or not _is_regular(body, len(header)):
        return None
    return header, body[:-1].replace("\n", ",").split(",")


def _is_regular(body: str, width: int) -> bool:
    """Whether every line has ``width`` fields of a usual length."""
    import numpy as np

    characters = np.frombuffer(body.encode(), np.uint8)
    ends = np.flatnonzero((characters == ord(",")) | (characters == ord("\n")))
    if len(ends) % width or np.diff(ends, prepend=-1).max() > _LONGEST:
        return False
    lines = characters[ends].reshape(-1, width)
    return bool((lines[:, -1] == ord("\n")).all() and (lines[:, :-1] == ord(",")).all())


def instants_of(stamps: Sequence[str]) -> array[int] | None:
    """Epoch milliseconds of stamps that are all written like ``2020-01-01T00:00:00Z``, or with ``+00:00``, or with a
    space in place of the T. ``None`` where one is not."""
    import numpy as np

    zone = stamps[0][len(_STAMP) :]
    size = len(_STAMP) + len(zone)
    if zone not in _ZONES or stamps[0][10] not in "T " or any(length != size for length in set(map(len, stamps))):
        return None
    characters = np.frombuffer("".join(stamps).encode(), np.uint8).reshape(-1, size)
    # Beside the digits each is written as the first one is, and that one as it should be.
    others = [at for at in range(size) if at not in _DIGITS]
    written = stamps[0][:10] + "T" + stamps[0][11:]
    if (
        any(written[at] != (_STAMP + zone)[at] for at in others)
        or (characters[:, others] != characters[0, others]).any()
    ):
        return None
    digits = characters[:, _DIGITS] - np.uint8(ord("0"))
    # Bytes below "0" have wrapped around.
    return None if (digits > 9).any() else _milliseconds(digits)


def _milliseconds(digits: NDArray[np.uint8]) -> array[int] | None:
    """Of digits uint8[n, 14], those of years down to seconds; ``None`` where one of these is no instant."""
    import numpy as np

    pairs = digits.reshape(len(digits), -1, 2) @ np.array([10, 1])
    century, year, month, day, hour, minute, second = pairs.T
    months = (century * 100 + year - 1970) * 12 + month - 1
    # NumPy's own reading of texts would do, but crashes where one of them is no time.
    first, after = (count.astype("M8[M]").astype("M8[D]").astype(np.int64) for count in (months, months + 1))
    days = first + day - 1
    exists = (month >= 1) & (month <= 12) & (day >= 1) & (days < after)
    milliseconds = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000
    exists &= (hour < 24) & (minute < 60) & (second < 60)
    exists &= (milliseconds >= FIRST_DAY) & (milliseconds < LAST_DAY)
    return array("q", milliseconds.tobytes()) if exists.all() else None


def numbers_of(cells: Sequence[str]) -> array[float] | None:
    """The cells as floats; ``None`` where one is no number, or not finite."""
    import numpy as np

    try:
        values = array("d", map(float, cells))
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None
