"""What every contract has: a factory, a deadline, and the rules that hold for any object that a plugin offers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, ClassVar, NoReturn
from unittest import SkipTest

from ffe_core.domain.codec import canonical_json
from ffe_core.plugins.validate import NAME, NotConforming, require_port

SECRET_WORDS = re.compile(r"secret|token|password|passphrase|api_?key|credential", re.IGNORECASE)


class ContractBroken(AssertionError):
    """The object does not do what its port promises; the message says what it did instead."""


def require(condition: object, message: str) -> None:
    """Raises ``ContractBroken`` with ``message`` unless ``condition`` holds (also under ``python -O``)."""
    if not condition:
        raise ContractBroken(message)


def broken(message: str) -> NoReturn:
    raise ContractBroken(message)


def not_applicable(reason: str) -> NoReturn:
    """This check has nothing to hold here; the report shows the reason."""
    try:
        import pytest
    except ImportError:
        raise SkipTest(reason) from None
    pytest.skip(reason)


def spelled(value: Any) -> bytes:
    """A value's canonical bytes, to see whether it stayed the same. Raises ``ContractBroken`` if it has none."""
    try:
        return canonical_json(value)
    except (TypeError, ValueError) as error:
        raise ContractBroken(f"{type(value).__name__} cannot be put on record: {error}") from error


class Checks:
    """A set of checks that pytest runs without network, each under a deadline."""

    #: seconds that one check may take
    deadline: ClassVar[float] = 30.0


class Contract(Checks):
    """What an object must do; ``factory`` makes a fresh object for each, without settings, network or credentials."""

    factory: ClassVar[Callable[[], Any]]
    #: the port that the object must satisfy
    port: ClassVar[Any]
    #: what the factory was given and nobody may ever read again, for ``test_it_keeps_its_secrets``
    secrets: ClassVar[tuple[str, ...]] = ()

    def make(self) -> Any:
        return type(self).factory()

    def make_by(self, factory: str) -> Any:
        """A fresh object by another of the contract's factories; skips the check where it was not given."""
        maker: Callable[[], Any] | None = getattr(type(self), factory)
        if maker is None:
            not_applicable(f"no factory `{factory}`")
        return maker()

    def test_it_has_every_method_of_its_port(self) -> None:
        try:
            require_port(self.port, self.make())
        except NotConforming as error:
            raise ContractBroken(error.message) from error

    def test_its_name_is_one_that_settings_can_use(self) -> None:
        name = getattr(self.make(), "name", None)
        require(isinstance(name, str) and NAME.fullmatch(name), f"name {name!r} is not like my_name2")
        again = getattr(self.make(), "name", None)
        require(name == again, f"the name changes from {name!r} to {again!r}: settings could not choose it")

    def test_it_keeps_its_secrets(self) -> None:
        made = self.make()
        shown = f"{made!r} {made!s}"
        for secret in (*self.secrets, *secrets_of(made)):
            require(secret not in shown, f"repr of {type(made).__name__} shows a secret; keep it in a SecretStr")


def secrets_of(made: object) -> Iterator[str]:
    """Texts that ``made`` keeps under a name such as ``api_key``."""
    names = [field.name for field in fields(made)] if is_dataclass(made) else list(getattr(made, "__dict__", {}))
    for name in names:
        value = getattr(made, name, None)
        if SECRET_WORDS.search(name) and isinstance(value, str) and value:
            yield value
