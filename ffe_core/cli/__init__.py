"""The command line. Commands, ours and those of other packages, are made with ``command`` and ``group``."""

from __future__ import annotations

from ffe_core.cli.app import main
from ffe_core.cli.session import Group, Session, command, group, pass_session

__all__ = ["Group", "Session", "command", "group", "main", "pass_session"]
