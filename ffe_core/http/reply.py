"""An answer, and JSON as it is read from strangers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ffe_core import logs
from ffe_core.domain.text import clean
from ffe_core.errors import BadReply

EXCERPT = 200


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. ``headers`` by their lower-case names; ``request`` is the method and the URL without query."""

    request: str
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    _hide: Callable[[str], str] = field(repr=False, default=logs.redact)

    def json(self) -> Any:
        """The body as JSON: fractions as ``Decimal``, no name twice in an object, no NaN.

        Raises ``BadReply``, also for a web page where JSON was due.
        """
        kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind in ("text/html", "application/xhtml+xml") or self.body[:256].lstrip()[:1] == b"<":
            raise BadReply(f"{self.request}: answered with a web page ({kind or 'no content type'}) instead of JSON")
        if not self.body.strip():
            raise BadReply(f"{self.request}: answered {self.status} with nothing instead of JSON")
        try:
            return decode_json(self.body)
        except ValueError as error:
            told = self._hide(str(error))
        raise BadReply(f"{self.request}: the answer is not the JSON that it should be: {told}")

    def excerpt(self, length: int = EXCERPT) -> str:
        """The beginning of the body as one clean line without secrets, for people."""
        # Blanked before it is cut, or half a secret would no longer look like one.
        text = clean(self._hide(self.body[: 64 * length].decode("utf-8", "replace")))
        return text if len(text) <= length else f"{text[: length - 3]}..."


def decode_json(text: bytes | str) -> Any:
    """JSON as it is read from strangers: fractions as ``Decimal``, whole numbers as ``int``.

    Raises ``ValueError`` for bytes that are no UTF-8, NaN and infinities, a name that stands twice in one object,
    nesting without end, numbers beyond 10^±400 and half surrogates, each of which some later step would stumble over.
    """
    import json

    try:
        written = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is not UTF-8") from None
    try:
        value = json.loads(
            written, parse_float=_fraction, parse_constant=_no_constant, object_pairs_hook=_object_without_twins
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        # The library's own text is kept short of the document, which it carries along as an attribute.
        raise ValueError(f"{error.msg} at character {error.pos}") from None
    if "\\ud" in written.lower():
        _refuse_half_surrogates(value)
    return value


def _fraction(digits: str) -> Any:
    from decimal import Decimal

    try:
        number = Decimal(digits)
    except ArithmeticError:
        number = None
    if number is None or (number and abs(number.adjusted()) > 400):
        raise ValueError(f"the number {digits[:40]} is beyond all measure")
    return number


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number")


def _object_without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twin = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"{clean(twin)[:40]!r} stands twice in one object")
    return found


def _refuse_half_surrogates(value: Any) -> None:
    import json

    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise ValueError("a text holds half of a surrogate pair") from None
