"""What a plugin must be before any of its objects is asked anything."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ffe_core.testing.contracts.base import SECRET_WORDS, Checks, ContractBroken, broken, not_applicable, require
from ffe_core.testing.samples import NOON

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ffe_core.plugins import Registry
    from ffe_core.plugins.installed import Installed

#: what a cold command does without; a plugin imports it inside the function that needs it
HEAVY = (
    "alembic matplotlib numba numpy pandas pandas_ta pyarrow requests scipy sklearn sqlalchemy sqlmodel torch"
).split()
#: processor seconds that importing a plugin may take, beyond what the host has loaded anyway
IMPORT_LIMIT = 0.5

_MEASURE = """
import importlib, json, sys, time
import ffe_core.hookspecs
from pydantic import BaseModel, ConfigDict, Field, SecretStr
from ffe_core.testing.network import no_network
with no_network() as hosts:
    known, started = set(sys.modules), time.process_time()
    importlib.import_module(sys.argv[1])
    took = time.process_time() - started
modules = sorted({name.partition(".")[0] for name in set(sys.modules) - known})
print(json.dumps({"seconds": took, "modules": modules, "hosts": hosts}))
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """What importing a module cost a process that had loaded nothing but the host; processor ``seconds``."""

    seconds: float = 0.0
    #: top-level names that were imported on the way
    modules: tuple[str, ...] = ()
    #: hosts that it tried to reach
    hosts: tuple[str, ...] = ()
    error: str = ""


def measure_import(module: str) -> Measured:
    """Imports ``module`` in a process of its own, without network."""
    try:
        ran = subprocess.run(  # noqa: S603 - this Python, our own text, a module's name
            [sys.executable, "-c", _MEASURE, module], capture_output=True, text=True, timeout=30, check=False
        )
    except subprocess.TimeoutExpired:
        return Measured(error="not done after 30 s")
    said = ran.stdout.strip().splitlines()
    if ran.returncode or not said:
        blamed = ran.stderr.strip().splitlines()
        return Measured(error=blamed[-1] if blamed else f"the process ended with code {ran.returncode}")
    found = json.loads(said[-1])
    return Measured(found["seconds"], tuple(found["modules"]), tuple(found["hosts"]))


class PluginContract(Checks):
    """An installed plugin is found, cheap to load, well formed, and asks for nothing before it is used.

    ``plugin`` is the name of its entry point. It is tried with no section of settings and with folders of its own.
    """

    plugin: ClassVar[str]
    deadline: ClassVar[float] = 60.0

    def found(self) -> Installed:
        """The entry point, read from metadata without an import."""
        from ffe_core.plugins.installed import installed

        mine = [each for each in installed() if each.name == self.plugin]
        if not mine:
            broken(f"no installed package has an entry point {self.plugin!r} in the group ffe.plugins")
        return mine[0]

    def load(self, folder: str) -> Registry:
        """The registry of a run that has this plugin and the built-in ones."""
        from ffe_core.domain.clock import FixedClock
        from ffe_core.plugins import load_plugins
        from ffe_core.settings import load_settings

        settings = load_settings(env={"FFE_PLUGINS": self.plugin}, home=Path(folder))
        return load_plugins(settings, clock=FixedClock(NOON))

    def model(self) -> type[BaseModel]:
        """The plugin's settings model."""
        from pydantic import BaseModel

        hook = getattr(self.module(), "ffe_settings", None)
        if hook is None:
            not_applicable("the plugin takes no settings")
        model: Any = hook()
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            broken(f"ffe_settings returned {model!r:.60}, not a pydantic model")
        return model

    def module(self) -> Any:
        try:
            return self.found().entry_point.load()
        except (Exception, SystemExit) as error:
            raise ContractBroken(f"importing it raised {type(error).__name__}: {error}") from error

    def test_one_package_claims_its_name(self) -> None:
        from ffe_core.plugins.installed import installed

        self.found()
        claims = [each.distribution for each in installed() if each.name == self.plugin]
        require(len(claims) == 1, f"{' and '.join(claims)} all claim the name {self.plugin}")

    def test_its_metadata_says_what_it_is_and_needs(self) -> None:
        from ffe_core import __version__

        found = self.found()
        require(found.version, f"the package {found.distribution} has no version")
        named = [line for line in found.requires if line.lower().replace("_", "-").startswith("ffe-core")]
        require(named, "its metadata does not require ffe-core: add it to [project] dependencies")
        refused = found.refuses(__version__)
        require(not refused, f"it requires {refused}, this is {__version__}")

    def test_importing_it_is_quick_and_light(self) -> None:
        module = self.found().entry_point.module
        measured = measure_import(module)
        require(not measured.error, f"importing {module} failed: {measured.error}")
        require(not measured.hosts, f"importing {module} reaches for the network: {', '.join(measured.hosts)}")
        heavy = [name for name in measured.modules if name in HEAVY]
        require(not heavy, f"importing {module} imports {', '.join(heavy)}; do it inside the functions that need it")
        require(measured.seconds <= IMPORT_LIMIT, f"importing {module} takes {measured.seconds:.2f} s")

    def test_the_host_loads_it_without_a_complaint(self) -> None:
        self.found()
        with tempfile.TemporaryDirectory() as folder, self.load(folder) as registry:
            info = next((each for each in registry.plugins if each.name == self.plugin), None)
            if info is None:
                broken("the host does not list it")
            require(info.state == "active", f"{info.state}: {info.reason}")
            complaints = [str(problem) for problem in registry.problems if problem.plugin == self.plugin]
            require(not complaints, "; ".join(complaints))

    def test_its_settings_are_valid_without_a_section(self) -> None:
        from pydantic import ValidationError

        try:
            self.model()()
        except ValidationError as error:
            missing = ", ".join(".".join(str(part) for part in each["loc"]) for each in error.errors())
            raise ContractBroken(f"without a section these keys are wrong: {missing}; give them defaults") from error

    def test_its_settings_keep_secrets_in_secret_types(self) -> None:
        for name, field in self.model().model_fields.items():
            if SECRET_WORDS.search(name):
                require("Secret" in str(field.annotation), f"{name} is {field.annotation}; make it a SecretStr")

    def test_its_settings_leave_the_hosts_words_alone(self) -> None:
        from ffe_core.plugins.host import RESERVED

        taken = sorted(RESERVED & set(self.model().model_fields))
        require(not taken, f"{', '.join(taken)} in a plugin's section are the host's words")

    def test_nothing_it_offers_shows_a_secret(self) -> None:
        from pydantic import SecretStr

        from ffe_core.plugins.registry import KINDS

        fields = self.model().model_fields
        marker = "a-secret-for-the-check"
        secret = SecretStr(marker)
        kinds = {name: str(field.annotation) for name, field in fields.items()}
        given = {
            name: {"NAME": secret} if kind.startswith("dict") else secret
            for name, kind in kinds.items()
            if "SecretStr" in kind
        }
        if not given:
            not_applicable("its settings hold no secret")
        settings = self.model().model_construct(**{**self.model()().__dict__, **given})
        for hook in KINDS.values():
            for offered in self.offers(hook, settings):
                shown = f"{offered!r} {offered!s}"
                require(marker not in shown, f"repr of {type(offered).__name__} shows a secret of the settings")

    def offers(self, hook: str, settings: BaseModel) -> list[Any]:
        """What the composition hook gives for ``settings``."""
        import inspect

        from ffe_core.testing.samples import make_context

        function = getattr(self.module(), hook, None)
        if function is None:
            return []
        with tempfile.TemporaryDirectory() as folder:
            lent = {"settings": settings, "context": make_context(Path(folder), self.plugin)}
            wanted = inspect.signature(function).parameters
            return list(function(**{name: value for name, value in lent.items() if name in wanted}))
