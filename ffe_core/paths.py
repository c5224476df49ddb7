"""Where ffe keeps its files: under ``FFE_HOME``, else where the platform puts them, never in the working directory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ffe_core.errors import SettingsError

HOME_VARIABLE = "FFE_HOME"


@dataclass(frozen=True, slots=True)
class Paths:
    """Absolute folders; none is made until something is written there. ``home`` is None where the platform decides."""

    home: Path | None
    config: Path
    data: Path
    cache: Path
    logs: Path
    state: Path

    @property
    def base_file(self) -> Path:
        return self.config / "config.yaml"

    @property
    def overlay_file(self) -> Path:
        """What ``ffe config set`` writes: read after ``config.yaml``, so it wins over it."""
        return self.config / "config.local.yaml"

    @property
    def dotenv_file(self) -> Path:
        return self.config / ".env"

    @property
    def store_file(self) -> Path:
        """The embedded store, where no ``store.url`` is set."""
        return self.data / "ffe.db"

    @property
    def cassettes(self) -> Path:
        """Recorded answers, where ``cassette.dir`` says nothing else."""
        return self.cache / "cassettes"

    @property
    def spending(self) -> Path:
        """What models cost, a file a day."""
        return self.state / "spending"


def resolve_paths(env: Mapping[str, str] | None = None, *, home: Path | None = None) -> Paths:
    """The folders of this run: ``home``, else ``FFE_HOME`` in ``env`` (default: the process's), else platformdirs.

    Raises ``SettingsError`` for a relative home, which would mean another ledger in every working directory.
    """
    variables = os.environ if env is None else env
    chosen = home if home is not None else variables.get(HOME_VARIABLE, "").strip()
    if not chosen:
        return _platform_paths()
    root = Path(chosen).expanduser()
    if not root.is_absolute():
        raise SettingsError(
            f"environment {HOME_VARIABLE}: {str(chosen)!r} is relative; write an absolute path",
            hint="a relative home would be another one in every folder that ffe is called from",
        )
    return Paths(root, root / "config", root / "data", root / "cache", root / "logs", root / "state")


def _platform_paths() -> Paths:
    from platformdirs import PlatformDirs

    dirs = PlatformDirs("ffe", appauthor=False)
    return Paths(
        None,
        dirs.user_config_path,
        dirs.user_data_path,
        dirs.user_cache_path,
        dirs.user_log_path,
        dirs.user_state_path,
    )
