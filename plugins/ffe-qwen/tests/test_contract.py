"""What the plugin offers keeps its contracts."""

from __future__ import annotations

from ffe_qwen import contract

from ffe_core.testing import PluginContract


class TestPlugin(PluginContract):
    plugin = "qwen"


class TestQwen(contract.Asked):
    """Everything that ``ffe_qwen/contract.py`` sets up."""
