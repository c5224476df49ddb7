"""Modules are compiled together or not at all."""

from __future__ import annotations

from types import ModuleType

import pytest
from ffe_lab import loop
from ffe_lab.machine import compiled


def test_one_name_with_two_meanings_is_no_machine_code(tmp_path_factory: pytest.TempPathFactory) -> None:
    """It would silently be the later one, also in the loop."""
    source = tmp_path_factory.mktemp("apart") / "apart.py"
    source.write_text(f"UNITS = {loop.UNITS + 5}\n")
    apart = ModuleType("apart")
    apart.__file__, apart.UNITS = str(source), loop.UNITS + 5  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"apart\.UNITS"):
        compiled(apart)
