"""The door to the network against a real server on loopback that drips, hangs, lies, breaks off and floods."""

from __future__ import annotations

import gzip
import logging
import math
import random
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffe_core.domain.clock import FixedClock
from ffe_core.errors import BadReply, BadStatus, HttpError, NoAnswer, NotReached, SettingsError, UsageError
from ffe_core.http import Door, Reply, decode_json
from tests.net.server import Asked, Server, serving

KEY = "sk-Zq81/canary+77=="
NOW = datetime(2024, 1, 10, 12, 0, tzinfo=UTC)


def door(server: Server, **changes: object) -> Door:
    return Door(server.url, **{"timeout": 5.0, "jitter": lambda: 0.0, "backoff": 0.01, **changes})


@pytest.fixture
def slept() -> list[float]:
    return []


# the deadline


def drips_body(server: Server, asked: Asked) -> None:
    asked.send(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n")
    while True:
        asked.send(b" ")
        server.pause(0.02)


def drips_header(server: Server, asked: Asked) -> None:
    asked.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        asked.send(b"X")
        server.pause(0.02)


def drips_chunks(server: Server, asked: Asked) -> None:
    asked.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        asked.send(b"1\r\n \r\n")
        server.pause(0.02)


def continues_for_ever(server: Server, asked: Asked) -> None:
    while True:
        asked.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        server.pause(0.02)


def says_nothing(server: Server, asked: Asked) -> None:
    server.pause(30)


@pytest.mark.parametrize("behaviour", [drips_body, drips_header, drips_chunks, continues_for_ever, says_nothing])
def test_the_deadline_holds_for_the_whole_call_however_fast_each_read_is(behaviour) -> None:
    with serving(lambda asked: behaviour(server, asked)) as server, door(server) as ours:
        before = time.monotonic()
        with pytest.raises(NoAnswer, match=r"no whole answer within 0\.3 s"):
            ours.get("/slow", timeout=0.3)
        assert 0.25 < time.monotonic() - before < 1.5
        assert len(server.asked) == 1


def test_a_server_that_accepts_and_never_reads_costs_no_more_than_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=1) as listener:
        with Door(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=1) as ours:
            before = time.monotonic()
            with pytest.raises(NoAnswer, match="within"):
                ours.post("/order", {"filler": "x" * 12_000_000})
            assert time.monotonic() - before < 3


def test_a_resolver_that_hangs_costs_no_more_than_the_deadline(monkeypatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: release.wait(10) and [])
    with Door("https://example.invalid", timeout=0.2) as ours:
        before = time.monotonic()
        with pytest.raises(NotReached, match=r"no connection within 0\.2 s"):
            ours.get("/")
        assert time.monotonic() - before < 1.5
    release.set()


def test_a_connection_that_comes_too_late_is_closed(monkeypatch) -> None:
    resolve, release = socket.getaddrinfo, threading.Event()

    def resolves_late(*asked: object, **options: object) -> object:
        release.wait(10)
        return resolve(*asked, **options)

    monkeypatch.setattr(socket, "getaddrinfo", resolves_late)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with Door(f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.2) as ours:
            with pytest.raises(NotReached):
                ours.post("/orders", {})
        release.set()
        listener.settimeout(5)
        late, _ = listener.accept()
        with late:
            late.settimeout(5)
            assert late.recv(1) == b""


def test_a_deadline_that_has_passed_asks_nobody() -> None:
    with serving(lambda asked: asked.answer()) as server, door(server) as ours:
        with pytest.raises(NotReached):
            ours.get("/", timeout=0)
        with pytest.raises(NotReached):
            ours.get("/", timeout=-1)
    assert server.asked == []


# what went wrong, and whether the other side may have acted


def test_a_refused_connection_says_where_and_that_nothing_was_sent(slept) -> None:
    # Held and not listened on: nobody else can take the port meanwhile.
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        port = holder.getsockname()[1]
        refused = rf"GET http://127.0.0.1:{port}/x: the connection was refused"
        with Door(f"http://127.0.0.1:{port}", sleep=slept.append, backoff=1, jitter=lambda: 0.5, timeout=9) as ours:
            with pytest.raises(NotReached, match=refused) as caught:
                ours.get("/x")
    assert caught.value.hint == f"is anything listening on 127.0.0.1 port {port}?"
    assert slept == [1.05, 2.1]


def test_a_name_that_does_not_resolve_is_not_reached(monkeypatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with Door("https://example.invalid", retries=0) as ours, pytest.raises(NotReached, match="cannot be resolved"):
        ours.get("/")


def breaks_before(asked: Asked) -> None:
    asked.reset()


def breaks_after_headers(asked: Asked) -> None:
    asked.send(b'HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"a": ')
    time.sleep(0.05)
    asked.reset()


def breaks_off_politely(asked: Asked) -> None:
    asked.answer(b'{"a": 1', Content_Length="50")
    asked.socket.shutdown(socket.SHUT_RDWR)


def breaks_off_a_chunk(asked: Asked) -> None:
    asked.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":\r\n')
    asked.socket.shutdown(socket.SHUT_RDWR)


def breaks_off_gzip(asked: Asked) -> None:
    packed = gzip.compress(b'{"a": "0123456789"}')[:-6]
    asked.answer(packed, Content_Encoding="gzip")


def speaks_no_http(asked: Asked) -> None:
    asked.send(b"220 smtp.example ESMTP\r\n")


BREAKS = [
    breaks_before,
    breaks_after_headers,
    breaks_off_politely,
    breaks_off_a_chunk,
    breaks_off_gzip,
    speaks_no_http,
]


@pytest.mark.parametrize("behaviour", BREAKS)
def test_an_answer_that_breaks_off_is_asked_for_again_when_reading(behaviour) -> None:
    def once(asked: Asked) -> None:
        behaviour(asked) if len(server.asked) == 1 else asked.answer(b'{"a": 2}')

    with serving(once) as server, door(server) as ours:
        assert ours.get("/").json() == {"a": 2}
    assert len(server.asked) == 2


@pytest.mark.parametrize("behaviour", BREAKS)
def test_an_order_whose_answer_breaks_off_is_sent_once_and_may_have_been_acted_on(behaviour) -> None:
    with serving(behaviour) as server, door(server) as ours, pytest.raises(NoAnswer):
        ours.post("/orders", {"units": "1"})
    assert len(server.asked) == 1


def test_an_order_on_a_kept_connection_that_breaks_is_sent_once() -> None:
    def script(asked: Asked) -> None:
        asked.answer() if len(server.asked) == 1 else asked.reset()

    with serving(script) as server, door(server) as ours:
        ours.get("/")
        with pytest.raises(NoAnswer, match="closed before an answer came"):
            ours.post("/orders", {"units": "1"})
    assert (len(server.asked), server.connections) == (2, 1)


GOOD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n[1, 2, 3]",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n[1, \r\n5;x=y\r\n2, 3]\r\n0\r\nA: b\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 29\r\n\r\n" + gzip.compress(b"[1, 2, 3]", mtime=0),
)
ODD = (
    b"-",
    b"\r\n",
    b"\x00",
    b"\xff",
    b"99999999999999999999",
    b"-1",
    b"1e5",
    b":",
    b" ",
    b"HTTP/1.1 ",
    b"chunked, ",
    b"\n\n",
)


def spoiled(chance: random.Random) -> bytes:
    answer = chance.choice(GOOD)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(answer))
        answer = answer[:at] + chance.choice(ODD) + answer[at + chance.randint(0, 6) :]
    return answer


def test_whatever_comes_back_is_an_answer_or_an_error_of_ours() -> None:
    chance = random.Random(20240110)

    def script(asked: Asked) -> None:
        asked.send(spoiled(chance))
        asked.socket.shutdown(socket.SHUT_RDWR)

    ends = set()
    with serving(script) as server, door(server, retries=0) as ours:
        for _ in range(400):
            try:
                ends.add(type(ours.get("/").json()))
            except HttpError as error:
                ends.add(type(error))
    assert {BadReply, NoAnswer, list} <= ends


# repetition


def test_a_passing_failure_is_repeated_with_growing_waits_and_then_answers(slept) -> None:
    def script(asked: Asked) -> None:
        asked.answer(b"{}", "503 Unavailable") if len(server.asked) < 3 else asked.answer(b"[1]")

    with serving(script) as server, door(server, sleep=slept.append, backoff=1, jitter=lambda: 1.0) as ours:
        assert ours.get("/").json() == [1]
    assert slept == [1.1, 2.2]


def test_at_most_two_repetitions(slept) -> None:
    with serving(lambda asked: asked.answer(b"overloaded", "500 Oops")) as server, door(server) as ours:
        with pytest.raises(BadStatus, match="answered 500: overloaded") as caught:
            ours.get("/")
    assert (len(server.asked), caught.value.status) == (3, 500)


@pytest.mark.parametrize(("status", "times"), [(408, 3), (429, 3), (500, 3), (502, 3), (503, 3), (504, 3)])
@pytest.mark.parametrize("repeatable", [True, False])
def test_a_post_is_repeated_only_where_the_caller_says_it_is_harmless(status, times, repeatable) -> None:
    with serving(lambda asked: asked.answer(b"", f"{status} X")) as server, door(server) as ours:
        with pytest.raises(BadStatus):
            ours.post("/", {"a": 1}, repeatable=repeatable)
    assert len(server.asked) == (times if repeatable else 1)
    assert {asked.body for asked in server.asked} == {b'{"a":1}'}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 422, 501, 505])
def test_what_will_not_change_is_not_asked_again(status) -> None:
    with serving(lambda asked: asked.answer(b"", f"{status} X")) as server, door(server) as ours:
        with pytest.raises(BadStatus) as caught:
            ours.get("/")
    assert (len(server.asked), caught.value.status, caught.value.retryable) == (1, status, False)


@pytest.mark.parametrize(
    ("written", "wait"),
    [
        ("2", 2.0),
        ("0", 0.01),
        ("1.5", 1.5),
        ("Wed, 10 Jan 2024 12:00:03 GMT", 3.0),
        ("Mon, 01 Jan 2024 00:00:00 GMT", 0.01),
    ],
)
def test_it_waits_as_long_as_the_service_asks(slept, written, wait) -> None:
    def script(asked: Asked) -> None:
        asked.answer(b"", "429 Slow", Retry_After=written) if len(server.asked) == 1 else asked.answer()

    with serving(script) as server, door(server, sleep=slept.append, clock=FixedClock(NOW)) as ours:
        assert ours.get("/").status == 200
    assert slept == [wait]


def test_a_wait_that_does_not_fit_the_deadline_fails_at_once_and_says_how_long(slept) -> None:
    with serving(lambda asked: asked.answer(b"", "429 Slow", Retry_After="60")) as server:
        with door(server, sleep=slept.append) as ours, pytest.raises(BadStatus) as caught:
            ours.get("/")
    assert (len(server.asked), slept, caught.value.retry_after) == (1, [], 60.0)


@pytest.mark.parametrize("written", ["soon", "-5", "1e9", "nan", "9" * 400])
def test_a_wait_that_cannot_be_read_counts_as_none(slept, written) -> None:
    with serving(lambda asked: asked.answer(b"", "503 X", Retry_After=written)) as server:
        with door(server, sleep=slept.append) as ours, pytest.raises(BadStatus) as caught:
            ours.get("/")
    assert (caught.value.retry_after, slept) == (None, [0.01, 0.02])


def test_a_plugin_reads_waits_that_its_service_writes_in_the_body(slept) -> None:
    def in_body(error: BadStatus) -> float | None:
        said = error.reply.json()["wait"]
        return math.inf if said == "tomorrow" else float(said)

    def script(asked: Asked) -> None:
        asked.answer(b'{"wait": "1.25"}' if len(server.asked) == 1 else b'{"wait": "tomorrow"}', "429 X")

    with serving(script) as server, door(server, sleep=slept.append, wait_asked=in_body) as ours:
        with pytest.raises(BadStatus) as caught:
            ours.get("/")
    assert (slept, caught.value.retry_after, caught.value.retryable) == ([1.25], math.inf, False)


# size


def test_an_answer_past_the_cap_is_given_up_early() -> None:
    def floods(asked: Asked) -> None:
        asked.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            asked.send(b"10000\r\n" + b" " * 0x10000 + b"\r\n")

    with serving(floods) as server, door(server) as ours, pytest.raises(BadReply, match="larger than 1048576 bytes"):
        ours.get("/")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "start", [b"-1\r\n", b"0\r\nTrailer: ", b"F" * 15 + b"\r\n"], ids=["negative", "trailer", "huge"]
)
def test_a_chunk_that_lies_about_its_length_fills_no_memory(start) -> None:
    sent = [0]

    def floods(asked: Asked) -> None:
        asked.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + start)
        while True:
            asked.send(b"x" * 0x10000)
            sent[0] += 0x10000

    with serving(floods) as server, door(server, retries=0) as ours, pytest.raises(HttpError):
        ours.get("/")
    assert sent[0] < 30_000_000


@pytest.mark.parametrize("chunk", [b"-10\r\n", b"-1\r\n", b"zz\r\n", b"\r\n"])
def test_a_chunk_whose_length_is_none_is_no_answer(chunk) -> None:
    def script(asked: Asked) -> None:
        asked.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[]\r\n" + chunk)
        asked.socket.shutdown(socket.SHUT_RDWR)

    with serving(script) as server, door(server, retries=0) as ours, pytest.raises(NoAnswer):
        ours.get("/")


def test_the_cap_is_the_last_size_that_is_read() -> None:
    with serving(lambda asked: asked.answer(b"[" + b" " * 998 + b"]")) as server:
        with door(server, max_bytes=1000) as ours:
            assert ours.get("/").json() == []
        with door(server, max_bytes=999) as ours, pytest.raises(BadReply, match="larger than 999"):
            ours.get("/")


def test_a_gzip_bomb_is_unpacked_no_further_than_the_cap() -> None:
    bomb = gzip.compress(bytes(100_000_000), 6)
    assert len(bomb) < 1 << 20
    with serving(lambda asked: asked.answer(bomb, Content_Encoding="gzip")) as server, door(server) as ours:
        before = time.process_time()
        with pytest.raises(BadReply, match="larger than"):
            ours.get("/")
        assert time.process_time() - before < 0.5


def test_gzip_is_unpacked_and_what_only_claims_to_be_is_refused() -> None:
    def script(asked: Asked) -> None:
        packed = gzip.compress(b'{"a": 1}') if asked.target == "/good" else b"not packed"
        asked.answer(packed, Content_Encoding="br" if asked.target == "/br" else "gzip")

    with serving(script) as server, door(server) as ours:
        assert ours.get("/good").json() == {"a": 1}
        with pytest.raises(BadReply, match="gzip, and is not"):
            ours.get("/lie")
        with pytest.raises(BadReply, match="packed as br, which nobody asked for"):
            ours.get("/br")
    assert server.asked[0].headers["accept-encoding"] == "gzip"


# redirects and addresses


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_refused_and_the_key_goes_nowhere_else(status) -> None:
    with serving(lambda asked: asked.answer()) as other:
        place = f"http://127.0.0.1:{other.port}/steal?x={KEY}"
        with serving(lambda asked: asked.answer(b"", f"{status} Moved", Location=place)) as server:
            with door(server, headers={"Authorization": f"Bearer {KEY}"}) as ours:
                with pytest.raises(BadStatus, match=r"sends on to 127\.0\.0\.1, and redirects") as caught:
                    ours.get("/")
    assert (other.asked, len(server.asked), caught.value.status) == ([], 1, status)
    assert KEY not in str(caught.value)


def test_the_body_of_a_redirect_is_unpacked_no_further_than_any_other() -> None:
    bomb = gzip.compress(bytes(100_000_000), 6)
    with serving(lambda asked: asked.answer(bomb, "302 Go", Location="/next", Content_Encoding="gzip")) as server:
        with door(server) as ours, pytest.raises(BadReply, match="larger than"):
            ours.get("/")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com",
        "http://10.0.0.1:11434",
        "http://127.0.0.1.example.com",
        "http://[fe80::1]",
        "ftp://example.com",
        "example.com",
        "https://",
        "https://user:hunter22@example.com",
        "https://example.com?key=hunter22",
        "https://example.com/#hunter22",
        "https://exa mple.com",
        "https://example.com:port",
        "https://example.com:99999",
        "file:///etc/passwd",
        "",
    ],
)
def test_a_base_url_that_leads_elsewhere_or_carries_a_secret_is_refused(url) -> None:
    with pytest.raises(SettingsError, match=r"plugins\.band\.base_url") as caught:
        Door(url, name="band")
    assert "hunter22" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url", ["http://localhost:1", "http://127.0.0.9", "http://[::1]:9/v1/", "https://example.com/v1"]
)
def test_https_anywhere_and_http_on_this_machine_are_fine(url) -> None:
    assert url.rstrip("/") in repr(Door(url))


def test_plain_http_to_another_machine_needs_the_users_word() -> None:
    assert Door("http://10.0.0.1:11434", allow_http=True).base_url == "http://10.0.0.1:11434"


@pytest.mark.parametrize(
    "path",
    ["//evil.example/x", "http://evil.example/", "x", "/a/../../b", "/a/%2e%2E/b", "/a?b=c", "/a#b", "/a b",
     "/a\r\nX: y", "/\\evil", "/ü", "/a//b", "@evil.example/"],
)  # fmt: skip
def test_a_path_from_a_stranger_cannot_lead_elsewhere(path) -> None:
    with Door("http://127.0.0.1:9") as ours, pytest.raises(UsageError, match="is no path"):
        ours.get(path)


def test_path_and_query_are_joined_to_the_base() -> None:
    with serving(lambda asked: asked.answer()) as server:
        with Door(f"{server.url}/v1beta/") as ours:
            ours.get("/models/x:generate", {"a": "b c&d", "none": None, "yes": True, "ids": ["1", "2"]})
            ours.get("")
    assert [asked.target for asked in server.asked] == [
        "/v1beta/models/x:generate?a=b+c%26d&yes=true&ids=1&ids=2",
        "/v1beta",
    ]


def test_the_environment_sends_no_call_through_a_proxy_and_adds_no_password(monkeypatch, tmp_path) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password hunter22\n")
    netrc.chmod(0o600)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NETRC", str(netrc))
    with serving(lambda asked: asked.answer()) as server, door(server, name="band") as ours:
        assert ours.get("/").status == 200
    assert "authorization" not in server.asked[0].headers
    assert server.asked[0].headers["user-agent"].startswith("ffe-core/")
    assert server.asked[0].headers["user-agent"].endswith("(band)")


def test_the_target_that_a_plugin_signs_is_the_one_that_is_sent() -> None:
    path = "/api/v3/!$&'()*+,-.0:;=@aZ_~%2F%20/x/"
    with serving(lambda asked: asked.answer()) as server, door(server) as ours:
        ours.get(path, {"q": "~-._/?&=%2F \u20ac", "empty": ""})
    assert server.asked[0].target == f"{path}?q=~-._%2F%3F%26%3D%252F+%E2%82%AC&empty="


def test_a_cookie_is_not_kept() -> None:
    with serving(lambda asked: asked.answer(Set_Cookie="session=1; Path=/")) as server, door(server) as ours:
        ours.get("/")
        assert "session=1" in ours.get("/").headers["set-cookie"]
    assert ["cookie" in asked.headers for asked in server.asked] == [False, False]


# JSON


def reply(body: bytes, kind: str = "application/json") -> Reply:
    return Reply("GET http://127.0.0.1/x", 200, {"content-type": kind}, body)


def test_fractions_are_decimals_to_the_last_digit_and_whole_numbers_are_whole() -> None:
    read = reply(b'{"a": 0.1, "b": 1e-8, "c": 12345678901234567890, "d": 0.00000001, "e": -0.0, "f": "1.50"}').json()
    assert read == {
        "a": Decimal("0.1"), "b": Decimal("1E-8"), "c": 12345678901234567890, "d": Decimal("0.00000001"),
        "e": Decimal("-0.0"), "f": "1.50",
    }  # fmt: skip
    assert isinstance(read["c"], int)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"a": NaN}', "NaN is no number"),
        (b"[Infinity]", "Infinity is no number"),
        (b"[-Infinity]", "-Infinity is no number"),
        (b'{"action": "BUY", "action": "SELL"}', "'action' stands twice"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"a": "\xff"}', "byte 7 is not UTF-8"),
        (b'{"a": 1', "at character"),
        (b"[1e999999999]", "beyond all measure"),
        (b"[1e9999999999999999999999]", "beyond all measure"),
        (b"[1e-9999999999999999999999]", "beyond all measure"),
        (b"[" + b"9" * 5000 + b"]", "not the JSON"),
        (b'["\\ud800"]', "half of a surrogate"),
        (b'{"a": 1} {"a": 2}', "Extra data"),
        (b"   ", "nothing instead of JSON"),
        (b"", "nothing instead of JSON"),
        (b"<html>no</html>", "a web page"),
        (b"404 page not found", "not the JSON"),
        (b"\x00\x01", "not the JSON"),
    ],
)
def test_what_is_not_sound_json_is_refused_with_the_reason(body, why) -> None:
    with pytest.raises(BadReply, match=why) as caught:
        reply(body).json()
    assert len(str(caught.value)) < 300


def test_html_is_named_even_where_the_status_is_good() -> None:
    with pytest.raises(BadReply, match=r"web page \(text/html\) instead of JSON"):
        reply(b"maintenance", "text/html; charset=utf-8").json()
    with serving(lambda asked: asked.answer(b"<p>Bad gateway", "502 X", Content_Type="text/html")) as server:
        with door(server) as ours, pytest.raises(BadStatus, match="answered 502 with a web page"):
            ours.get("/")


@pytest.mark.parametrize("kind", ["application/json", "application/problem+json", "text/plain", "", "text/javascript"])
def test_any_other_type_is_read_as_json(kind) -> None:
    assert reply("\ufeff[1]".encode(), kind).json() == [1]


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
        max_leaves=12,
    )
)
def test_what_any_program_writes_is_read_back(value) -> None:
    import json

    assert decode_json(json.dumps(value).encode()) == value
    assert decode_json(json.dumps(value, ensure_ascii=False)) == value


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=60) | st.text('[]{}":,\\u0dEe+-.19tfn ', max_size=40).map(str.encode))
def test_no_bytes_do_more_than_be_refused(body) -> None:
    try:
        reply(body).json()
    except BadReply as refused:
        assert "\n" not in str(refused)


def test_a_number_that_is_no_json_is_never_sent() -> None:
    with Door("http://127.0.0.1:9") as ours:
        with pytest.raises(ValueError, match="JSON"):
            ours.post("/", {"a": float("nan")})
        with pytest.raises(TypeError):
            ours.post("/", {"a": Decimal(1)})


# secrets


def misbehaviours() -> Iterator[object]:
    echo = f"bad key {KEY} or Bearer {KEY}".encode()
    yield lambda asked: asked.answer(echo, "401 No")
    yield lambda asked: asked.answer(echo, "500 No")
    yield lambda asked: asked.answer(b" " * 150 + echo, "400 No")
    yield lambda asked: asked.answer(b"", "302 Go", Location=f"http://{KEY[:5]}.example/?k={KEY}")
    yield lambda asked: asked.answer(echo)
    yield lambda asked: asked.answer(f'{{"{KEY}": 1, "{KEY}": 2}}'.encode())
    yield lambda asked: asked.answer(f"[{KEY}]".encode())
    yield lambda asked: asked.answer(b"<html>" + echo)
    yield lambda asked: asked.send(b"HTTP/1.1 " + echo + b"\r\n\r\n")
    yield lambda asked: asked.send(echo + b"\r\n\r\n")
    yield lambda asked: asked.answer(b"", Content_Encoding=KEY)
    yield lambda asked: asked.reset()


@pytest.mark.parametrize("script", list(misbehaviours()))
def test_no_secret_is_in_any_error_log_or_repr(script, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    path, query = "/v3/accounts/sesame-0815/x", {"apikey": KEY}
    further = {"X-Goog-Api-Key": KEY, "X-Jwt": "eyJ.canary"}
    with serving(script) as server:
        ours = door(server, headers={"Authorization": f"Bearer {KEY}"}, secrets=["sesame-0815"])
        # In one line of names: newer Pythons print the whole statement in the traceback.
        with ours, pytest.raises(HttpError) as caught:
            ours.get(path, query, headers=further).json()
    assert KEY in server.asked[0].headers["authorization"]
    error = caught.value
    shown = "".join(traceback.format_exception(error)) + repr(error) + str(error) + str(error.hint) + repr(ours)
    shown += "".join(record.getMessage() + str(record.exc_info) for record in caplog.records)
    shown += repr(getattr(error, "reply", None))
    for context in (error.__context__, error.__cause__):
        shown += f"{context!r}{context}"
    for secret in (KEY, KEY.replace("/", "%2F"), "sk-Zq81%2Fcanary", "sesame-0815", "eyJ.canary", "canary"):
        assert secret not in shown, shown


@pytest.mark.parametrize("value", ["key\n", "key\r\nX-Evil: 1", "kéy", "ke\x00y", "k\u2013y"])
def test_a_header_that_http_cannot_carry_is_refused_without_showing_it(value) -> None:
    key = KEY + value
    with pytest.raises(UsageError, match="the header X-Key holds") as caught:
        Door("http://127.0.0.1:9", headers={"X-Key": key})
    assert KEY not in "".join(traceback.format_exception(caught.value))
    with Door("http://127.0.0.1:9") as ours, pytest.raises(UsageError, match="the header X-Key holds"):
        ours.get("/", headers={"X-Key": value})


def test_a_header_that_begins_with_a_blank_is_refused_before_a_library_repeats_it() -> None:
    with pytest.raises(UsageError, match="or begins with a blank") as caught:
        Door("http://127.0.0.1:9", headers={"X-Key": f" {KEY}"})
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_plugins_blank_their_own_words_with_the_same_knowledge() -> None:
    ours = Door("http://127.0.0.1:9", headers={"X-Key": KEY}, secrets=["sesame-0815"])
    assert ours.redact(f"detected your key {KEY}, sesame-0815") == "detected your key ********, ********"


def test_what_a_service_says_reaches_no_terminal_unclean() -> None:
    said = b"\x1b[31mred\x1b]0;title\x07 \xe2\x80\xaeevil\r\nsecond line" + b"x" * 5000
    with serving(lambda asked: asked.answer(said, "400 X")) as server:
        with door(server) as ours, pytest.raises(BadStatus) as caught:
            ours.get("/")
    assert str(caught.value).partition("400: ")[2].startswith("red evil second linexxx")
    assert len(str(caught.value)) < 300


# connections


def test_a_connection_is_kept_and_used_again() -> None:
    with serving(lambda asked: asked.answer(b'{"n": 1}')) as server, door(server) as ours:
        for _ in range(20):
            ours.get("/")
            ours.post("/", {})
    assert (len(server.asked), server.connections) == (40, 1)


def test_chunked_and_packed_answers_leave_the_connection_in_order() -> None:
    def script(asked: Asked) -> None:
        if asked.target == "/chunked":
            asked.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\nX: y\r\n\r\n")
        elif asked.target == "/none":
            asked.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        else:
            asked.answer(gzip.compress(b"[3]"), Content_Encoding="gzip")

    with serving(script) as server, door(server) as ours:
        for _ in range(3):
            assert ours.get("/chunked").json() == [1, 2]
            assert ours.get("/packed").json() == [3]
            assert ours.get("/none").body == b""
    assert server.connections == 1


def test_a_connection_whose_other_end_went_is_not_used_for_an_order() -> None:
    def script(asked: Asked) -> None:
        asked.answer()
        asked.socket.shutdown(socket.SHUT_RDWR)

    with serving(script) as server, door(server) as ours:
        for _ in range(3):
            ours.post("/orders", {})
            time.sleep(0.05)
    assert (len(server.asked), server.connections) == (3, 3)


def test_a_connection_that_was_idle_for_long_is_not_used_again() -> None:
    now = [0.0]
    with serving(lambda asked: asked.answer()) as server, door(server, monotonic=lambda: now[0]) as ours:
        for now[0] in (0.0, 10.0, 29.0, 60.0):
            ours.get("/")
    assert [asked.connection for asked in server.asked] == [1, 1, 1, 2]


def test_after_a_broken_answer_the_next_call_has_a_connection_of_its_own() -> None:
    def script(asked: Asked) -> None:
        if len(server.asked) == 1:
            asked.answer(b"[" + b"1," * 600_000 + b"1]")
        else:
            asked.answer(b"[2]")

    with serving(script) as server, door(server) as ours:
        with pytest.raises(BadReply):
            ours.get("/")
        assert ours.get("/").json() == [2]
    assert server.connections == 2


def test_an_old_server_that_closes_after_each_answer_is_understood() -> None:
    def script(asked: Asked) -> None:
        asked.send(b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n[1]")
        asked.socket.shutdown(socket.SHUT_RDWR)

    with serving(script) as server, door(server) as ours:
        assert [ours.get("/").json() for _ in range(2)] == [[1], [1]]


def test_many_threads_share_a_door_and_no_answer_goes_astray() -> None:
    def script(asked: Asked) -> None:
        time.sleep(0.002)
        asked.answer(b'{"of": "%s"}' % asked.target.encode())

    with serving(script) as server, door(server, timeout=20) as ours:
        with ThreadPoolExecutor(24) as pool:
            answers = list(pool.map(lambda n: ours.get(f"/{n}").json()["of"], range(240)))
    assert answers == [f"/{n}" for n in range(240)]
    assert server.connections <= 10


@pytest.mark.slow
def test_calls_to_five_slow_services_take_as_long_as_the_slowest() -> None:
    def script(asked: Asked) -> None:
        time.sleep(0.2)
        asked.answer()

    with serving(script) as server:
        doors = [door(server) for _ in range(5)]
        for each in doors:
            each.get("/")
        before = time.monotonic()
        with ThreadPoolExecutor(5) as pool:
            list(pool.map(lambda each: each.get("/"), doors))
        assert time.monotonic() - before < 0.8
        for each in doors:
            each.close()


def test_a_call_beyond_the_connections_waits_no_longer_than_its_deadline() -> None:
    with serving(lambda asked: server.pause(30)) as server, door(server, retries=0) as ours:
        with ThreadPoolExecutor(10) as pool:
            busy = [pool.submit(ours.get, "/", timeout=1.0) for _ in range(10)]
            while len(server.asked) < 10:
                time.sleep(0.01)
            with pytest.raises(NotReached, match=r"within 0\.1 s"):
                ours.get("/", timeout=0.1)
            for each in busy:
                assert isinstance(each.exception(10), NoAnswer)


@pytest.mark.slow
def test_a_closed_door_gives_its_connections_back_and_says_that_it_is_closed() -> None:
    with serving(lambda asked: asked.answer()) as server:
        with door(server) as ours:
            ours.get("/")
        with pytest.raises(UsageError, match="is closed"):
            ours.get("/")
        deadline = time.monotonic() + 5
        while threading.active_count() > 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(server.asked) == 1


def test_importing_the_door_imports_nothing_of_the_network() -> None:
    code = """import sys, ffe_core.http
print(sorted({"requests", "urllib3", "ssl", "http.client", "email", "json"} & set(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"
