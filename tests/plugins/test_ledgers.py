"""A plugin is lent ledgers of its own accounts in the store of the run, which nobody opens before it is needed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ffe_core import FixedClock, LedgerEntry, Mode, PluginContext, SafetyRefusal, StoreError, hookimpl
from ffe_core.engine import Engine
from ffe_core.hookspecs import no_ledgers
from ffe_core.plugins.host import Host, Roots, StandardLog
from ffe_core.plugins.ledgers import SharedStore
from ffe_core.plugins.registry import PluginInfo, Registry
from ffe_core.settings import Settings, load_settings
from ffe_core.store import Database, LedgerKey, Store
from ffe_core.store.backup import back_up
from ffe_core.testing import MemoryLedgers, make_order
from ffe_core.testing.samples import NOON

DEPOSIT = LedgerEntry(NOON, "deposit", Decimal(100), "USD")


class Till:
    """A plugin that keeps what it was lent."""

    context: PluginContext

    @hookimpl
    def ffe_platforms(self, context: PluginContext) -> tuple[()]:
        self.context = context
        return ()


def settings_of(home: Path, **env: str) -> Settings:
    return load_settings(env={"FFE_PLUGINS": "", "FFE_HOME": str(home), **env})


def lent(settings: Settings, *plugins: str) -> tuple[Registry, list[PluginContext]]:
    """What ``plugins`` are lent, in one run."""
    host = Host(settings, FixedClock(NOON), Roots(*[settings.paths.state] * 3), StandardLog, None)
    host.registry.store = SharedStore(settings)
    tills = [Till() for _ in plugins]
    for name, till in zip(plugins, tills, strict=True):
        host.compose(PluginInfo(name, "1", "test"), till)
    return host.registry, [till.context for till in tills]


def stores_in(home: Path) -> list[Path]:
    return list(home.rglob("*.db"))


def test_a_ledger_belongs_to_one_mode_plugin_account_and_kind_of_prices(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    registry, (context, other) = lent(settings, "till", "other")
    with registry:
        context.ledger("main", synthetic=False).append([DEPOSIT])
        for ledger in (
            other.ledger("main", synthetic=False),
            context.ledger("second", synthetic=False),
            context.ledger("main", synthetic=True),
        ):
            assert ledger.read() == []
        key = LedgerKey(Mode.PAPER, "till", "main", False)
        assert context.ledger("main", synthetic=False).read() == registry.store.open().ledger.read(key)


def test_real_money_has_its_ledger_and_is_not_lent_in_paper_mode(tmp_path: Path) -> None:
    registry, (paper,) = lent(settings_of(tmp_path), "till")
    with registry:
        paper.ledger("main", synthetic=False).append([DEPOSIT])
        with pytest.raises(SafetyRefusal, match="plugin till asks for a ledger of real money"):
            paper.ledger("main", synthetic=False, mode=Mode.LIVE)
    registry, (live,) = lent(settings_of(tmp_path, FFE_MODE="live"), "till")
    with registry:
        assert live.ledger("main", synthetic=False).read() == []
        assert len(live.ledger("main", synthetic=False, mode=Mode.PAPER).read()) == 1


def test_nothing_is_opened_before_an_entry_is_written(tmp_path: Path) -> None:
    registry, (context,) = lent(settings_of(tmp_path), "till")
    with registry:
        ledger = context.ledger("main", synthetic=False)
        assert ledger.read() == []
        assert stores_in(tmp_path) == []
        ledger.append([DEPOSIT])
        assert len(stores_in(tmp_path)) == 1


def test_the_engine_and_the_plugins_share_one_store(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    registry, (context,) = lent(settings, "till")
    with Engine(settings, registry) as engine:
        context.ledger("main", synthetic=False).append([DEPOSIT])
        assert engine.store is registry.store.open()


def test_a_store_that_the_engine_was_given_is_the_plugins_too(tmp_path: Path) -> None:
    settings = settings_of(tmp_path / "home")
    registry, (context,) = lent(settings, "till")
    with Engine(settings, registry, store=Store(Database.open(None, tmp_path / "given"))):
        context.ledger("main", synthetic=False).append([DEPOSIT])
    assert [path.parent.name for path in stores_in(tmp_path)] == ["given"]


def test_without_a_store_at_hand_the_plugin_is_told(tmp_path: Path) -> None:
    host = Host(settings_of(tmp_path), FixedClock(NOON), Roots(*[tmp_path] * 3), StandardLog, None)
    till = Till()
    host.compose(PluginInfo("till", "1", "test"), till)
    assert till.context.ledger is no_ledgers
    with pytest.raises(StoreError, match="no ledger for the account 'main'"):
        till.context.ledger("main", synthetic=True)


def test_an_authors_ledgers_refuse_what_the_host_refuses() -> None:
    ledgers = MemoryLedgers("till")
    ledgers("main", synthetic=False).append([DEPOSIT])
    assert len(ledgers("main", synthetic=False).read()) == 1
    assert ledgers("main", synthetic=True).read() == []
    with pytest.raises(SafetyRefusal):
        ledgers("main", synthetic=False, mode=Mode.LIVE)


def bought(engine: Engine, name: str) -> None:
    platform: Any = engine.registry.platform(name)
    platform.update_prices({"BTCUSD": Decimal(20_000)})
    platform.submit(make_order())


def test_an_analysis_sizes_on_the_ledger_and_one_of_the_past_never_touches_it(tmp_path: Path) -> None:
    now = NOON + timedelta(days=1)
    with Engine.from_settings(settings_of(tmp_path), clock=FixedClock(now)) as engine:
        bought(engine, "paper_synthetic")
        assert engine.analyze("BTCUSD").market.synthetic
        (held,) = engine.store.newest(1)
        # A ledger that cannot be read at all is none of a past analysis' business.
        engine.registry.store.if_there = None  # type: ignore[assignment, method-assign]
        engine.analyze("BTCUSD", at=NOON)
        (flat,) = engine.store.newest(1)
    assert [float(each["quantity"]) for each in held.inputs["portfolio"]["positions"]] == [0.1]
    assert flat.inputs["portfolio"]["positions"] == []
    assert flat.inputs["portfolio"]["cash"] == "10000"


def test_paper_money_is_in_the_backup(tmp_path: Path) -> None:
    settings = settings_of(tmp_path)
    with Engine.from_settings(settings, clock=FixedClock(NOON)) as engine:
        bought(engine, "paper")
        back_up(engine.store.database, tmp_path / "copy.db")
    with Database.open(str(tmp_path / "copy.db")) as database:
        entries = Store(database).ledger.read(LedgerKey(Mode.PAPER, "paper", "main", False))
    assert [entry.kind for entry in entries] == ["deposit", "trade", "fee"]
