"""A quick reading of CSV text without a surprise in it: the same instants and numbers, in passes over all of it.

Whatever is quoted, ragged, or written in more than one way is left to the slow reading, which says what it is.
"""

from __future__ import annotations

import warnings
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ffe_core.market.instants import FIRST_DAY, LAST_DAY

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: Below so many characters, the slow reading is as quick.
WORTH_IT = 100_000
#: of a line: shorter than what the csv module takes for a field
_LONGEST = 100_000
_STAMP = "0000-00-00T00:00:00"
_ZONES = ("Z", "+00:00")
_DIGITS = [at for at, character in enumerate(_STAMP) if character == "0"]
_COMMA, _LINE_END = b",\n"
#: Python reads 1_000 and nan as numbers as well, and nobody who writes a candle file means that.
_OF_NUMBERS = b"0123456789.eE+-,"


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines below a header: ``characters`` uint8[c], and where each of their fields ends, int64[n, width]."""

    header: list[str]
    characters: NDArray[np.uint8]
    ends: NDArray[np.int64]

    @classmethod
    def of(cls, data: bytes) -> Self | None:
        """``None`` where only a reading of each line could tell, or where it takes no longer."""
        if len(data) < WORTH_IT or not data.isascii() or b'"' in data or b"\r" in data or not data.endswith(b"\n"):
            return None
        import numpy as np

        first = data.index(b"\n")
        header, characters = data[:first].decode("ascii").split(","), np.frombuffer(data, np.uint8, offset=first + 1)
        bounds = characters == _COMMA
        bounds |= characters == _LINE_END
        ends = np.flatnonzero(bounds)
        if not first or not len(ends) or len(ends) % len(header):
            return None
        ends = ends.reshape(-1, len(header))
        if np.diff(ends[:, -1], prepend=-1).max() > _LONGEST:
            return None
        after = characters[ends]
        regular = (after[:, -1] == _LINE_END).all() and (after[:, :-1] == _COMMA).all()
        return cls(header, characters, ends) if regular else None

    def read(self, column: int) -> tuple[array[int], list[array[float]]] | None:
        """Epoch milliseconds of the stamps in ``column``, and the numbers of each other one, all finite.

        Stamps are all written like ``2020-01-01T00:00:00Z``, or with ``+00:00``, or with a space in place of the T.
        ``None`` where one is not, and where a number is none or is written in a way that has its own story.
        """
        import numpy as np
        from numpy.lib.stride_tricks import sliding_window_view

        starts = self.ends[:, column - 1] + 1 if column else np.concatenate(([0], self.ends[:-1, -1] + 1))
        size = int(self.ends[0, column] - starts[0])
        if not len(_STAMP) < size <= len(_STAMP) + len(_ZONES[-1]) or (self.ends[:, column] - starts != size).any():
            return None
        instants = _instants(sliding_window_view(self.characters, size)[starts])
        # Zeros in place of the stamps leave nothing but numbers.
        numbers = self.characters.copy()
        sliding_window_view(numbers, size, writeable=True)[starts] = ord("0")
        numbers[self.ends[:, -1]] = _COMMA
        values = None if instants is None else _numbers(numbers.tobytes(), self.ends.size)
        if instants is None or values is None:
            return None
        columns = values.reshape(self.ends.shape).T
        return instants, [array("d", one.tobytes()) for at, one in enumerate(columns) if at != column]


def _instants(stamps: NDArray[np.uint8]) -> array[int] | None:
    """Of stamps uint8[n, size], a character each."""
    import numpy as np

    first = bytes(stamps[0]).decode("ascii")
    template = _STAMP + first[len(_STAMP) :]
    # Beside the digits each is written as the first one is, and that one as it should be.
    others = [at for at in range(len(first)) if at not in _DIGITS]
    as_one = first[10] in "T " and first[len(_STAMP) :] in _ZONES and not (stamps[:, others] != stamps[0, others]).any()
    if not as_one or any(first[at] != template[at] for at in others if at != 10):
        return None
    digits = stamps[:, _DIGITS] - np.uint8(ord("0"))
    # Bytes below "0" have wrapped around.
    return None if (digits > 9).any() else _milliseconds(digits)


def _milliseconds(digits: NDArray[np.uint8]) -> array[int] | None:
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
    return array("q", milliseconds.tobytes()) if exists.all() else None


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
