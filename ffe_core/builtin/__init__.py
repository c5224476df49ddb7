"""The built-in plugins, written like any other; this is the one list of them, in the order they load."""

from __future__ import annotations

from typing import NamedTuple


class Builtin(NamedTuple):
    """What is known of a plugin before it is imported: where it is, the kind of its offers, whether it has settings."""

    module: str
    kind: str
    settings: bool = True


BUILTINS: dict[str, Builtin] = {
    "demo": Builtin("ffe_core.builtin.demo", "source"),
    "sample": Builtin("ffe_core.builtin.sample", "source", settings=False),
    "files": Builtin("ffe_core.builtin.files", "source"),
    "rules": Builtin("ffe_core.builtin.rules", "provider", settings=False),
    "voting": Builtin("ffe_core.builtin.voting", "strategy", settings=False),
    "rounds": Builtin("ffe_core.builtin.rounds", "strategy"),
    "skills": Builtin("ffe_core.builtin.skills", "strategy"),
    "gate": Builtin("ffe_core.builtin.gate", "rule", settings=False),
    "paper": Builtin("ffe_core.builtin.paper", "platform"),
    "executors": Builtin("ffe_core.builtin.executors", "executor"),
}
