"""What must be remembered from one command to the next about services: breakers and spent allowances.

A small database file of its own, beside the ledger rather than in it: losing it costs a few calls, never money.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

FILE = "net.db"
#: seconds to wait for another process that is writing
BUSY = 5.0

_log = logging.getLogger(__name__)


class StateStore(Protocol):
    """Texts by (kind, name), each changed in one step that no other thread or process can come between."""

    def read(self, kind: str, name: str) -> str | None: ...

    def update[T](self, kind: str, name: str, change: Callable[[str | None], tuple[str | None, T]]) -> T:
        """Stores the first of what ``change`` makes of the present text (``None``: nothing), returns the second."""
        ...

    def all(self, kind: str) -> Mapping[str, str]: ...


class MemoryState:
    """A store for one process; shared by its threads."""

    def __init__(self) -> None:
        self._texts: dict[tuple[str, str], str] = {}
        self._lock = threading.Lock()

    def read(self, kind: str, name: str) -> str | None:
        return self._texts.get((kind, name))

    def update[T](self, kind: str, name: str, change: Callable[[str | None], tuple[str | None, T]]) -> T:
        with self._lock:
            text, answer = change(self._texts.get((kind, name)))
            if text is not None:
                self._texts[kind, name] = text
            return answer

    def all(self, kind: str) -> Mapping[str, str]:
        with self._lock:
            return {name: text for (of, name), text in sorted(self._texts.items()) if of == kind}


class FileState:
    """A store that outlives the process, in ``folder``; made on first use, shared by threads and processes.

    Where the file cannot be used (a full or read-only disk), a warning says so once and this process remembers for
    itself: no analysis fails because a breaker could not be written down.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._instead: MemoryState | None = None

    def read(self, kind: str, name: str) -> str | None:
        with self._lock:
            if self._instead is None:
                try:
                    return _text(self._open(), kind, name)
                except (sqlite3.Error, OSError) as error:
                    self._give_up(error)
            return self._memory().read(kind, name)

    def update[T](self, kind: str, name: str, change: Callable[[str | None], tuple[str | None, T]]) -> T:
        with self._lock:
            if self._instead is None:
                try:
                    return self._updated(kind, name, change)
                except (sqlite3.Error, OSError) as error:
                    self._give_up(error)
            return self._memory().update(kind, name, change)

    def all(self, kind: str) -> Mapping[str, str]:
        with self._lock:
            if self._instead is None and self.path.exists():
                try:
                    rows = self._open().execute("SELECT name, text FROM state WHERE kind = ? ORDER BY name", (kind,))
                    return dict(rows.fetchall())
                except (sqlite3.Error, OSError) as error:
                    self._give_up(error)
            return self._memory().all(kind) if self._instead else {}

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _updated[T](self, kind: str, name: str, change: Callable[[str | None], tuple[str | None, T]]) -> T:
        connection = self._open()
        with _at_once(connection):
            before = _text(connection, kind, name)
            after, answer = change(before)
            if after is not None and after != before:
                connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?, ?)", (kind, name, after))
        return answer

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            try:
                self._connection = _connect(self.path)
            except sqlite3.DatabaseError as error:
                if not _is_damaged(error):
                    raise
                # Not a database any more, after a power cut or by another program: what it knew is gone either way.
                _log.warning("%s is damaged (%s) and is begun anew", self.path, error)
                _remove(self.path)
                self._connection = _connect(self.path)
            weakref.finalize(self, self._connection.close)
        return self._connection

    def _give_up(self, error: Exception) -> None:
        _log.warning("what services allow is remembered for this run only: %s: %s", self.path, error)
        self._instead = MemoryState()
        self.close()
        if _is_damaged(error):
            _remove(self.path)

    def _memory(self) -> MemoryState:
        self._instead = self._instead or MemoryState()
        return self._instead


def _is_damaged(error: Exception) -> bool:
    return isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)


def _connect(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=BUSY, isolation_level=None, check_same_thread=False)
    try:
        _write_ahead(connection)
        # Survives the end of the process at any point; of a power cut, the last moments.
        connection.execute("PRAGMA synchronous = NORMAL")
        # Nothing waits for the disk when a command ends: the log is folded in when it has grown.
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)
        connection.execute(
            "CREATE TABLE IF NOT EXISTS state"
            " (kind TEXT, name TEXT, text TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID"
        )
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turns the log on. Where several processes meet a new file, SQLite refuses at once rather than wait."""
    for patience in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, None):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if patience is None:
                raise
            time.sleep(patience)
        else:
            return


@contextlib.contextmanager
def _at_once(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction that holds the right to write from its first look on."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _text(connection: sqlite3.Connection, kind: str, name: str) -> str | None:
    row = connection.execute("SELECT text FROM state WHERE kind = ? AND name = ?", (kind, name)).fetchone()
    return None if row is None else str(row[0])


def _remove(path: Path) -> None:
    for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        each.unlink(missing_ok=True)
