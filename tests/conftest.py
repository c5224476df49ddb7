"""What every test shares: real market data, a home of its own, a PostgreSQL schema of its own, no network."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Examples take as long as the machine is busy; what is too slow is measured in benchmarks, not timed in a test.
settings.register_profile("ffe", deadline=None)
settings.load_profile("ffe")

ROOT = Path(__file__).resolve().parents[1]
DEFAULT_POSTGRES = "postgresql+psycopg://postgres@127.0.0.1:5432/test"

#: Bare names that vendors' own tools read; a developer's real keys must not reach a test.
VENDOR_VARIABLES = (
    "ALPHA_VANTAGE_API_KEY",
    "COINBASE_API_KEY",
    "COINBASE_API_SECRET",
    "OANDA_API_KEY",
    "OANDA_ACCOUNT_ID",
    "OLLAMA_HOST",
    "GEMINI_API_KEY",
)
#: Where a run is told what it may use: read here once, because no test may take them for settings of ffe.
DATA_FOLDER = os.environ.get("FFE_TEST_DATA", "")
POSTGRES = os.environ.get("FFE_TEST_POSTGRES") or DEFAULT_POSTGRES
TERMINAL_VARIABLES = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "TTY_COMPATIBLE", "TTY_INTERACTIVE")

#: what a secret of a test has in it: wherever that turns up but where it was put, it has leaked
CANARY = "canary"
#: where tests put secrets: settings, key files, and plugins that a test writes. Scripts are what a vendor's tool
#: unpacks of itself; ffe writes none, and theirs use the word for something else.
PUT_INTO = (".env*", "config*.yaml", "*key*.json", "*.pem", "*.py", "*.pyc", "*.js")

ON_CI = os.environ.get("CI", "").lower() in ("1", "true")


def clean_environment(home: Path) -> dict[str, str]:
    """The environment of a newcomer whose home of ffe is ``home``: for subprocesses, and for the ``home`` fixture."""
    ours = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("FFE_", "_FFE_")) and name not in VENDOR_VARIABLES and name not in TERMINAL_VARIABLES
    }
    return {**ours, "FFE_HOME": str(home)}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test sees the developer's settings, or what another test left behind, not even one that asks for no home."""
    allowed = clean_environment(tmp_path_factory.getbasetemp() / f"no-home-{uuid.uuid4().hex[:12]}")
    for name in set(os.environ) - set(allowed):
        # pytest keeps its own account of the running test in the environment.
        if not name.startswith("PYTEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FFE_HOME", allowed["FFE_HOME"])


@pytest.fixture(autouse=True)
def _own_secrets() -> Iterator[None]:
    """What one test declared a secret is none in the next, where it may be an ordinary address."""
    from ffe_core import logs

    before = set(logs._secrets)
    yield
    logs._secrets.clear()
    logs._secrets.update(before)


@pytest.fixture(autouse=True)
def _own_modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test meets a module that another one wrote, although both gave it the same name."""
    before, written = set(sys.modules), str(tmp_path_factory.getbasetemp())
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(written):
            del sys.modules[name]


def leaks_in(folder: Path) -> list[str]:
    """Files below that hold a secret and are none that it was put into: databases, logs, reports, caches."""
    found = []
    for path in sorted(folder.rglob("*")):
        kept = path.is_file() and not path.is_symlink() and not any(path.match(pattern) for pattern in PUT_INTO)
        if kept and CANARY.encode() in path.read_bytes():
            found.append(path.relative_to(folder).as_posix())
    return found


@pytest.fixture(autouse=True)
def _secrets_are_not_left_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Whatever a test has written down holds none of its secrets."""
    folder: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    assert folder is None or leaks_in(folder) == [], "a secret was written down"


@pytest.fixture
def home(_own_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty ``FFE_HOME`` that goes with the test."""
    place = tmp_path / "home"
    place.mkdir()
    monkeypatch.setenv("FFE_HOME", str(place))
    return place


@pytest.fixture(scope="session")
def market_data() -> Path:
    """The folder of real candles: ``$FFE_TEST_DATA``, else ``shared/data`` beside or inside the checkout."""
    places = [Path(DATA_FOLDER)] if DATA_FOLDER else [ROOT.parent / "shared" / "data", ROOT / "shared" / "data"]
    for place in places:
        if place.is_dir():
            return place
    pytest.skip("no market data: set FFE_TEST_DATA to a folder of candle files, or put one at shared/data")


@pytest.fixture
def postgres_url() -> Iterator[str]:
    """The URL of an empty PostgreSQL schema that is dropped after the test."""
    psycopg = pytest.importorskip("psycopg", reason="service: psycopg is not installed")
    plain = POSTGRES.replace("postgresql+psycopg://", "postgresql://", 1)
    try:
        server = psycopg.connect(plain, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError as error:
        pytest.skip(f"service: no PostgreSQL server answers ({str(error).splitlines()[0]})")
    schema = f"ffe_{uuid.uuid4().hex[:16]}"
    with server:
        server.execute(f'CREATE SCHEMA "{schema}"')
        separator = "&" if "?" in POSTGRES else "?"
        yield f"{POSTGRES}{separator}options=-csearch_path%3D{schema}"
        # A connection that a failed test left open must not hold up the rest of the run.
        server.execute("SET lock_timeout = '10s'")
        server.execute(f'DROP SCHEMA "{schema}" CASCADE')


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "postgres_url" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.postgres)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a test printed holds none of its secrets; on CI a service that is away is a failure, lest nobody looks."""
    report = yield
    printed = [text for _, where, text in item._report_sections if where in ("stdout", "stderr")]
    if report.passed and any(CANARY in text for text in printed):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: a secret was printed"
    if ON_CI and report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2]
        if "service: " in reason:
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid}: {reason.removeprefix('Skipped: ')}; CI needs this service"
    return report
