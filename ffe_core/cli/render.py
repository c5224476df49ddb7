"""Decisions for people: what to do, why, how much, and who said so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from ffe_core.cli.circumstances import circumstances
from ffe_core.cli.output import clean
from ffe_core.domain.assets import PULSE_TIMEFRAMES
from ffe_core.domain.codec import decimal_text
from ffe_core.domain.decisions import RulingOutcome
from ffe_core.domain.numbers import format_price
from ffe_core.domain.trading import Action, Effect

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.domain.decisions import Decision, Opinion
    from ffe_core.domain.market import FramePulse

ACTION_STYLES = {Action.BUY: "bold green", Action.SELL: "bold red", Action.HOLD: "bold yellow"}
#: columns from which reasons stand beside the votes
ROOM_FOR_REASONS = 100
_EFFECT_WORDS = {
    Effect.NONE: "nothing to do",
    Effect.OPEN_LONG: "opens a long position",
    Effect.ADD_LONG: "adds to the long position",
    Effect.REDUCE: "reduces the position",
    Effect.CLOSE: "closes the position",
    Effect.OPEN_SHORT: "opens a short position",
}


def print_decision(
    console: Console, decision: Decision, *, show_pulse: bool = False, threshold: float | None = None
) -> None:
    """The whole decision as a screenful; an entry less sure than ``threshold`` (a fraction) is marked."""
    if decision.market.synthetic:
        console.print(Text("SYNTHETIC MARKET: these prices are invented", style="bold magenta"))
    head = Text(f"{decision.asset_pair}  ")
    head.append(decision.action.value, style=ACTION_STYLES[decision.action])
    head.append(f"  confidence {decision.confidence}")
    head.append(f"  {_effect(decision)}")
    console.print(head)
    console.print(Text(clean(decision.reasoning)))
    if threshold is not None and decision.effect.is_entry and decision.confidence / 100 < threshold:
        console.print(Text(f"BELOW THE THRESHOLD of {threshold:.0%}: kept, not to be acted on", style="bold yellow"))
    if decision.signal_only:
        console.print(Text("SIGNAL ONLY: no known balance, so no size", style="bold yellow"))
    for line in circumstances(decision):
        console.print(Text(clean(line), style="bold yellow"))
    console.print(_facts(decision))
    _print_votes(console, decision)
    if decision.rulings:
        _print_rulings(console, decision)
    if show_pulse:
        console.print(_pulse(decision))
        console.print(Text(clean(decision.pulse.summary, lines=True)))
    console.print(Text(f"decision {decision.id}", style="dim"))


def _effect(decision: Decision) -> str:
    words = _EFFECT_WORDS[decision.effect]
    return f"{words} ({clean(decision.effect_reason)})" if decision.effect_reason else words


def _facts(decision: Decision) -> Table:
    market, table = decision.market, Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column()
    change = "unknown" if market.change is None else f"{market.change:+.2%}"
    volatility = "unknown" if market.volatility is None else f"{market.volatility:.2%}"
    rows = [
        ("as of", f"{decision.as_of:%Y-%m-%d %H:%M:%S} UTC, {decision.mode} mode, source {clean(market.source)}"),
        ("price", f"{format_price(market.price)}, {change} in a day, daily range {volatility}"),
        ("data", clean(market.freshness.message) or "fresh"),
        ("regime", decision.regime.value.replace("_", " ")),
        ("pulse", _pulse_line(decision)),
    ]
    if decision.position_size is not None:
        rows.append(("size", _size(decision)))
    if decision.stop_loss_price is not None and decision.stop_loss_fraction is not None:
        rows.append(("stop", f"{decimal_text(decision.stop_loss_price)} ({decision.stop_loss_fraction:.2%} away)"))
    if decision.take_profit_price is not None:
        rows.append(("target", decimal_text(decision.take_profit_price)))
    rows += [
        ("limit", f"{clamp.rule}: {_short(clamp.before)} cut to {_short(clamp.after)}, {clamp.reason}")
        for clamp in decision.sizing.clamps
    ]
    for name, value in rows:
        table.add_row(name, Text(value))
    return table


def _size(decision: Decision) -> str:
    text = _short(decision.position_size)
    if decision.position_type:
        text = f"{decision.position_type} {text}"
    if decision.risk_fraction is not None:
        text += f", {decision.risk_fraction:.2%} of equity lost at the stop"
    return text


def _short(value: Decimal | None) -> str:
    return "-" if value is None else f"{value.quantize(Decimal('0.00000001')).normalize():f}"


def _pulse_line(decision: Decision) -> str:
    confluence, missing = decision.pulse.confluence, decision.pulse.missing
    text = f"{confluence.direction} {confluence.score} %"
    return f"{text}, no data for {', '.join(missing)}" if missing else text


def _print_votes(console: Console, decision: Decision) -> None:
    """The votes with their reasons beside them, or below where the terminal is too narrow for both."""
    meta = decision.ensemble_metadata
    beside = console.width >= ROOM_FOR_REASONS
    costs = any(opinion.cost_usd for opinion in decision.opinions)
    table = Table(title=f"votes, {meta['fallback_tier']}", title_justify="left")
    for head in ("provider", "vote", "confidence", "weight", "latency", *(("cost",) if costs else ())):
        table.add_column(head, no_wrap=head != "provider", overflow="fold")
    if beside:
        table.add_column("why", overflow="fold")
    reasons = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    reasons.add_column(style="dim", no_wrap=True)
    reasons.add_column(overflow="fold")
    for opinion in decision.opinions:
        cells = _vote(opinion, meta.get("adjusted_weights", {}), costs=costs)
        table.add_row(*cells, *((_why(opinion),) if beside else ()))
        reasons.add_row(Text(clean(opinion.provider)), _why(opinion))
    console.print(table)
    if not beside:
        console.print(reasons)


def _vote(opinion: Opinion, weights: Mapping[str, float], *, costs: bool) -> list[Text]:
    weight, failed = weights.get(opinion.provider), opinion.action is None
    style = "red" if opinion.action is None else ACTION_STYLES[opinion.action]
    cells = [
        Text(clean(opinion.provider)),
        Text("failed" if opinion.action is None else opinion.action.value, style=style),
        Text("-" if failed else str(opinion.confidence)),
        Text("-" if failed or weight is None else f"{weight:.3f}"),
        Text(_latency(opinion.latency_ms)),
    ]
    return (
        [*cells, Text("-" if failed and opinion.cost_usd is None else _dollars(opinion.cost_usd))] if costs else cells
    )


def _why(opinion: Opinion) -> Text:
    """What was said, or what went wrong and how to mend it."""
    if opinion.error is None:
        return Text(clean(opinion.reasoning))
    told = Text(clean(opinion.error))
    return told.append(f" ({clean(opinion.hint)})", style="cyan") if opinion.hint else told


def _latency(ms: float | None) -> str:
    if ms is None:
        return "-"
    return "<1 ms" if ms < 1 else f"{ms:.0f} ms" if ms < 999.5 else f"{ms / 1000:.1f} s"


def _dollars(cost: Decimal | None) -> str:
    return "unknown" if cost is None else f"${cost:.4f}" if cost else "$0"


def _print_rulings(console: Console, decision: Decision) -> None:
    """A row for each rule that has something to say; the others by name, in their order."""
    quiet = [held for held in decision.rulings if held.outcome is RulingOutcome.PASSED and not held.reason]
    away = [held for held in decision.rulings if held.outcome is RulingOutcome.NOT_APPLICABLE]
    told = [held for held in decision.rulings if held not in quiet and held not in away]
    if told:
        table = Table("risk rule", "ruling", "why", title="risk", title_justify="left")
        for ruling in told:
            table.add_row(clean(ruling.rule), ruling.outcome.value, Text(clean(ruling.reason)))
        console.print(table)
    for words, rulings in (("risk rules passed", quiet), ("not applicable", away)):
        if rulings:
            console.print(Text(f"{words}: {', '.join(clean(held.rule) for held in rulings)}", style="dim"))


def _pulse(decision: Decision) -> Table:
    table = Table("frame", "trend", "signal", "RSI", "MACD", "%B", "ADX", "ATR", title="pulse", title_justify="left")
    for name in PULSE_TIMEFRAMES:
        frame = decision.pulse.frames.get(name)
        if frame is None:
            table.add_row(name.value, Text("no data", style="dim"), *("-",) * 6)
        else:
            table.add_row(name.value, *_frame_cells(frame))
    return table


def _frame_cells(frame: FramePulse) -> tuple[str, ...]:
    return (
        f"{frame.trend.value} {frame.strength}",
        str(frame.signal_strength),
        _rsi(frame.rsi),
        "-" if frame.macd_histogram is None else "bullish" if frame.macd_histogram > 0 else "bearish",
        "-" if frame.bb_percent_b is None else f"{frame.bb_percent_b:.0f} %",
        _adx(frame),
        "-" if frame.atr is None else f"{format_price(frame.atr)} {frame.volatility_class.value}",
    )


def _rsi(rsi: float | None) -> str:
    if rsi is None:
        return "-"
    word = " overbought" if rsi > 70 else " oversold" if rsi < 30 else ""
    return f"{rsi:.1f}{word}"


def _adx(frame: FramePulse) -> str:
    if frame.adx is None or frame.plus_di is None or frame.minus_di is None:
        return "-"
    word = "strong" if frame.adx > 25 else "developing" if frame.adx > 20 else "weak"
    return f"{frame.adx:.1f} {word}, {'+DI' if frame.plus_di > frame.minus_di else '-DI'}"


def print_ranking(console: Console, decisions: Sequence[Decision]) -> None:
    """One line a decision, those worth acting on first."""
    table = Table("asset", "action", "confidence", "effect", "price", "size", "decision")
    for decision in decisions:
        table.add_row(
            decision.asset_pair,
            Text(decision.action.value, style=ACTION_STYLES[decision.action]),
            str(decision.confidence),
            _effect(decision),
            format_price(decision.market.price),
            _short(decision.position_size),
            decision.id[:8],
        )
    if any(decision.market.synthetic for decision in decisions):
        console.print(Text("SYNTHETIC MARKET: these prices are invented", style="bold magenta"))
    console.print(table)
