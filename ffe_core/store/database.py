"""Where the store lies: an embedded SQLite file, or a PostgreSQL server by URL.

``Database.open`` hands out a database whose schema is current, or says in one line why not. ``reading`` and
``writing`` are the only ways in; the writer holds the chain's head until it commits.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc, inspect, make_url, select, text
from sqlalchemy.pool import NullPool

from ffe_core.domain.clock import Clock, SystemClock
from ffe_core.errors import StoreError, UsageError
from ffe_core.store import tables

if TYPE_CHECKING:
    from ffe_core.settings import Settings

FILE_NAME = "ffe.db"
#: seconds that a writer waits for another one
PATIENCE = 15.0

_NETWORK_KINDS = frozenset(
    "nfs nfs4 cifs smb3 smbfs 9p afs ceph lustre glusterfs davfs beegfs gpfs fuse.sshfs fuse.glusterfs fuse.ceph "
    "fuse.rclone fuse.s3fs fuse.davfs2 fuse.gcsfuse".split()
)


@dataclass(frozen=True, slots=True)
class Upgrade:
    """What ``Database.upgrade`` did; ``backup`` is the copy of the older store, where one was made."""

    before: str | None
    after: str
    backup: Path | None = None

    @property
    def changed(self) -> bool:
        return self.before != self.after


class Database:
    """One store's engine. ``path`` is set for SQLite only; ``location`` never shows a password."""

    def __init__(self, url: URL, *, clock: Clock | None = None, patience: float = PATIENCE) -> None:
        self.url = url
        self.clock: Clock = clock or SystemClock()
        self.patience = patience
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self.path = Path(url.database) if self.is_sqlite and url.database else None
        self.location = str(self.path) if self.path else url.render_as_string(hide_password=True)
        self._engine: Engine | None = None

    @classmethod
    def at(cls, url: str | None, data_dir: Path | None = None, **options: Any) -> Database:
        """The database that ``url`` names, unopened; without a URL the embedded one in ``data_dir``.

        Raises ``UsageError`` for a URL of another kind, ``StoreError`` where the driver is missing.
        """
        if url is None:
            if data_dir is None:
                raise UsageError("neither a store URL nor a data folder was given")
            return cls(sqlite_url(data_dir / FILE_NAME), **options)
        return cls(parse_url(url), **options)

    @classmethod
    def of(cls, settings: Settings, **options: Any) -> Database:
        """The database that the settings name, unopened."""
        url = settings.store.url
        return cls.at(None if url is None else url.get_secret_value(), settings.paths.data, **options)

    @classmethod
    def open(cls, url: str | None, data_dir: Path | None = None, **options: Any) -> Database:
        """The same, ready for use: a missing SQLite file is made, an older one backed up and upgraded.

        Raises ``StoreError`` for a schema that is newer, foreign, or out of date on PostgreSQL.
        """
        return cls.at(url, data_dir, **options).made_ready()

    def made_ready(self) -> Database:
        """Itself, with its schema made current; closed again where that fails."""
        try:
            self.make_ready()
        except BaseException:
            self.close()
            raise
        return self

    def make_ready(self) -> None:
        if self.path is not None and not has_content(self.path):
            self._create(self.path)
        version = self.version()
        if version == tables.HEAD:
            return
        if self.is_sqlite and version is not None:
            self.upgrade()
            return
        raise StoreError(
            f"the store at {self.location} has {'no schema yet' if version is None else f'schema {version}'}, "
            f"this version needs {tables.HEAD}",
            hint="run `ffe db upgrade`",
        )

    # Sessions

    @property
    def engine(self) -> Engine:
        if self._engine is None:
            self._engine = self._connect()
        return self._engine

    def _connect(self) -> Engine:
        if not self.is_sqlite:
            return create_engine(self.url, connect_args={"connect_timeout": 10}, pool_size=2)
        # Autocommit in the driver: otherwise it opens transactions of its own, and never IMMEDIATE ones.
        engine = create_engine(self.url, connect_args={"isolation_level": None, "timeout": self.patience})
        event.listen(engine, "connect", _set_pragmas)
        return engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent snapshot, however many queries. Raises ``StoreError``."""
        with self._explained(), self.engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN")
            else:
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The only writer until the block ends; then committed, or undone where it raised. Raises ``StoreError``."""
        with self._explained(), self.engine.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.execute(_LOCK_HEAD)
            yield connection
            connection.commit()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except exc.DBAPIError as error:
            raise explain(error, self.location) from error
        except exc.StatementError as error:
            # A value that its column cannot hold: the caller's mistake, and our own words about it.
            raise error.orig or error from None

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    # Schema

    def version(self) -> str | None:
        """The schema's revision, ``None`` where there is none. Raises ``StoreError`` for a foreign or newer one."""
        with self._explained(), self.engine.connect() as connection:
            try:
                found = connection.execute(_VERSION).scalar_one_or_none()
            except exc.DBAPIError as error:
                if "alembic_version" not in str(error.orig):
                    raise
                connection.rollback()
                if self.is_sqlite and inspect(connection).get_table_names():
                    raise StoreError(
                        f"{self.location} is a database of something else", hint="set store.url"
                    ) from error
                return None
        version = None if found is None else str(found)
        if version is not None and version not in tables.REVISIONS:
            raise StoreError(
                f"the store at {self.location} has schema {version}, which this version does not know",
                hint="it was written by a newer ffe-core; install that one",
            )
        return version

    def upgrade(self) -> Upgrade:
        """Brings the schema to the newest revision; an older SQLite file is copied aside first."""
        if self.path is None:
            before = self.version()
            self.migrate()
            return Upgrade(before, tables.HEAD)
        if not has_content(self.path):
            self._create(self.path)
            return Upgrade(None, tables.HEAD)
        with file_lock(self.path):
            before = self.version()
            if before == tables.HEAD:
                return Upgrade(before, tables.HEAD)
            backup = aside(self.path, f"schema-{before}", self.clock)
            with self._explained():
                snapshot(self.path, backup)
                self.migrate()
        return Upgrade(before, tables.HEAD, backup)

    def compact(self) -> None:
        """Gives back the room of removed rows, and with it their text. PostgreSQL does so by itself."""
        if self.is_sqlite:
            with self._explained(), self.engine.connect() as connection:
                connection.exec_driver_sql("VACUUM")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def migrate(self) -> None:
        from ffe_core.store.migrations import upgrade

        with self._explained(), self.engine.connect() as connection:
            if self.is_sqlite:
                # Rebuilding a table would trip over the keys that refer to it; they are checked once it is done.
                connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('ffe schema'))"))
            upgrade(connection)
            if self.is_sqlite and connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
                raise StoreError(f"upgrading {self.location} would break references between its rows; nothing changed")
            connection.commit()
            # The connection has lost its pragmas; the next one starts afresh.
            connection.invalidate()

    def _create(self, path: Path) -> None:
        """Makes the file under another name and puts it in place whole, so that nobody ever sees half of one."""
        make_private_folder(path.parent)
        with file_lock(path):
            if has_content(path):
                return
            draft = path.with_name(f".{path.name}.{os.getpid()}.new")
            try:
                touch_private(draft)
                with self._explained():
                    _build(draft)
                draft.replace(path)
            finally:
                draft.unlink(missing_ok=True)


_VERSION = text("SELECT version_num FROM alembic_version")
_LOCK_HEAD = select(tables.chain_head.c.seq).where(tables.chain_head.c.id == 1).with_for_update()


def _build(path: Path) -> None:
    from ffe_core.store.models import create_schema

    engine = create_engine(sqlite_url(path), poolclass=NullPool, connect_args={"isolation_level": None})
    event.listen(engine, "connect", _set_pragmas)
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        create_schema(connection)
        connection.commit()


def _set_pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


# URLs and errors


def sqlite_url(path: Path) -> URL:
    return URL.create("sqlite", database=str(path))


def parse_url(url: str) -> URL:
    """``sqlite:///file``, ``postgresql://…`` or the path of a SQLite file. Raises ``UsageError``, ``StoreError``."""
    if "://" not in url:
        return sqlite_url(Path(url).expanduser())
    try:
        parsed = make_url(url)
        backend = "postgresql" if parsed.drivername == "postgres" else parsed.get_backend_name()
    except (exc.ArgumentError, exc.NoSuchModuleError, ValueError):
        # The library's message repeats the URL with its password.
        raise UsageError("the store URL cannot be read", hint="postgresql://user:password@host/database") from None
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise UsageError("a store in memory would be gone at once", hint="sqlite:////folder/ffe.db")
        return sqlite_url(Path(parsed.database).expanduser())
    if backend != "postgresql":
        raise UsageError(f"no store on {backend}", hint="sqlite or postgresql")
    if find_spec("psycopg") is None:
        raise StoreError("a PostgreSQL store needs its driver", hint='pip install "ffe-core[postgres]"')
    return parsed.set(drivername="postgresql+psycopg")


def explain(error: exc.DBAPIError, location: str) -> StoreError:
    """The one line that says what the database refused and what to do."""
    said = str(error.orig).strip().splitlines()[0] if str(error.orig).strip() else type(error.orig).__name__
    for sign, message, hint in _KNOWN_TROUBLE:
        if sign in said:
            return StoreError(f"the store at {location} {message}", hint=hint)
    return StoreError(f"the store at {location}: {said}")


_KNOWN_TROUBLE = (
    ("database is locked", "is being written by another process that does not finish", "try again when it has ended"),
    ("file is not a database", "is not a SQLite file", "set store.url, or `ffe db restore` a backup"),
    ("disk image is malformed", "is damaged", "`ffe db restore` a backup; the damaged file is kept aside"),
    ("unable to open database file", "cannot be opened", "check that the folder exists and may be written"),
    ("readonly database", "may not be written", "check the owner and the mode of the file and its folder"),
    ("database or disk is full", "has no room left on its disk", "free some space and try again"),
    ('relation "chain_head" does not exist', "has no schema yet", "run `ffe db upgrade`"),
)


# Files


def snapshot(source: Path, target: Path) -> None:
    """A compact, consistent copy of a SQLite file that may be in use; ``target`` must not exist. Mode 0600."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.new")
    engine = create_engine(sqlite_url(source), poolclass=NullPool, connect_args={"isolation_level": None})
    try:
        touch_private(draft)
        with engine.connect() as connection:
            # An existing file is taken only while it is empty, which is how it can be private from the start.
            connection.exec_driver_sql("VACUUM INTO ?", (str(draft),))
        sync(draft)
        # A link never replaces what is there, a rename would.
        os.link(draft, target)
        sync(target.parent)
    except FileExistsError:
        raise UsageError(f"{target} is already there", hint="name a file that does not exist yet") from None
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)


def aside(path: Path, why: str, clock: Clock) -> Path:
    """A free name beside ``path`` that tells why and when a copy was put there."""
    stamp = clock.now().strftime("%Y%m%dT%H%M%S")
    candidate = path.with_name(f"{path.name}.{why}-{stamp}")
    number = 2
    while candidate.exists():
        candidate = path.with_name(f"{path.name}.{why}-{stamp}-{number}")
        number += 1
    return candidate


def make_private_folder(folder: Path) -> None:
    """Makes the folder readable by its owner only; one that exists keeps its mode. Raises ``StoreError``."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be made: {error.strerror}", hint="set FFE_HOME to a folder of yours"
        ) from error


def touch_private(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600))
    except OSError as error:
        raise StoreError(
            f"{path.parent} may not be written: {error.strerror}", hint="check its owner and mode"
        ) from error


def sync(path: Path) -> None:
    """Makes a file, or a folder's list of names, outlast a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False
    except NotADirectoryError:
        raise StoreError(f"{path.parent} is no folder", hint="set FFE_HOME to a folder of yours") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error


@contextmanager
def file_lock(path: Path) -> Iterator[None]:
    """Keeps other processes from making, upgrading or replacing the same file meanwhile."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(path.with_name(f"{path.name}.lock"), timeout=60, mode=0o600):
            yield
    except Timeout as error:
        raise StoreError(f"another process keeps {path} locked", hint="try again when it has ended") from error
    except PermissionError as error:
        raise StoreError(
            f"{path.parent} may not be written: {error.strerror}", hint="check its owner and mode"
        ) from error


def network_filesystem(path: Path, mounts: Path = Path("/proc/self/mounts")) -> str | None:
    """The kind of network file system that ``path`` lies on, else ``None``.

    SQLite's locks cannot be relied on there. Knows Linux' table of mounts; elsewhere the answer is ``None``.
    """
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return None
    whole = str(path.resolve())
    best, kind = "", ""
    for line in lines:
        # The third field is the kind; a blank in a folder's name is written as octal.
        _device, folder, found, *_ = line.split(" ")
        folder = folder.replace("\\040", " ")
        inside = whole == folder or whole.startswith(folder.rstrip("/") + "/")
        if inside and len(folder) >= len(best):
            best, kind = folder, found
    return kind if kind in _NETWORK_KINDS else None
