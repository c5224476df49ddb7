"""The built-in plugins are held to what any author's plugin is held to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ffe_core.builtin import demo, files, gate, rules
from ffe_core.testing import (
    AIProviderContract,
    DataSourceContract,
    RiskRuleContract,
    make_candles,
    make_context,
)
from tests.testing.trials import broken_checks, contract


@pytest.mark.parametrize("provider", rules.ffe_ai_providers(), ids=lambda provider: provider.name)
def test_every_built_in_rule_provider_keeps_the_contract(provider: Any) -> None:
    assert broken_checks(contract(AIProviderContract, lambda: provider)) == {}


@pytest.mark.parametrize("rule", gate.ffe_risk_rules(), ids=lambda rule: rule.name)
def test_every_built_in_risk_rule_keeps_the_contract(rule: Any) -> None:
    guards = rule.name == "data_sanity"
    assert broken_checks(contract(RiskRuleContract, lambda: rule, guards_data=guards)) == {}


def test_the_demo_market_keeps_the_contract(tmp_path: Path) -> None:
    def make() -> Any:
        (source,) = demo.ffe_data_sources(demo.Settings(), make_context(tmp_path, "demo"))
        return source

    assert broken_checks(contract(DataSourceContract, make, unknown_asset=None)) == {}


def test_the_files_source_keeps_the_contract(tmp_path: Path) -> None:
    candles = make_candles(bars=200)
    folder = tmp_path / "candles"
    folder.mkdir()
    candles.frame().to_csv(folder / "BTCUSD_1h.csv")

    def make() -> Any:
        (source,) = files.ffe_data_sources(files.FilesSettings(path=folder), make_context(tmp_path, "files"))
        return source

    assert broken_checks(contract(DataSourceContract, make)) == {}
