"""A decision through the whole engine, as the bytes of its record."""

from datetime import timedelta

from ffe_core import FixedClock
from ffe_core.domain.codec import canonical_json
from ffe_core.engine import Engine
from ffe_core.plugins import load_plugins
from ffe_core.plugins.guard import Guard
from ffe_core.plugins.registry import Loaded, Offer
from ffe_core.store.repository import StoredDecision

VARYING = {"id", "created_at", "hash", "previous_hash", "latency_ms", "fetched_at"}


class Memory:
    """A store that keeps what it was given, in the bytes that a store would keep."""

    def __init__(self):
        self.records = []

    def append(self, record):
        self.records.append(record)
        return StoredDecision(record["decision"]["id"], len(self.records), "0" * 64, "0" * 64)

    def close(self): ...


def record_of_decision(settings, at, *, sources=(), hooks=None, asset="BTCUSD"):
    """What ``analyze`` at ``at`` stores, 900 days later, with ``hooks`` of a plugin called ``chronicle``."""
    clock = FixedClock(at + timedelta(days=900))
    registry = load_plugins(settings, clock=clock)
    for source in sources:
        registry.offer("source", source.name, Offer("test", source))
    if hooks:
        registry.loaded.append(Loaded("chronicle", Guard("chronicle", 5.0), hooks))
    store = Memory()
    Engine(settings, registry, clock=clock, store=store).analyze(asset, at=at)
    return store.records[0]


def bytes_of(record):
    return canonical_json(stripped(record))


def stripped(value):
    if isinstance(value, dict):
        return {key: stripped(item) for key, item in value.items() if key not in VARYING}
    return [stripped(item) for item in value] if isinstance(value, list) else value
