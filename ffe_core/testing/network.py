"""No network while a contract is tested: every socket that leaves this machine is refused and remembered."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_watched = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname")


class NetworkRefused(OSError):
    """Tests with contracts never leave the machine; loopback servers are welcome."""


class _Guard:
    """An audit hook cannot be taken away again, so one is installed on first use and switched on and off."""

    def __init__(self) -> None:
        self.installed = False
        #: one list of refused hosts per open block, the innermost last
        self.blocks: list[list[str]] = []

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if not self.blocks or event not in _watched:
            return
        host = _host(event, arguments)
        if host is None or is_loopback(host):
            return
        self.blocks[-1].append(host)
        raise NetworkRefused(f"no network in a contract test: {host}")


_guard = _Guard()


@contextmanager
def no_network() -> Iterator[list[str]]:
    """Refuses all but loopback inside the block; yields the list of hosts that were tried."""
    if not _guard.installed:
        _guard.installed = True
        sys.addaudithook(_guard)
    attempts: list[str] = []
    _guard.blocks.append(attempts)
    try:
        yield attempts
    finally:
        _guard.blocks.remove(attempts)


def is_loopback(host: str) -> bool:
    if host in ("", "localhost") or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _host(event: str, arguments: tuple[object, ...]) -> str | None:
    """The host that an audit event is about; ``None`` for a socket of the file system."""
    found = arguments[0] if event in ("socket.getaddrinfo", "socket.gethostbyname") else arguments[-1]
    if isinstance(found, tuple):
        found = found[0] if found else None
    if isinstance(found, bytes):
        return None if event.startswith(("socket.connect", "socket.send")) else found.decode(errors="replace")
    if event.startswith(("socket.connect", "socket.send")) and not isinstance(arguments[-1], tuple):
        return None
    return found if isinstance(found, str) else None
