"""What the plugin offers keeps its contracts."""

from __future__ import annotations

import pytest
from ffe_dask import contract

from ffe_core.testing import PluginContract


class TestPlugin(PluginContract):
    plugin = "dask"


@pytest.mark.slow
class TestDask(contract.Kept):
    """Everything that ``ffe_dask/contract.py`` sets up, each on a cluster of its own."""
