"""Keys of the Coinbase Developer Platform, and the token that each request carries.

A token is a JWT for one method, host and path, valid for two minutes. The private key is parsed once.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from ffe_coinbase.settings import LIVE_KEY, CoinbaseSettings
from ffe_core import NotConfigured, SettingsError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

#: seconds that a token is good for; the venue takes no longer ones
LIFETIME = 120
_UUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_NAME = re.compile(rf"organizations/[^/\s]+/apiKeys/[^/\s]+|{_UUID}")


@dataclass(frozen=True, slots=True)
class Signer:
    """``name`` of the key and the key itself; ``algorithm`` is ``ES256`` or ``EdDSA``."""

    name: str = field(repr=False)
    algorithm: str
    _key: EllipticCurvePrivateKey | Ed25519PrivateKey = field(repr=False)
    #: what must never be shown
    private: tuple[str, ...] = field(repr=False, default=())

    def token(self, method: str, place: str, now: datetime) -> str:
        """For one call: ``place`` is host and path, without scheme and query."""
        import jwt

        seconds = int(now.timestamp())
        return jwt.encode(
            {"sub": self.name, "iss": "cdp", "nbf": seconds, "exp": seconds + LIFETIME, "uri": f"{method} {place}"},
            self._key,
            algorithm=self.algorithm,
            headers={"kid": self.name, "nonce": secrets.token_hex(16)},
        )


def has_key(settings: CoinbaseSettings) -> bool:
    """Whether settings name a key, good or bad."""
    return settings.key_file is not None or bool(_plain(settings.api_key) or _plain(settings.api_secret))


def signer_of(settings: CoinbaseSettings) -> Signer:
    """The key that settings name. Raises ``NotConfigured`` without one, ``SettingsError`` for one that is of no use."""
    if settings.key_file is not None:
        name, secret = _read(settings)
        return make_signer(name, secret, where="plugins.coinbase.key_file")
    name, secret = _plain(settings.api_key), _plain(settings.api_secret)
    if not name or not secret:
        missing, line = (
            ("key", "COINBASE_API_KEY=organizations/...") if not name else ("secret", "COINBASE_API_SECRET=...")
        )
        raise NotConfigured(f"plugins.coinbase.api_{missing} is not set", hint=f"put {line} into .env, or set key_file")
    return make_signer(name, secret)


def make_signer(name: str, secret: str, *, where: str = "plugins.coinbase.api_key") -> Signer:
    """Raises ``SettingsError`` for a dead kind of key and for a secret that is no private key; shows neither."""
    name = name.strip().strip("\"'")
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{where}: this is no CDP key; those with a shared secret or a passphrase ended in February 2025",
            hint=LIVE_KEY,
        )
    # Line ends that a file of settings or an environment could not hold are written as two characters.
    text = secret.strip().strip("\"'").replace("\\r", "").replace("\\n", "\n").replace("\r\n", "\n").strip()
    key = _private_key(text)
    if key is None:
        raise SettingsError(
            f"{where.replace('api_key', 'api_secret')}: this is neither an ECDSA (P-256) nor an Ed25519 private key",
            hint=f"was it copied whole, with its first and last line? If it is an old one: {LIVE_KEY}",
        )
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    hidden = {text, secret, name, *(line for line in text.split("\n") if len(line) >= 16 and "---" not in line)}
    algorithm = "EdDSA" if isinstance(key, Ed25519PrivateKey) else "ES256"
    return Signer(name, algorithm, key, tuple(sorted(hidden)))


def _private_key(text: str) -> EllipticCurvePrivateKey | Ed25519PrivateKey | None:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if not text.startswith("-----BEGIN"):
        return _ed25519(text)
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except Exception:  # noqa: BLE001 - the library's errors are of many kinds, and may repeat the key
        return None
    if isinstance(key, Ed25519PrivateKey):
        return key
    return key if isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1) else None


def _ed25519(text: str) -> Ed25519PrivateKey | None:
    """Base64 of the 32 bytes of the seed, alone or with the 32 of the public key behind them."""
    import base64
    import binascii

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) not in (32, 64):
        return None
    key = Ed25519PrivateKey.from_private_bytes(raw[:32])
    return key if raw[32:] in (b"", key.public_key().public_bytes_raw()) else None


def _read(settings: CoinbaseSettings) -> tuple[str, str]:
    """Name and secret of the file that came with the key."""
    from ffe_core.http import decode_json

    assert settings.key_file is not None  # noqa: S101 - the caller looked
    path = settings.key_file.expanduser()
    try:
        found = decode_json(path.read_bytes())
    except OSError as error:
        told = error.strerror or type(error).__name__
        raise NotConfigured(
            f"plugins.coinbase.key_file: {path}: {told}", hint="name the JSON file of a CDP key"
        ) from None
    except ValueError:
        found = None
    name, secret = (
        (found.get("name") or found.get("id"), found.get("privateKey")) if isinstance(found, Mapping) else (None, None)
    )
    if not isinstance(name, str) or not isinstance(secret, str):
        raise SettingsError(
            f"plugins.coinbase.key_file: {path} is no key file: a JSON object with name and privateKey", hint=LIVE_KEY
        )
    return name, secret


def _plain(secret: object) -> str:
    from pydantic import SecretStr

    return secret.get_secret_value().strip() if isinstance(secret, SecretStr) else ""
