"""Small files that several processes change: one at a time, and whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ffe_core.errors import StoreError

#: seconds to wait for another process
PATIENCE = 15.0


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Keeps every other process that asks the same out of ``folder``, which is made. Raises ``StoreError``."""
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=PATIENCE, mode=0o600)
        lock.acquire()
    except Timeout as error:
        raise StoreError(f"another process keeps {folder} locked", hint="try again when it has ended") from error
    except OSError as error:
        raise StoreError(f"{folder} may not be written: {error.strerror}", hint="check its owner and mode") from error
    try:
        yield
    finally:
        lock.release()


def replace_whole(path: Path, content: bytes) -> None:
    """``path`` with ``content``, mode 0600; a reader sees the old file or the new one. Raises ``StoreError``."""
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".writing-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(draft).replace(path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}", hint="check its folder and the disk") from error
