"""Backups that are checked when they are made and again before they replace anything."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import exc

from ffe_core.errors import StoreError, UsageError, VerificationFailed
from ffe_core.store.chain import ChainReport, verify
from ffe_core.store.copy import copy_store, ready_target
from ffe_core.store.database import (
    FILE_NAME,
    Database,
    aside,
    explain,
    file_lock,
    has_content,
    make_private_folder,
    snapshot,
    sqlite_url,
    sync,
)
from ffe_core.store.repository import Store

_COMPANIONS = ("-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Backup:
    path: Path
    bytes: int
    chain: ChainReport


@dataclass(frozen=True, slots=True)
class Restored:
    """``kept`` is where the store that was there before lies now; ``None`` where there was none."""

    location: str
    kept: Path | None
    chain: ChainReport


def back_up(database: Database, target: Path) -> Backup:
    """Writes one consistent state into a new SQLite file, whatever the store is, and verifies what was written.

    Others may go on writing meanwhile. Raises ``UsageError`` where ``target`` exists, ``StoreError``,
    ``VerificationFailed``.
    """
    if target.exists():
        raise UsageError(f"{target} is already there", hint="name a file that does not exist yet")
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder {target.parent}")
    if database.path is not None:
        _snapshot(database.path, target)
    else:
        with TemporaryDirectory(dir=target.parent, prefix=".ffe-backup-") as folder:
            draft = Path(folder) / FILE_NAME
            with Database(sqlite_url(draft), clock=database.clock) as copy:
                ready_target(copy)
                copy_store(database, copy)
            _snapshot(draft, target)
    return Backup(target, target.stat().st_size, checked(target))


def restore(database: Database, source: Path) -> Restored:
    """Puts a backup in the store's place once it has proved whole; what was there is kept beside it.

    A backup of an older schema is upgraded on the way. Raises ``UsageError``, ``StoreError`` (the store is in use,
    or the backup is damaged or newer), ``VerificationFailed`` where its chain is broken.
    """
    if not source.is_file():
        raise UsageError(f"there is no file {source}")
    if database.path is None:
        return _restore_rows(database, source)
    if database.path.exists() and source.samefile(database.path):
        raise UsageError("the backup is the store itself")
    path = database.path
    make_private_folder(path.parent)
    draft = aside(path, "restoring", database.clock)
    try:
        chain = _draft(source, draft)
        database.close()
        with file_lock(path):
            kept = _set_aside(path, database) if has_content(path) else None
            draft.replace(path)
            sync(path.parent)
    finally:
        for name in ("", *_COMPANIONS):
            draft.with_name(draft.name + name).unlink(missing_ok=True)
    return Restored(str(path), kept, chain)


def checked(path: Path) -> ChainReport:
    """Proves a SQLite store whole: its pages and its chain. Raises ``StoreError``, ``VerificationFailed``."""
    _check_pages(path)
    with Database(sqlite_url(path)) as database:
        database.version()
        chain = verify(Store(database))
    if chain.broken is not None:
        raise VerificationFailed(f"{path}: record {chain.broken.seq}: {chain.broken.why}")
    return chain


def _check_pages(path: Path) -> None:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} is no store that can be read: {error}") from error
    if found != "ok":
        raise StoreError(f"{path} is damaged: {found}")


def _snapshot(source: Path, target: Path) -> None:
    try:
        snapshot(source, target)
    except exc.DBAPIError as error:
        raise explain(error, str(source)) from error


def _draft(source: Path, draft: Path) -> ChainReport:
    """A checked copy of a backup at the newest schema; the backup itself is only read."""
    _check_pages(source)
    _snapshot(source, draft)
    with Database(sqlite_url(draft)) as copy:
        if copy.version() is None:
            raise StoreError(f"{source} holds no store")
        copy.migrate()
    return checked(draft)


def _set_aside(path: Path, database: Database) -> Path:
    """Renames the present file and, where it is too damaged to be closed, what lies beside it."""
    _require_idle(path)
    kept = aside(path, "before-restore", database.clock)
    path.rename(kept)
    for name in _COMPANIONS:
        companion = path.with_name(path.name + name)
        if companion.exists():
            companion.rename(kept.with_name(kept.name + name))
    return kept


def _require_idle(path: Path) -> None:
    try:
        with closing(sqlite3.connect(path, timeout=0)) as connection:
            # Leaving WAL takes the file for oneself: it succeeds only while nobody else has it open.
            connection.execute("PRAGMA journal_mode=DELETE").fetchone()
    except sqlite3.OperationalError as error:
        raise StoreError(f"{path} is in use by another process", hint="end it, then restore") from error
    except sqlite3.DatabaseError:
        # Damaged beyond opening: nobody can be using it, and it is what a restore is for.
        return


def _restore_rows(database: Database, source: Path) -> Restored:
    with TemporaryDirectory(prefix="ffe-restore-") as folder:
        draft = Path(folder) / FILE_NAME
        chain = _draft(source, draft)
        ready_target(database)
        with Database(sqlite_url(draft)) as backup:
            copy_store(backup, database)
    return Restored(database.location, None, chain)
