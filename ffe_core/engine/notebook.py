"""Results in a notebook: as DataFrames, and as the HTML that Jupyter shows for the last value of a cell.

The domain opens its lazy doors onto this module (``Decision.frame``, ``Pulse.frame``, ``_repr_html_``), because it
must not know pandas itself. Decimals become floats here: these frames are for looking and plotting, not for owing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import datetime
from decimal import Decimal
from html import escape
from typing import TYPE_CHECKING, Any

from ffe_core.domain.assets import PULSE_TIMEFRAMES
from ffe_core.domain.codec import decimal_text
from ffe_core.domain.decisions import Decision
from ffe_core.domain.market import Candles, FramePulse, Pulse
from ffe_core.domain.numbers import format_price
from ffe_core.domain.text import clean

if TYPE_CHECKING:
    import pandas as pd

    from ffe_core.store import DecisionSummary

SYNTHETIC = "SYNTHETIC: these prices are invented"

_OF_SUMMARY = (
    "seq created_at as_of asset_pair action confidence mode effect signal_only vetoed synthetic executed".split()
)
#: of a decision, in this order; market's own follow under their names
_OF_DECISION = (
    "as_of created_at asset_pair asset_type mode action effect confidence raw_confidence entry_price position_size "
    "position_type stop_loss_price stop_loss_fraction take_profit_price risk_fraction signal_only vetoed regime"
).split()
_OF_MARKET = ("source", "synthetic", "price", "change", "volatility")
_NUMBERS = frozenset(
    "entry_price position_size stop_loss_price stop_loss_fraction take_profit_price risk_fraction price change "
    "volatility".split()
)


class History(tuple["DecisionSummary", ...]):
    """Stored decisions, newest first, as ``Engine.history`` lists them."""

    __slots__ = ()

    def frame(self) -> pd.DataFrame:
        """A DataFrame with one row a decision, indexed by id; times are UTC."""
        import pandas as pd

        rows = [{name: getattr(row, name) for name in _OF_SUMMARY} for row in self]
        return pd.DataFrame(rows, index=pd.Index([row.id for row in self], name="id"), columns=_OF_SUMMARY)

    def _repr_html_(self) -> str:
        told = ("created_at", "as_of", "asset_pair", "action", "confidence", "executed", "mode")
        rows = [
            [row.id, *(_cell(getattr(row, name)) for name in told), "SYNTHETIC" if row.synthetic else ""]
            for row in self
        ]
        return _table(("id", *told, ""), rows)


def decision_frame(decision: Decision) -> pd.DataFrame:
    """One row, indexed by id; ``pandas.concat`` of several makes a table of decisions."""
    import pandas as pd

    values: dict[str, Any] = {name: getattr(decision, name) for name in _OF_DECISION}
    values |= {name: getattr(decision.market, name) for name in _OF_MARKET}
    values["tier"] = decision.ensemble_metadata.get("fallback_tier")
    row = {name: _number(value) if name in _NUMBERS else _text(value) for name, value in values.items()}
    return pd.DataFrame([row], index=pd.Index([decision.id], name="id"))


def pulse_frame(pulse: Pulse) -> pd.DataFrame:
    """Six rows, indexed by timeframe; a frame without data is a row without values."""
    import pandas as pd

    names = [field.name for field in fields(FramePulse) if field.name not in ("timeframe", "extra")]
    rows = []
    for timeframe in PULSE_TIMEFRAMES:
        reading = pulse.frames.get(timeframe)
        row = {} if reading is None else {name: _text(getattr(reading, name)) for name in names} | dict(reading.extra)
        rows.append(row)
    extra = dict.fromkeys(name for row in rows for name in row if name not in names)
    index = pd.Index([timeframe.value for timeframe in PULSE_TIMEFRAMES], name="timeframe")
    return pd.DataFrame(rows, index=index, columns=[*names, *extra])


def decision_html(decision: Decision) -> str:
    """What to do, how much, who said so and what the rules said, as plain HTML tables."""
    market = decision.market
    head = f"<b>{_cell(decision.asset_pair)} {_cell(decision.action)}</b>, confidence {decision.confidence}"
    parts = [f"<p><b>{SYNTHETIC}</b></p>" if market.synthetic else "", f"<p>{head}</p>"]
    parts.append(f"<p>{_cell(decision.reasoning)}</p>")
    effect = decision.effect.replace("_", " ")
    facts = [
        ("as of", decision.as_of),
        ("effect", effect + (f" ({decision.effect_reason})" if decision.effect_reason else "")),
        ("price", f"{format_price(market.price)} from {market.source}, {market.freshness.message or 'fresh'}"),
        ("size", decision.position_size),
        ("stop", decision.stop_loss_price),
        ("target", decision.take_profit_price),
        ("regime", decision.regime.replace("_", " ")),
        ("pulse", f"{decision.pulse.confluence.direction} {decision.pulse.confluence.score} %"),
    ]
    parts.append(_table((), [[name, _cell(value)] for name, value in facts if value is not None]))
    parts.append(
        _table(
            ("provider", "vote", "confidence", "why"),
            [
                [
                    _cell(said.provider),
                    _cell(said.action or "failed"),
                    said.confidence,
                    _cell(said.error or said.reasoning),
                ]
                for said in decision.opinions
            ],
        )
    )
    if decision.rulings:
        rulings = [[_cell(ruling.rule), _cell(ruling.outcome), _cell(ruling.reason)] for ruling in decision.rulings]
        parts.append(_table(("risk rule", "ruling", "why"), rulings))
    parts.append(f"<p>decision {_cell(decision.id)}</p>")
    return "".join(parts)


def pulse_html(pulse: Pulse) -> str:
    """The frames as a table, and the summary."""
    lines = escape(clean(pulse.summary, lines=True)).replace("\n", "<br>")
    return f"{_frame_html(pulse_frame(pulse))}<p>{lines}</p>"


def candles_html(candles: Candles) -> str:
    """What they are and whence, and the bars as pandas shows them."""
    told = f"{candles.asset} {candles.timeframe} from {candles.source}, {len(candles):,} bars"
    if candles.synthetic:
        told += f"; {SYNTHETIC}"
    return f"<p>{_cell(told)}</p>{_frame_html(candles.frame())}"


def _frame_html(frame: pd.DataFrame) -> str:
    return frame.to_html(max_rows=10, show_dimensions=True)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Cells are HTML already."""
    titles = "".join(f"<th>{title}</th>" for title in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{f'<thead><tr>{titles}</tr></thead>' if head else ''}<tbody>{body}</tbody></table>"


def _cell(value: object) -> str:
    """Text of anybody as one harmless line."""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S} UTC"
    if isinstance(value, Decimal):
        return decimal_text(value)
    return escape(clean(value))


def _text(value: Any) -> Any:
    """Enums as the plain strings that pandas compares and groups by."""
    return str(value) if isinstance(value, str) else value


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)
