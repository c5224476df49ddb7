"""Key pairs for tests, in every form in which the vendor hands them out."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

KEY_NAME = "organizations/0f3a4a52-8d6e-4f33-9a51-3f2f1b7f5c10/apiKeys/5b7e4e39-1f0d-47c8-8f6a-6a2f3a9f7c21"


@dataclass(frozen=True, slots=True)
class Keys:
    """A key pair; ``secret`` is its private half as the vendor hands it out."""

    name: str
    secret: str
    public: Any

    @property
    def canaries(self) -> tuple[str, ...]:
        lines = [line for line in self.secret.splitlines() if line and "---" not in line]
        return (self.name, self.secret, *lines)


@cache
def ecdsa_keys(name: str = KEY_NAME) -> Keys:
    key: EllipticCurvePrivateKey = generate_private_key(SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    return Keys(name, pem, key.public_key())


@cache
def ed25519_keys(form: str = "pem", name: str = KEY_NAME) -> Keys:
    """``form``: ``pem`` (PKCS8), ``seed`` (base64 of 32 bytes) or ``pair`` (of 64)."""
    key = Ed25519PrivateKey.generate()
    seed, public = key.private_bytes_raw(), key.public_key()
    secret = {
        "pem": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
        "seed": base64.b64encode(seed).decode(),
        "pair": base64.b64encode(seed + public.public_bytes_raw()).decode(),
    }[form]
    return Keys(name, secret, public)
