"""What is written about hooks is what the specification says."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from ffe_core import hookspecs
from ffe_core.hookspecs import COMPOSITION_HOOKS, CONTRIBUTION_HOOKS, EVENT_HOOKS
from ffe_core.plugins.reference import hooks_reference

PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"
HOOKS = ["ffe_settings", *COMPOSITION_HOOKS, *CONTRIBUTION_HOOKS, *EVENT_HOOKS]


def test_every_hook_is_on_the_page_and_no_other() -> None:
    specified = {
        name for name, value in vars(hookspecs).items() if name.startswith("ffe_") and inspect.isfunction(value)
    }
    assert (
        set(re.findall(r"^### (ffe_\w+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)) == specified == set(HOOKS)
    )


@pytest.mark.parametrize("hook", HOOKS)
def test_the_printed_signature_is_the_specified_one(hook: str) -> None:
    printed = re.search(rf"^def {hook}\((.*)\) -> (.*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert printed is not None
    signature = inspect.signature(getattr(hookspecs, hook))
    arguments = [f"{name}: {parameter.annotation}" for name, parameter in signature.parameters.items()]
    assert printed[1] == ", ".join(arguments)
    assert printed[2] == signature.return_annotation


def test_the_page_is_what_the_specification_makes_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == hooks_reference(), "write docs/hooks.md anew from hooks_reference()"
