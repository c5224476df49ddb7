"""The plugin host: what is installed, what is loaded, what it offers, and who is to blame when it fails."""

from __future__ import annotations

from ffe_core.domain.threads import start
from ffe_core.plugins.guard import call, one_line
from ffe_core.plugins.host import load_plugins
from ffe_core.plugins.registry import Offer, PluginInfo, Problem, Registry

__all__ = ["Offer", "PluginInfo", "Problem", "Registry", "call", "load_plugins", "one_line", "start"]
