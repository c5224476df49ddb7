import ast
import subprocess
import sys
from pathlib import Path

import ffe_core


def test_exported_names_are_sorted_complete_and_there():
    assert sorted(ffe_core.__all__) == ffe_core.__all__
    assert set(ffe_core.__all__) == set(ffe_core._HOME_OF)
    for name in ffe_core.__all__:
        assert getattr(ffe_core, name) is not None


def test_type_checkers_see_the_names_that_programs_get():
    tree = ast.parse(Path(ffe_core.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in block.body for alias in node.names}
    assert seen == set(ffe_core.__all__)


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, ffe_core, ffe_core.hookspecs, ffe_core.ports\n"
        "print([name for name in ('numpy', 'pandas', 'pydantic', 'requests', 'sqlmodel', 'sqlalchemy', 'stevedore',"
        " 'rich', 'structlog', 'pyarrow', 'numba') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"
