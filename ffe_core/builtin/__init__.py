"""The built-in plugins, written like any other; this is the one list of them, in the order they load."""

from __future__ import annotations

BUILTINS: dict[str, str] = {
    "demo": "ffe_core.builtin.demo",
    "sample": "ffe_core.builtin.sample",
    "files": "ffe_core.builtin.files",
    "rules": "ffe_core.builtin.rules",
    "voting": "ffe_core.builtin.voting",
    "rounds": "ffe_core.builtin.rounds",
    "skills": "ffe_core.builtin.skills",
    "gate": "ffe_core.builtin.gate",
    "paper": "ffe_core.builtin.paper",
    "executors": "ffe_core.builtin.executors",
}
