"""TLS as the door speaks it: a stranger's certificate is refused before anything is sent, one's own is named."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import time
from pathlib import Path

import pytest

from ffe_core.errors import NoAnswer, NotReached, SettingsError
from ffe_core.http import Door
from tests.net.server import Asked, Server, serving

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl, which makes the certificate, is absent"
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for ``localhost`` that nobody signed but itself, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    paths = folder / "own.pem", folder / "own.key"
    subprocess.run(
        [*command.split(), "-addext", "subjectAltName=DNS:localhost", "-out", paths[0], "-keyout", paths[1]],
        check=True,
        capture_output=True,
        timeout=60,
    )
    return paths


@pytest.fixture
def server(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with serving(
        lambda asked: asked.answer(b"[1]"), lambda sock: context.wrap_socket(sock, server_side=True)
    ) as served:
        yield served


def test_a_certificate_of_ones_own_authority_is_trusted_when_it_is_named(server: Server, certificate) -> None:
    with Door(f"https://localhost:{server.port}", ca_file=certificate[0], timeout=5) as ours:
        assert [ours.get("/").json() for _ in range(3)] == [[1]] * 3
    assert server.connections == 1


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once_and_gets_no_header(server: Server) -> None:
    with Door(f"https://localhost:{server.port}", headers={"X-Key": "canary"}, timeout=5) as ours:
        with pytest.raises(NotReached, match="certificate is not trusted") as caught:
            ours.get("/")
    assert (server.asked, caught.value.retryable) == ([], False)
    assert "ca_file" in str(caught.value.hint)


def test_a_certificate_for_another_name_is_refused(server: Server, certificate) -> None:
    with Door(f"https://127.0.0.1:{server.port}", ca_file=certificate[0], timeout=5) as ours:
        with pytest.raises(NotReached, match="certificate is not trusted"):
            ours.get("/")
    assert server.asked == []


def test_certificates_that_the_environment_names_are_not_trusted(server: Server, certificate, monkeypatch) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(certificate[0]))
    with Door(f"https://localhost:{server.port}", timeout=5) as ours, pytest.raises(NotReached):
        ours.get("/")


def test_a_handshake_that_never_ends_costs_no_more_than_the_deadline(certificate) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with Door(f"https://localhost:{listener.getsockname()[1]}", ca_file=certificate[0], timeout=0.3) as ours:
            with pytest.raises(NotReached, match=r"no connection within 0\.3 s"):
                ours.get("/")


def test_the_deadline_reaches_reads_through_tls(certificate) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def drip(asked: Asked) -> None:
        asked.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            asked.send(b" ")
            served.pause(0.02)

    with serving(drip, lambda sock: context.wrap_socket(sock, server_side=True)) as served:
        with Door(f"https://localhost:{served.port}", ca_file=certificate[0]) as ours:
            with pytest.raises(NoAnswer, match=r"no whole answer within 0\.3 s"):
                ours.get("/", timeout=0.3)


def test_the_deadline_reaches_what_is_sent_through_tls(certificate) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def sips(sock: socket.socket) -> socket.socket:
        reading = context.wrap_socket(sock, server_side=True)
        with reading:
            while not served.stop.wait(0.02):
                reading.recv(1 << 14)
        raise ConnectionAbortedError

    with serving(lambda asked: asked.answer(), sips) as served:
        with Door(f"https://localhost:{served.port}", ca_file=certificate[0]) as ours:
            before = time.monotonic()
            with pytest.raises(NoAnswer, match=r"no whole answer within 1 s"):
                ours.post("/", {"filler": "x" * 12_000_000}, timeout=1)
            assert time.monotonic() - before < 3


def test_a_server_without_tls_is_told_apart() -> None:
    def refuse(sock: socket.socket) -> socket.socket:
        sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        return sock

    with serving(lambda asked: asked.answer(), refuse) as plain:
        with Door(f"https://localhost:{plain.port}", retries=0, timeout=5) as ours:
            with pytest.raises(NotReached, match=r"TLS failed \(WRONG_VERSION_NUMBER\)"):
                ours.get("/")


def test_an_authority_that_cannot_be_read_is_a_settings_error(tmp_path) -> None:
    with pytest.raises(SettingsError, match=r"plugins\.band\.ca_file: there is no file"):
        Door("https://localhost", name="band", ca_file=tmp_path / "none.pem")
    (tmp_path / "bad.pem").write_text("no certificate")
    with Door("https://localhost:9", name="band", ca_file=tmp_path / "bad.pem") as ours:
        with pytest.raises(SettingsError, match=r"plugins\.band\.ca_file: .*bad\.pem"):
            ours.get("/")
