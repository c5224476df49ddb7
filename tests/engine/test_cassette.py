"""A run recorded once is had again, byte for byte, without asking anybody."""

import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from ffe_core import Action, FixedClock, Note, Opinion, ProviderFailed, Trust
from ffe_core.ai.cassette import Tape
from ffe_core.domain.codec import canonical_json
from ffe_core.engine import Engine
from ffe_core.errors import BudgetSpent, CassetteMiss, NoData, VerificationFailed
from ffe_core.plugins import load_plugins
from ffe_core.plugins.guard import Guard
from ffe_core.plugins.proxies import GuardedProvider, GuardedSource
from ffe_core.plugins.registry import Loaded, Offer
from ffe_core.settings import Settings, load_settings
from tests.engine.deciding import Memory

AT = datetime(2023, 6, 1, tzinfo=UTC)
GIVEN = ("id", "created_at")


@dataclass
class Oracle:
    """A model elsewhere that never says the same twice, and fails when told to."""

    name: str = "oracle"
    model: str = "delphi"
    local: bool = False
    fails: str = ""
    asked: int = 0

    def ask(self, briefing, *, timeout):
        self.asked += 1
        if self.fails:
            raise ProviderFailed(self.fails)
        return Opinion(
            self.name, self.model, Action.BUY, 50 + self.asked, f"vision {self.asked}", prompt="so?", raw_reply="{}",
            tokens_in=1000, tokens_out=200,
        )  # fmt: skip


def engine(settings, *providers, hooks=None, clock=None):
    clock = clock or FixedClock(AT + timedelta(days=900))
    registry = load_plugins(settings, clock=clock)
    for provider in providers:
        registry.offer("provider", provider.name, Offer("temple", provider))
    if hooks:
        registry.loaded.append(Loaded("news", Guard("news", 5.0), hooks))
    return Engine(settings, registry, clock=clock, store=Memory())


def record_of(engine, tape, at=AT, *, folder=None, **options):
    """The bytes of the record, apart from what the store and the wall clock give it."""
    engine.tape(Tape(tape), folder)
    engine.analyze("BTCUSD", at=at, **options)
    record = engine.store.records[-1]
    body = {name: value for name, value in record["decision"].items() if name not in GIVEN}
    return canonical_json({**record, "decision": body})


@pytest.fixture
def settings(home):
    return load_settings(env={"FFE_PLUGINS": ""}, home=home)


@pytest.fixture
def unplugged(monkeypatch):
    """No socket, and nobody who could be asked."""

    def ask(*_, **__):
        raise AssertionError("a replay asked somebody")

    def unplug():
        for kind, method in ((GuardedProvider, "ask"), (GuardedSource, "candles"), (GuardedSource, "serves")):
            monkeypatch.setattr(kind, method, ask)
        monkeypatch.setattr(Oracle, "ask", ask)
        monkeypatch.setattr(socket, "socket", ask)

    return unplug


def test_a_replay_gives_the_same_bytes_and_asks_nobody(settings, unplugged):
    panel = ("oracle", "local", "trend_adx")
    recorded = record_of(engine(settings, Oracle()), "record", providers=panel)
    assert b"vision 1" in recorded
    unplugged()
    assert record_of(engine(settings, Oracle()), "replay", providers=panel) == recorded


def test_a_failed_provider_fails_again_in_the_same_words(settings, unplugged):
    panel = ("oracle", "local")
    recorded = record_of(engine(settings, Oracle(fails="503 overloaded")), "record", providers=panel)
    assert b"503 overloaded" in recorded
    unplugged()
    assert record_of(engine(settings, Oracle()), "replay", providers=panel) == recorded


def test_no_data_is_no_data_again(settings, unplugged, home):
    for tape in ("record", "replay"):
        with pytest.raises(NoData, match="files: does not have BTCUSD"):
            record_of(engine(settings), tape, source="files")
        unplugged()


def test_a_replay_of_something_else_is_a_miss(settings, unplugged):
    record_of(engine(settings), "record")
    unplugged()
    for options in ({"at": AT + timedelta(hours=1)}, {"providers": ["oracle"]}, {"at": None}):
        with pytest.raises(CassetteMiss, match="never recorded"):
            record_of(engine(settings, Oracle()), "replay", **options)


def test_a_live_recording_replays_at_its_instant(settings, unplugged):
    now = AT.replace(microsecond=123456)
    made = []
    # The account takes part in a live decision: a real store holds it.
    for tape, clock, at in (("record", now, None), ("replay", now + timedelta(days=1), now)):
        with Engine.from_settings(settings, clock=FixedClock(clock)) as each:
            each.tape(Tape(tape))
            made.append(canonical_json(each.analyze("BTCUSD", at=at).opinions))
        unplugged()
    assert made[0] == made[1]


def test_auto_asks_for_what_is_missing_only(settings):
    oracle = Oracle()
    first = record_of(engine(settings, oracle), "auto", providers=["oracle"])
    assert record_of(engine(settings, oracle), "auto", providers=["oracle"]) == first
    assert oracle.asked == 1
    record_of(engine(settings, oracle), "auto", providers=["oracle"], at=AT + timedelta(hours=1))
    assert oracle.asked == 2


def test_without_a_cassette_everybody_is_asked_and_nothing_is_kept(settings, home):
    oracle = Oracle()
    for _ in range(2):
        engine(settings, oracle).analyze("BTCUSD", at=AT, providers=["oracle"])
    assert oracle.asked == 2
    assert not (home / "cache" / "cassettes").exists()


def test_notes_from_outside_are_part_of_the_world(settings, unplugged):
    def news(request):
        return [Note("", Trust.UNTRUSTED, AT, "the bridge is closed")]

    recorded = record_of(engine(settings, hooks={"ffe_brief": news}), "record")
    assert b"the bridge is closed" in recorded
    unplugged()
    assert record_of(engine(settings, hooks={"ffe_brief": lambda request: 1 / 0}), "replay") == recorded


def test_a_damaged_cassette_is_one_error_and_asks_nobody(settings, unplugged, tmp_path):
    record_of(engine(settings), "record", folder=tmp_path / "world")
    for file in (tmp_path / "world" / "candles").iterdir():
        file.write_bytes(file.read_bytes()[:-20] + b"\n")
    unplugged()
    with pytest.raises(VerificationFailed, match="not as this version wrote it"):
        record_of(engine(settings), "replay", folder=tmp_path / "world")


def test_the_folder_is_where_settings_or_the_caller_say(home, tmp_path):
    chosen = Settings(cassette={"dir": tmp_path / "mine"}, plugins={"enabled": []})
    chosen._paths = load_settings(env={}, home=home).paths
    record_of(engine(chosen), "record")
    record_of(engine(chosen), "record", folder=tmp_path / "yours")
    assert (tmp_path / "mine" / "candles").is_dir()
    assert (tmp_path / "yours" / "candles").is_dir()


# Cost


@pytest.fixture
def priced(home):
    row = "{model: delphi, from: 2023-01-01, input_usd_per_million: 2, output_usd_per_million: 8}"
    (home / "config").mkdir()
    (home / "config" / "config.yaml").write_text(f"ai:\n  prices: [{row}]\n", encoding="utf-8")
    return load_settings(env={"FFE_PLUGINS": ""}, home=home)


def test_a_decision_says_what_each_opinion_cost_and_a_replay_costs_nothing(priced, home, unplugged):
    recorded = record_of(engine(priced, Oracle()), "record", providers=["oracle", "local"])
    # 1000 x 2 / 1e6 + 200 x 8 / 1e6; a rule is free.
    assert b'"cost_usd":"0.0036"' in recorded
    assert b'"cost_usd":"0"' in recorded
    (bill,) = (home / "state" / "spending").glob("*.json")
    before = bill.read_bytes()
    unplugged()
    broke = engine(priced, Oracle())
    broke.answers.budget_usd = Decimal(0)
    assert record_of(broke, "replay", providers=["oracle", "local"]) == recorded
    assert bill.read_bytes() == before


def test_a_budget_that_is_spent_asks_nobody_and_stores_nothing(priced):
    oracle = Oracle()
    poor = engine(priced, oracle)
    # Room for the estimate of one call, not for one call and another estimate.
    poor.answers.budget_usd = Decimal("0.019")
    poor.analyze("BTCUSD", at=AT, providers=["oracle"])
    with pytest.raises(BudgetSpent, match=r"\$0\.0036 of today's \$0\.019 is spent"):
        poor.analyze("BTCUSD", at=AT, providers=["oracle", "local"])
    assert oracle.asked == 1
    assert len(poor.store.records) == 1


def test_a_budget_says_what_it_cannot_count(settings):
    poor = engine(settings, Oracle())
    poor.answers.budget_usd = Decimal(1)
    warnings = poor.analysis("BTCUSD", at=AT, providers=["oracle", "local"]).warnings
    assert "what oracle costs is not known and not counted: ai.prices has no row for delphi" in warnings
    assert not any("local" in line for line in warnings)
