"""What the plugin offers keeps its contracts."""

from __future__ import annotations

from ffe_codex import contract

from ffe_core.testing import PluginContract


class TestPlugin(PluginContract):
    plugin = "codex"


class TestCodex(contract.Asked):
    """Everything that ``ffe_codex/contract.py`` sets up."""
