"""``ffe paths``: where the files are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ffe_core.cli.session import Session, command

if TYPE_CHECKING:
    from rich.console import Console


@command()
def paths(session: Session) -> None:
    """Print where ffe keeps its files.

    FFE_HOME moves all of them. Nothing is made by asking.
    """
    places = session.paths
    rows = {
        "home": places.home,
        "config": places.config,
        "config_file": places.base_file,
        "local_config_file": places.overlay_file,
        "dotenv_file": places.dotenv_file,
        "data": places.data,
        "store_file": places.store_file,
        "cache": places.cache,
        "logs": places.logs,
        "state": places.state,
    }

    def render(console: Console) -> None:
        for name, place in rows.items():
            if place is not None:
                there = "" if place.exists() else "  (not there yet)"
                console.out(f"{name.replace('_', ' '):<18}{place}{there}", highlight=False)

    session.emit(rows, render)
