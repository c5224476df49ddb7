"""A quick reading of CSV text without a surprise in it: the same instants and numbers, in passes over all of it.

Whatever is quoted, ragged, or written in more than one way is left to the slow reading, which says what it is.
"""

from __future__ import annotations

import warnings
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ffe_core.market.instants import FIRST_DAY, LAST_DAY

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Below so many characters, the slow reading is as quick.
WORTH_IT = 100_000
#: characters that are read together
_BLOCK = 1 << 17
#: of a line: shorter than what the csv module takes for a field
_LONGEST = 100_000
_STAMP = "0000-00-00T00:00:00"
_ZONES = ("Z", "+00:00")
#: the place of what stands between day and time
_BETWEEN = 10
_DIGITS = [at for at, character in enumerate(_STAMP) if character == "0"]
_COMMA, _LINE_END = b",\n"
#: Python reads 1_000 and nan as numbers as well, and nobody who writes a candle file means that.
_OF_NUMBERS = b"0123456789.eE+-,"


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines below a header, from ``begin`` on to the end of ``data``."""

    header: list[str]
    data: bytes
    begin: int

    @classmethod
    def of(cls, data: bytes) -> Self | None:
        """``None`` where only a reading of each line could tell, or where it takes no longer."""
        if len(data) < WORTH_IT or not data.isascii() or b'"' in data or b"\r" in data or not data.endswith(b"\n"):
            return None
        first = data.index(b"\n")
        return cls(data[:first].decode("ascii").split(","), data, first + 1) if first else None

    def read(self, column: int) -> tuple[array[int], list[array[float]]] | None:
        """Epoch milliseconds of the stamps in ``column``, and the numbers of each other one, all finite.

        Stamps are all written like ``2020-01-01T00:00:00Z``, or with ``+00:00``, or with a space in place of the T.
        ``None`` where one is not, where a line has another number of fields than the header, and where a number is none
        or is written in a way that has its own story.
        """
        first = self.data[self.begin : self.data.index(b"\n", self.begin)].split(b",")
        if len(first) != len(self.header) or not _is_stamp(first[column]):
            return None
        instants, numbers = array("q"), [array("d") for _ in first[1:]]
        for block in self._blocks():
            fields = _fields(block, len(first))
            read = None if fields is None else _read(block, fields, column, first[column])
            if read is None:
                return None
            instants.frombytes(read[0].tobytes())
            for held, more in zip(numbers, read[1], strict=True):
                held.frombytes(more.tobytes())
        return instants, numbers

    def _blocks(self) -> Iterator[NDArray[np.uint8]]:
        """Whole lines, some at a time: what is made of them then takes the same little memory again and again."""
        import numpy as np

        begin = self.begin
        while begin < len(self.data):
            end = self.data.index(b"\n", min(begin + _BLOCK, len(self.data) - 1)) + 1
            yield np.frombuffer(self.data, np.uint8, end - begin, begin)
            begin = end


def _fields(characters: NDArray[np.uint8], width: int) -> NDArray[np.int64] | None:
    """Where each field of each line ends, int64[n, width]; ``None`` where a line has not as many."""
    import numpy as np

    bounds = characters == _COMMA
    bounds |= characters == _LINE_END
    ends = np.flatnonzero(bounds)
    if len(ends) % width:
        return None
    ends = ends.reshape(-1, width)
    if np.diff(ends[:, -1], prepend=-1).max() > _LONGEST:
        return None
    after = characters[ends]
    regular = (after[:, -1] == _LINE_END).all() and (after[:, :-1] == _COMMA).all()
    return ends if regular else None


def _read(
    characters: NDArray[np.uint8], ends: NDArray[np.int64], column: int, stamp: bytes
) -> tuple[NDArray[np.int64], list[NDArray[np.float64]]] | None:
    """The instants in ``column``, all written as ``stamp`` is, and the numbers of each other column."""
    import numpy as np
    from numpy.lib.stride_tricks import sliding_window_view

    starts, size = ends[:, column - 1] + 1 if column else np.append(0, ends[:-1, -1] + 1), len(stamp)
    if (ends[:, column] - starts != size).any():
        return None
    instants = _instants(sliding_window_view(characters, size)[starts], stamp)
    # Zeros in place of the stamps leave nothing but numbers.
    numbers = characters.copy()
    sliding_window_view(numbers, size, writeable=True)[starts] = ord("0")
    numbers[ends[:, -1]] = _COMMA
    values = None if instants is None else _numbers(numbers.tobytes(), ends.size)
    if instants is None or values is None:
        return None
    columns = values.reshape(ends.shape).T
    return instants, [one for at, one in enumerate(columns) if at != column]


def _is_stamp(written: bytes) -> bool:
    """Whether it is written as one, whatever its digits say."""
    text = written.decode("ascii")
    template = _STAMP + text[len(_STAMP) :]
    kept = [at for at in range(len(_STAMP)) if at not in _DIGITS and at != _BETWEEN]
    return text[len(_STAMP) :] in _ZONES and text[_BETWEEN] in "T " and all(text[at] == template[at] for at in kept)


def _instants(stamps: NDArray[np.uint8], stamp: bytes) -> NDArray[np.int64] | None:
    """Of stamps uint8[n, size], a character each; ``None`` where one is not written as ``stamp`` is."""
    import numpy as np

    others = [at for at in range(len(stamp)) if at not in _DIGITS]
    if (stamps[:, others] != np.frombuffer(stamp, np.uint8)[others]).any():
        return None
    digits = stamps[:, _DIGITS] - np.uint8(ord("0"))
    # Bytes below "0" have wrapped around.
    return None if (digits > 9).any() else _milliseconds(digits)


def _milliseconds(digits: NDArray[np.uint8]) -> NDArray[np.int64] | None:
    """Of digits uint8[n, 14], those of years down to seconds; ``None`` where one of these is no instant."""
    import numpy as np

    pairs = 10 * digits[:, ::2] + digits[:, 1::2]
    century, year, month, day, hour, minute, second = pairs.T.astype(np.int64)
    months = (century * 100 + year - 1970) * 12 + month - 1
    # NumPy's own reading of texts would do, but crashes where one of them is no time.
    first, after = (count.astype("M8[M]").astype("M8[D]").astype(np.int64) for count in (months, months + 1))
    days = first + day - 1
    exists = (month >= 1) & (month <= 12) & (day >= 1) & (days < after)
    milliseconds = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000
    exists &= (hour < 24) & (minute < 60) & (second < 60)
    exists &= (milliseconds >= FIRST_DAY) & (milliseconds < LAST_DAY)
    return milliseconds if exists.all() else None


def _numbers(written: bytes, count: int) -> NDArray[np.float64] | None:
    """What stands before each of ``count`` commas, as Python reads it."""
    import numpy as np

    if written.translate(None, _OF_NUMBERS):
        return None
    try:
        with warnings.catch_warnings():
            # What is no number ends the reading, for now with a warning.
            warnings.simplefilter("error", DeprecationWarning)
            values = np.fromstring(written, sep=",")
    except (ValueError, DeprecationWarning):
        return None
    return values if len(values) == count and np.isfinite(values).all() else None
