from __future__ import annotations

import subprocess
import sys

import ffe_lab
import pytest


def test_the_door_offers_what_it_names_in_order() -> None:
    assert ffe_lab.__all__ == sorted(ffe_lab.__all__)
    for name in ffe_lab.__all__:
        assert getattr(ffe_lab, name).__name__ == name
        assert name in dir(ffe_lab)
    with pytest.raises(AttributeError, match="no attribute 'backtets'"):
        ffe_lab.backtets  # noqa: B018


def test_a_function_stays_one_after_its_module_was_imported() -> None:
    code = (
        "import sys, ffe_lab; light = not {'numpy', 'pandas', 'numba'} & set(sys.modules);"
        "import ffe_lab.backtest, ffe_lab.sweep; from ffe_lab.backtest import run; from ffe_lab import backtest, sweep;"
        "print(light, backtest.__module__, sweep.__module__, callable(backtest), callable(sweep))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "ffe_lab.backtest", "ffe_lab.sweep", "True", "True"]
