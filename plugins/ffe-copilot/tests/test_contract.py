"""What the plugin offers keeps its contracts."""

from __future__ import annotations

from ffe_copilot import contract

from ffe_core.testing import PluginContract


class TestPlugin(PluginContract):
    plugin = "copilot"


class TestCopilot(contract.Asked):
    """Everything that ``ffe_copilot/contract.py`` sets up."""
