"""Logs on standard error in which no secret appears."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, SecretStr

from ffe_core import logs

CANARY = "canary-4f9a1c7e55"


class Venue(BaseModel):
    api_key: SecretStr = SecretStr(CANARY)
    extras: dict[str, object] = {"password": "canary-of-a-mapping", "nested": [{"x": SecretStr("canary-in-a-list")}]}


class Settings(BaseModel):
    venue: Venue = Venue()


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    secrets = set(logs._secrets)
    yield
    logs.reset()
    logs._secrets.clear()
    logs._secrets.update(secrets)


log = logging.getLogger("ffe_core.some.part")


def test_json_record_is_one_line_with_its_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="INFO", form="json")
    log.info("fetched", extra={"asset": "BTCUSD", "bars": 500})
    told = json.loads(capsys.readouterr().err)
    assert (told["event"], told["level"], told["logger"]) == ("fetched", "info", "ffe_core.some.part")
    assert (told["asset"], told["bars"]) == ("BTCUSD", 500)
    assert told["timestamp"].endswith("Z")


def test_level_holds_for_ffe_and_libraries_speak_up_from_warning(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="INFO")
    log.debug("too quiet")
    log.info("heard")
    logging.getLogger("urllib3").info("chatter")
    logging.getLogger("urllib3").warning("trouble")
    err = capsys.readouterr().err
    assert "heard" in err
    assert "trouble" in err
    assert "too quiet" not in err
    assert "chatter" not in err


@pytest.mark.parametrize("form", ["console", "json"])
@pytest.mark.parametrize(
    ("message", "fields"),
    [
        (f"key is {CANARY}", {}),
        ("by field", {"api_key": "unregistered-canary"}),
        ("by field", {"COINBASE_API_SECRET": "unregistered-canary"}),
        ("by field", {"Authorization": "Bearer unregistered-canary"}),
        ("nested", {"body": {"access_token": "unregistered-canary", "list": [{"password": "unregistered-canary"}]}}),
        ("nested", {"body": [f"x{CANARY}y"]}),
        ("GET https://host/query?function=X&apikey=unregistered-canary&symbol=IBM", {}),
        ("postgresql+psycopg://user:unregistered-canary@host/db", {}),
        ("headers: {'Authorization': 'Bearer unregistered-canary'}", {}),
        ('body: {"api_secret": "unregistered-canary"}', {}),
        ("sent Bearer unregistered-canary-token", {}),
    ],
)
def test_no_secret_appears(
    form: logs.Form, message: str, fields: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.register_secrets(Settings())
    logs.configure(level="INFO", form=form)
    log.warning(message, extra=fields)
    log.warning("as argument: %s", message, extra=fields)
    err = capsys.readouterr().err
    assert "canary" not in err
    assert logs.BLANK in err


@pytest.mark.parametrize("secret", [CANARY, "canary-of-a-mapping", "canary-in-a-list"])
def test_registered_secret_is_blanked_wherever_it_stands(secret: str) -> None:
    logs.register_secrets(Settings())
    assert logs.redact(f"a{secret}b") == f"a{logs.BLANK}b"


def test_secret_is_blanked_as_a_url_and_as_json_spell_it() -> None:
    logs.register_secret('pass/word"with\\signs')
    assert "word" not in logs.redact("https://host/?x=pass%2Fword%22with%5Csigns")
    assert "word" not in logs.redact(json.dumps({"x": 'pass/word"with\\signs'}))


@pytest.mark.parametrize(
    "text",
    [
        "plugins.coinbase.api_key: not set; FFE_PLUGINS__COINBASE__API_KEY=... sets it",
        "API token required by the venue",
        "basic settings are complete",
        "a password is needed: ask the owner",
        "https://host/path?symbol=IBM&interval=5min",
        "error: unknown option --token; did you mean --tokens?",
    ],
)
def test_words_about_secrets_stay_readable(text: str) -> None:
    assert logs.redact(text) == text


def test_counts_of_tokens_are_no_secret(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure(level="INFO", form="json")
    log.info("asked", extra={"tokens_in": 12, "tokens_out": 3, "token": "unregistered-canary"})
    told = json.loads(capsys.readouterr().err)
    assert (told["tokens_in"], told["tokens_out"], told["token"]) == (12, 3, logs.BLANK)


def test_record_cannot_be_forged_with_a_line_break(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    log.warning("headline: up\n2026-01-01 [error] all is lost", extra={"note": "a\r\nb"})
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_terminal_escapes_do_not_reach_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure()
    log.warning("red \x1b[31malert\x1b]0;title\x07", extra={"note": "\x9b2J"})
    err = capsys.readouterr().err
    assert not any(ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0 for letter in err.rstrip("\n"))


@pytest.mark.parametrize("form", ["console", "json"])
def test_traceback_is_written_at_debug_only_and_without_secrets(
    form: logs.Form, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.register_secret(CANARY)
    for level, shown in (("WARNING", False), ("DEBUG", True)):
        logs.configure(level=level, form=form)
        try:
            raise ValueError(f"refused: {CANARY}")
        except ValueError:
            log.exception("the call failed")
        err = capsys.readouterr().err
        assert ("Traceback" in err) is shown
        assert "ValueError" in err
        assert CANARY not in err


def test_plugin_that_uses_structlog_goes_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    import structlog

    logs.configure(level="INFO", form="json")
    log.info("first")
    capsys.readouterr()
    structlog.get_logger("ffe_core.plugin").info("theirs", api_key="unregistered-canary")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["api_key"] == logs.BLANK


def test_short_words_are_never_taken_for_secrets() -> None:
    logs.register_secret("key")
    logs.register_secret("")
    assert logs.redact("the key to it") == "the key to it"


def test_stream_that_is_gone_is_no_reason_to_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    logs.configure()
    monkeypatch.setattr(sys, "stderr", None)
    log.warning("nobody hears")


def test_structlog_is_imported_by_the_first_record_only() -> None:
    program = (
        "import sys\nfrom ffe_core import logs\nlogs.configure()\nassert 'structlog' not in sys.modules\n"
        "import logging\nlogging.getLogger('ffe').warning('x')\nassert 'structlog' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
