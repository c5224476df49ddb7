"""Text that strangers wrote: plugins, models, files, venues."""

from __future__ import annotations

import re

# Patterns stay text until they are used, because compiling them would be felt in every --help.

# Escape sequences go whole, or the letters after the escape would stay: OSC and other strings up to their end,
# CSI with its parameters, two-character ones.
_ESCAPES = r"\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-~]?|\x9b[0-?]*[ -/]*[@-~]?|\x1b[ -/]*[0-~]?"
# Controls, and the marks that make text read in another order than it is stored.
_CONTROLS = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"


def clean(text: object, *, lines: bool = False) -> str:
    """``text`` without terminal escapes, control characters and text-direction marks.

    White space of any kind becomes one space, so that the result is one line; with ``lines`` it stays.
    """
    kept = re.sub(_ESCAPES, "", str(text))
    if lines:
        return re.sub(_CONTROLS, "", kept.replace("\r\n", "\n").replace("\r", "\n"))
    return " ".join(re.sub(_CONTROLS, "", " ".join(kept.split())).split())
