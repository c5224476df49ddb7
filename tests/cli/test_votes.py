"""The table of votes: who said what, how long it took, what it cost, who failed, and what to do about that."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ffe_core import Action, Decision, FixedClock, Opinion, ProviderFailed
from ffe_core.cli.render import print_decision
from ffe_core.domain.codec import decision_data
from ffe_core.engine import Engine
from ffe_core.plugins import load_plugins
from ffe_core.plugins.registry import Offer
from ffe_core.settings import load_settings
from ffe_core.testing import FakeProvider
from tests.engine.deciding import Memory

AT = datetime(2025, 3, 28, 23, tzinfo=UTC)
TOLD = "The trend is up, the close held above its average, and momentum recovers from oversold readings of last week."


def said(name: str, action: Action, **facts: Any) -> FakeProvider:
    return FakeProvider(Opinion(name, "m", action, 60, TOLD, prompt="so?", tokens_in=9, **facts), name=name)


@pytest.fixture
def decision(home: Path) -> Decision:
    """Five providers, of which two fail."""
    panel = (
        said("gemini", Action.BUY, cost_usd=Decimal("0.0031"), latency_ms=1312.0),
        FakeProvider(ProviderFailed("connection refused", hint="start it: ollama serve"), name="ollama"),
        FakeProvider(ProviderFailed("codex is not signed in\x1b[31m", hint="codex login"), name="codex"),
        said("qwen", Action.SELL, cost_usd=Decimal(0), latency_ms=412.4),
    )
    settings = load_settings(env={"FFE_PLUGINS": ""}, home=home)
    registry = load_plugins(settings, clock=FixedClock(AT))
    for provider in panel:
        registry.offer("provider", provider.name, Offer("temple", provider))
    names = [*(provider.name for provider in panel), "trend_adx"]
    with Engine(settings, registry, clock=FixedClock(AT), store=Memory()) as engine:  # type: ignore[arg-type]
        made = engine.analyze("BTCUSD", at=AT, providers=names)
    rule = replace(made.opinions[-1], latency_ms=0.2)
    return replace(made, opinions=(*made.opinions[:-1], rule))


def shown(decision: Decision, width: int) -> list[str]:
    file = io.StringIO()
    print_decision(Console(file=file, width=width, highlight=False), decision)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    return lines


def row(lines: list[str], name: str) -> list[str]:
    (found,) = (line for line in lines if line.startswith(f"│ {name} "))
    return [cell.strip() for cell in found.strip("│").split("│")]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_each_vote_has_its_weight_latency_and_cost_and_each_failure_its_reason(decision: Decision, width: int) -> None:
    lines = shown(decision, width)
    assert row(lines, "gemini")[:6] == ["gemini", "BUY", "60", "0.333", "1.3 s", "$0.0031"]
    assert row(lines, "qwen")[:6] == ["qwen", "SELL", "60", "0.333", "412 ms", "$0"]
    assert row(lines, "trend_adx")[:6] == ["trend_adx", "SELL", "60", "0.333", "<1 ms", "$0"]
    assert row(lines, "ollama")[:6] == ["ollama", "failed", "-", "-", "-", "-"]
    text = " ".join(" ".join(line.split("│")[-2] if "│" in line else line for line in lines).split())
    assert "connection refused (start it: ollama serve)" in text
    assert "codex is not signed in" in text and "(codex login)" in text
    assert "\x1b" not in text
    assert TOLD in text


def test_where_nothing_costs_anything_there_is_no_such_column(decision: Decision) -> None:
    free = replace(decision, opinions=tuple(replace(each, cost_usd=None) for each in decision.opinions))
    assert not any("cost" in line for line in shown(free, 100) if line.startswith("┃"))


def test_json_tells_the_remedy_of_a_failure(decision: Decision) -> None:
    opinions = {opinion["provider"]: opinion for opinion in decision_data(decision)["opinions"]}
    assert opinions["ollama"]["hint"] == "start it: ollama serve"
    assert opinions["qwen"]["hint"] is None
