"""Keys in every form in which they are found, and the token, checked by the venue and by the standard."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from ffe_coinbase.credentials import Signer, make_signer, signer_of
from ffe_coinbase.keypairs import KEY_NAME, Keys, ecdsa_keys, ed25519_keys
from ffe_coinbase.platform import CoinbasePlatform
from ffe_coinbase.settings import CoinbaseSettings
from ffe_coinbase.standin import NOON, CoinbaseStandIn
from pydantic import SecretStr, ValidationError

from ffe_core import NotConfigured, PlatformError, SettingsError

FORMS: dict[str, Callable[[str], str]] = {
    "as it is": lambda pem: pem,
    "line ends as two characters": lambda pem: pem.replace("\n", "\\n"),
    "in quotes": lambda pem: '"' + pem.replace("\n", "\\n") + '"',
    "carriage returns": lambda pem: pem.replace("\n", "\r\n"),
    "carriage returns as characters": lambda pem: pem.replace("\n", "\\r\\n"),
    "blanks around": lambda pem: f"  {pem}\n\n",
}


def verified(keys: Keys, signer: Signer, algorithm: str) -> dict[str, object]:
    token = signer.token("GET", "api.coinbase.com/api/v3/brokerage/accounts", NOON)
    assert jwt.get_unverified_header(token)["alg"] == algorithm
    options = {"verify_exp": False, "verify_nbf": False}
    return jwt.decode(token, keys.public, algorithms=[algorithm], options=options)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", FORMS)
def test_an_ecdsa_key_signs_in_every_form(form: str) -> None:
    keys = ecdsa_keys()
    claims = verified(keys, make_signer(keys.name, FORMS[form](keys.secret)), "ES256")
    seconds = int(NOON.timestamp())
    assert claims == {
        "sub": KEY_NAME,
        "iss": "cdp",
        "nbf": seconds,
        "exp": seconds + 120,
        "uri": "GET api.coinbase.com/api/v3/brokerage/accounts",
    }


@pytest.mark.parametrize("form", ["pem", "seed", "pair"])
def test_an_ed25519_key_signs_in_every_form(form: str) -> None:
    keys = ed25519_keys(form)
    assert verified(keys, make_signer(keys.name, keys.secret), "EdDSA")["sub"] == KEY_NAME


def test_an_ecdsa_signature_is_the_two_numbers_and_nothing_else() -> None:
    keys = ecdsa_keys()
    token = make_signer(keys.name, keys.secret).token("GET", "host/path", NOON)
    signature = token.rpartition(".")[2]
    assert len(jwt.utils.base64url_decode(signature)) == 64


def test_no_two_tokens_have_one_nonce() -> None:
    keys = ecdsa_keys()
    signer = make_signer(keys.name, keys.secret)
    nonces = {jwt.get_unverified_header(signer.token("GET", "host/path", NOON))["nonce"] for _ in range(20)}
    assert len(nonces) == 20


@pytest.mark.parametrize(
    ("name", "secret"),
    [("abcdef0123456789", "s" * 32), ("0123456789abcdef0123456789abcdef", "c2VjcmV0LW9mLWNvaW5iYXNlLXBybw==")],
)
def test_dead_keys_are_refused_with_the_way_to_a_living_one(name: str, secret: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_signer(name, secret)
    assert "CDP" in caught.value.message
    assert "portal.cdp.coinbase.com" in (caught.value.hint or "")
    assert name not in f"{caught.value} {caught.value.hint}"


def test_a_passphrase_is_refused_in_the_settings() -> None:
    with pytest.raises(ValidationError, match="Coinbase Pro") as caught:
        CoinbaseSettings(passphrase=SecretStr("canary-phrase"))
    assert "canary-phrase" not in str(caught.value)


def other_curve() -> str:
    key = generate_private_key(SECP384R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()


@pytest.mark.parametrize(
    "secret",
    ["canary", "-----BEGIN EC PRIVATE KEY-----\ncanary\n-----END EC PRIVATE KEY-----", "Y2FuYXJ5", other_curve()],
    ids=["word", "broken", "short", "P-384"],
)
def test_a_secret_that_is_no_key_is_refused_without_being_shown(secret: str) -> None:
    with pytest.raises(SettingsError) as caught:
        make_signer(KEY_NAME, secret)
    assert secret not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


def test_a_pair_whose_halves_do_not_belong_together_is_refused() -> None:
    import base64

    first, second = (base64.b64decode(ed25519_keys("pair", f"{KEY_NAME}{n}").secret) for n in (1, 2))
    with pytest.raises(SettingsError):
        make_signer(KEY_NAME, base64.b64encode(first[:32] + second[32:]).decode())


def test_a_missing_key_says_which_line_sets_it(platform: Callable[..., CoinbasePlatform]) -> None:
    with pytest.raises(NotConfigured, match=r"plugins\.coinbase\.api_key") as caught:
        platform(api_key=None, api_secret=None).portfolio()
    assert "COINBASE_API_KEY=" in (caught.value.hint or "")
    with pytest.raises(NotConfigured, match=r"plugins\.coinbase\.api_secret"):
        platform(api_secret=None).portfolio()


@pytest.mark.parametrize("member", ["name", "id"])
def test_the_file_that_came_with_the_key_is_read(tmp_path: Path, member: str) -> None:
    keys = ecdsa_keys()
    file = tmp_path / "cdp_api_key.json"
    file.write_text(json.dumps({member: keys.name, "privateKey": keys.secret}))
    assert verified(keys, signer_of(CoinbaseSettings(key_file=file)), "ES256")["sub"] == keys.name


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "canary"}'])
def test_a_file_that_is_no_key_file_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "key.json"
    file.write_text(text)
    with pytest.raises(SettingsError, match="is no key file"):
        signer_of(CoinbaseSettings(key_file=file))


def test_a_file_that_is_not_there_is_not_configured(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="No such file"):
        signer_of(CoinbaseSettings(key_file=tmp_path / "absent.json"))


def test_the_claim_names_the_configured_host_and_no_query(
    server: CoinbaseStandIn, platform: Callable[..., CoinbasePlatform]
) -> None:
    platform().portfolio()
    assert any(each.query for each in server.requests)
    uris = {str(token["uri"]) for token in server.tokens}
    assert all(f"127.0.0.1:{server.port}/api/v3/brokerage/" in uri and "?" not in uri for uri in uris)


@pytest.mark.parametrize("form", ["pem", "seed"])
def test_the_venue_takes_ed25519_keys(
    form: str, platform: Callable[..., CoinbasePlatform], server: CoinbaseStandIn
) -> None:
    server.keys = ed25519_keys(form)
    venue = platform(api_secret=SecretStr(server.keys.secret))
    assert venue.portfolio().cash == 10_000


def test_a_refused_ed25519_key_is_told_that_some_accounts_want_the_other_kind(
    platform: Callable[..., CoinbasePlatform],
) -> None:
    with pytest.raises(PlatformError, match="does not accept the key") as caught:
        platform(api_secret=SecretStr(ed25519_keys().secret)).portfolio()
    assert "ECDSA" in (caught.value.hint or "")


@pytest.mark.parametrize("off", [-200, 200])
def test_a_clock_that_is_off_is_refused_by_the_venue(
    off: int, server: CoinbaseStandIn, platform: Callable[..., CoinbasePlatform]
) -> None:
    server.skew = timedelta(seconds=off)
    with pytest.raises(PlatformError, match="does not accept the key") as caught:
        platform().portfolio()
    assert "clock" in (caught.value.hint or "")


def test_a_token_that_is_turned_away_is_made_once_more_for_a_read(
    server: CoinbaseStandIn, platform: Callable[..., CoinbasePlatform]
) -> None:
    from ffe_coinbase.standin import Fault

    from ffe_core.testing.loopback import Canned

    server.faults.append(Fault("/accounts", Canned(b"Unauthorized\n", 401, {"Content-Type": "text/plain"})))
    assert platform().portfolio().cash == 10_000
    tries = [each for each in server.requests if each.path.endswith("/accounts")]
    assert len({each.headers["authorization"] for each in tries}) == len(tries) == 2
