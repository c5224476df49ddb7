"""Settings: defaults < ``config.yaml`` < ``config.local.yaml`` < ``.env`` < environment, each value with its origin.

``load_settings`` reads them, ``Settings`` holds the validated sections. Whatever is wrong is a ``SettingsError`` of
one line that names the key, the file and line or the variable, and the nearest known key; no secret is ever in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, Field, PrivateAttr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from ffe_core.domain.trading import Mode
from ffe_core.errors import UsageError
from ffe_core.paths import Paths, resolve_paths
from ffe_core.settings.problems import Path as KeyPath
from ffe_core.settings.problems import Problem, SettingsProblems, unknown_key
from ffe_core.settings.sections import (
    RESERVED_IN_PLUGINS,
    AiSettings,
    CassetteSettings,
    CostSettings,
    DataSettings,
    DecisionSettings,
    EnsembleSettings,
    ExecutionSettings,
    ExitSettings,
    LogSettings,
    PluginsSettings,
    PulseSettings,
    RiskSettings,
    SizingSettings,
    StoreSettings,
)
from ffe_core.settings.shapes import Fitter, leaves_of, translate
from ffe_core.settings.sources import Layer, Tree, VariableText, file_layer, read_dotenv, read_text, variables_layer

__all__ = ["Paths", "Problem", "Settings", "SettingsProblems", "examine", "load_settings", "resolve_paths"]

DEFAULT_ORIGIN = "default"
#: What changes where things are kept or how fast they come, but no decision.
_NOT_IN_RECORDS: dict[str, bool | set[str]] = {
    "store": True,
    "log": True,
    "plugins": True,
    "cassette": True,
    "data": {"cache_ttl", "memory_cache_entries"},
    "ai": {"prices", "budget_usd"},
}

#: Read by ``settings_customise_sources``, which pydantic-settings calls without our arguments.
_LAYERS: ContextVar[tuple[Layer, ...]] = ContextVar("layers", default=())


class LayerSource(PydanticBaseSettingsSource):
    """One place of the order, for pydantic-settings to merge."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self._layer.tree.get(field_name), field_name, False

    def __call__(self) -> Tree:
        return self._layer.tree


class Settings(BaseSettings):
    """Every setting of a run, frozen. ``Settings(risk={...})`` is defaults and these values, and reads nothing."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    mode: Mode = Field(
        default=Mode.PAPER, description="paper: an account of our own; live: real orders, with --live besides"
    )
    decision: DecisionSettings = Field(default_factory=DecisionSettings, description="what a decision is about")
    data: DataSettings = Field(default_factory=DataSettings, description="where bars come from")
    pulse: PulseSettings = Field(default_factory=PulseSettings, description="what is measured on them")
    ai: AiSettings = Field(default_factory=AiSettings, description="who is asked")
    cassette: CassetteSettings = Field(
        default_factory=CassetteSettings, description="where --cassette keeps what was answered"
    )
    ensemble: EnsembleSettings = Field(default_factory=EnsembleSettings, description="how opinions are combined")
    exits: ExitSettings = Field(default_factory=ExitSettings, description="stop and target of an entry")
    sizing: SizingSettings = Field(default_factory=SizingSettings, description="how much is traded")
    costs: CostSettings = Field(default_factory=CostSettings, description="what a paper fill costs")
    risk: RiskSettings = Field(default_factory=RiskSettings, description="limits that shrink or veto an entry")
    execution: ExecutionSettings = Field(default_factory=ExecutionSettings, description="where and how orders go")
    store: StoreSettings = Field(default_factory=StoreSettings, description="where decisions are kept")
    log: LogSettings = Field(default_factory=LogSettings, description="what is written to standard error")
    plugins: PluginsSettings = Field(
        default_factory=PluginsSettings, description="which plugins run, and a section for each by its name"
    )

    _layers: tuple[Layer, ...] = PrivateAttr(default=())
    _variables: tuple[tuple[str, Mapping[str, str]], ...] = PrivateAttr(default=())
    _models: dict[str, type[BaseModel]] = PrivateAttr(default_factory=dict)
    _held: tuple[Problem, ...] = PrivateAttr(default=())
    _paths: Paths | None = PrivateAttr(default=None)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings, *(LayerSource(settings_cls, layer) for layer in _LAYERS.get()))

    @property
    def paths(self) -> Paths:
        return self._paths or resolve_paths()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Secrets that stand in plain text in a YAML file, a line each, without their values."""
        return tuple(dict.fromkeys(str(problem) for layer in self._layers for problem in layer.plaintext))

    def origin(self, key: str) -> str:
        """Where ``key`` (dotted) was set: ``default``, ``file:line``, ``.env NAME`` or ``environment NAME``.

        Of a whole section: every origin among its keys, in the order of the layers, the strongest first.
        """
        path = tuple(key.split("."))
        for depth in range(len(path), 0, -1):
            for layer in self._layers:
                if path[:depth] in layer.origins and not isinstance(_at(layer.tree, path[:depth]), dict):
                    return layer.origins[path[:depth]]
        strongest: dict[KeyPath, str] = {}
        for layer in self._layers:
            for place, origin in layer.origins.items():
                if place[: len(path)] == path and not isinstance(_at(layer.tree, place), dict):
                    strongest.setdefault(place, origin)
        return ", ".join(dict.fromkeys(strongest.values())) or DEFAULT_ORIGIN

    def recorded(self) -> dict[str, Any]:
        """What a decision depends on, as JSON-able values: no secret, no path, no plugin's section."""
        return self.model_dump(mode="json", exclude=cast(Any, _NOT_IN_RECORDS))

    @property
    def plugin_sections(self) -> dict[str, Tree]:
        """Every plugin's section as it was written, by name; secrets in it are plain text."""
        return dict(self.plugins.model_extra or {})

    @property
    def plugin_models(self) -> dict[str, type[BaseModel]]:
        """The model of every plugin that has asked for its section so far, by the plugin's name."""
        return dict(self._models)

    @property
    def plugin_problems(self) -> tuple[Problem, ...]:
        """What is wrong inside plugins' sections before their models are asked: each fails its own plugin only."""
        return self._held

    def plugin_section[Model: BaseModel](self, name: str, model: type[Model]) -> Model:
        """The section ``plugins.NAME`` as the plugin's own ``model``; ``model()`` where nothing is set.

        A field may name a variable that stands in for it: ``json_schema_extra={"env": "COINBASE_API_KEY"}``.
        Raises ``SettingsProblems`` for unknown keys, wrong types and placeholders.
        """
        self._models[name] = model
        written, origins = self._written(name), self._bare_origins(name, model)
        prefix = ("plugins", written)
        held = [problem for problem in self._held if tuple(problem.path.split("."))[:2] == prefix]

        def origin_of(path: KeyPath) -> str:
            return origins.get(path[2:], "") or self._where(path)

        raw = dict(self.plugin_sections.get(written, {}))
        for path in origins:
            _put(raw, path, VariableText(self._variable(origins[path])))
        fitter = Fitter(origin_of)
        fitted = fitter.fit(raw, model, prefix)
        problems = [*held, *fitter.problems]
        try:
            section = model.model_validate(fitted)
        except ValidationError as error:
            problems += translate(error, model, raw, origin_of, prefix)
        if problems:
            # A key already complained about may be missed by the model: once is enough.
            raise SettingsProblems.of(list({problem.path: problem for problem in reversed(problems)}.values())[::-1])
        return section

    def plugin_origin(self, name: str, key: str, model: type[BaseModel]) -> str:
        """As ``origin``, for a key of a plugin's section, the variables that stand in for keys included."""
        variable = self._bare_origins(name, model).get(tuple(key.split(".")))
        return variable or self.origin(f"plugins.{self._written(name)}.{key}")

    def unknown_plugin_sections(self, known: Iterable[str]) -> list[Problem]:
        """Sections that belong to none of the ``known`` plugins, each with the nearest name."""
        names = {name.replace("-", "_").lower(): name for name in known}
        return [
            unknown_key(("plugins", name), self._where(("plugins", name)), [*names.values(), *RESERVED_IN_PLUGINS], ())
            for name in self.plugin_sections
            if name.replace("-", "_").lower() not in names
        ]

    def well_known_variables(self, names: Iterable[str]) -> dict[str, str]:
        """The variables among ``names`` that are set in the environment or ``.env``, the environment first."""
        everywhere = {name: value for _, variables in reversed(self._variables) for name, value in variables.items()}
        return {name: everywhere[name] for name in names if everywhere.get(name)}

    def _written(self, name: str) -> str:
        """How the settings spell a plugin's name: a variable cannot hold a hyphen."""
        sections = self.plugin_sections
        if name in sections:
            return name
        plain = name.replace("-", "_").lower()
        return next((other for other in sections if other.replace("-", "_").lower() == plain), name)

    def _bare_origins(self, name: str, model: type[BaseModel]) -> dict[KeyPath, str]:
        """Fields that no place sets, and a well-known variable does, with that variable's origin."""
        section = self.plugin_sections.get(self._written(name), {})
        origins: dict[KeyPath, str] = {}
        for path, field in leaves_of(model):
            extra = field.json_schema_extra
            variable = extra.get("env") if isinstance(extra, dict) else None
            if not isinstance(variable, str) or _at(section, path) is not None:
                continue
            where = next((where for where, variables in self._variables if variables.get(variable)), None)
            if where is not None:
                origins[path] = f"{where} {variable}"
        return origins

    def _variable(self, origin: str) -> str:
        where, _, name = origin.partition(" ")
        return dict(self._variables)[where][name]

    def _where(self, path: KeyPath) -> str:
        return _where(self._layers, path)


def load_settings(
    *, config: Path | None = None, env: Mapping[str, str] | None = None, home: Path | None = None
) -> Settings:
    """The settings of this run. ``config`` is one YAML or JSON file instead of the two under ``FFE_HOME``.

    ``env`` stands for the process's environment and ``home`` for ``FFE_HOME``. Raises ``UsageError`` for a
    ``config`` that is missing or of another kind, ``SettingsProblems`` for everything wrong inside.
    """
    settings, problems = examine(config=config, env=env, home=home)
    if problems or settings is None:
        raise SettingsProblems.of(problems)
    return settings


def examine(
    *,
    config: Path | None = None,
    env: Mapping[str, str] | None = None,
    home: Path | None = None,
    overlay: str | None = None,
) -> tuple[Settings | None, list[Problem]]:
    """As ``load_settings``, with the problems as a list; ``overlay`` stands for the text of the local file."""
    variables = dict(os.environ if env is None else env)
    paths = resolve_paths(variables, home=home)
    layers, dotenv = _read_layers(paths, config, variables, overlay)
    problems: list[Problem] = []
    for layer in layers:
        fitter = Fitter(lambda path, layer=layer: _where((layer,), path), _every_path)  # type: ignore[misc]
        layer.tree = fitter.fit(layer.tree, Settings)
        problems += [*layer.problems, *fitter.problems]
    held = [problem for problem in problems if _in_plugin(problem)]
    problems = [problem for problem in problems if not _in_plugin(problem)]
    # Empty sections at the bottom are filled by the one validator of the whole; defaults made by each section's own
    # would cost more than everything else here.
    token = _LAYERS.set((*layers, Layer(DEFAULT_ORIGIN, tree=_empty_sections(Settings))))
    try:
        settings = Settings()
    except ValidationError as error:
        merged: Tree = {}
        for layer in reversed(layers):
            merged |= layer.tree
        problems += translate(error, Settings, merged, lambda path: _where(layers, path))
        return None, list(dict.fromkeys(problems))
    finally:
        _LAYERS.reset(token)
    settings._layers, settings._paths, settings._held = layers, paths, tuple(held)
    settings._variables = (("environment", variables), (".env", dotenv))
    return settings, list(dict.fromkeys(problems))


def _read_layers(
    paths: Paths, config: Path | None, variables: Mapping[str, str], overlay: str | None
) -> tuple[tuple[Layer, ...], dict[str, str]]:
    """The layers, the strongest first, and everything in ``.env``."""
    dotenv, dotenv_problems = read_dotenv(paths.dotenv_file)

    def lookup(name: str) -> str | None:
        return variables[name] if name in variables else dotenv.get(name)

    from_environment = variables_layer("environment", variables)
    from_dotenv = variables_layer(".env", dotenv, lookup=lookup)
    from_dotenv.problems += dotenv_problems
    files = [_one_file(config)] if config is not None else []
    if config is None:
        local = ("", overlay) if overlay is not None else (None, None)
        files = [_tier(paths.overlay_file, local[1]), _tier(paths.base_file, None)]
    layers = []
    for name, text, found_problems, strict_json in files:
        layer = file_layer(name, text, lookup, strict_json=strict_json)
        layer.problems += found_problems
        layers.append(layer)
    return (from_environment, from_dotenv, *layers), dotenv


type _File = tuple[str, str, list[Problem], bool]


def _tier(file: Path, instead: str | None) -> _File:
    text, problems = read_text(file) if instead is None else (instead, [])
    return file.name, text, problems, False


def _one_file(file: Path) -> _File:
    if file.suffix.lower() not in {".yaml", ".yml", ".json"}:
        raise UsageError(f"--config {file}: expected a .yaml, .yml or .json file")
    if not file.is_file():
        raise UsageError(f"--config {file}: no such file")
    text, problems = read_text(file)
    return str(file), text, problems, file.suffix.lower() == ".json"


def _in_plugin(problem: Problem) -> bool:
    """Whether only one plugin is concerned: it fails when it is loaded, and the others work."""
    path = problem.path.split(".")
    return len(path) > 1 and path[0] == "plugins" and path[1] not in RESERVED_IN_PLUGINS


def _where(layers: Iterable[Layer], path: KeyPath) -> str:
    """Where ``path`` or the nearest mapping around it is written."""
    for depth in range(len(path), 0, -1):
        for layer in layers:
            if path[:depth] in layer.origins:
                return layer.origins[path[:depth]]
    return ""


def _every_path() -> list[KeyPath]:
    return [path for path, _ in leaves_of(Settings)]


def _empty_sections(model: type[BaseModel]) -> Tree:
    fields = ((name, field.annotation) for name, field in model.model_fields.items())
    return {
        name: _empty_sections(kind) for name, kind in fields if isinstance(kind, type) and issubclass(kind, BaseModel)
    }


def _at(tree: Any, path: Iterable[str]) -> Any:
    for part in path:
        if not isinstance(tree, dict) or part not in tree:
            return None
        tree = tree[part]
    return tree


def _put(tree: Tree, path: KeyPath, value: Any) -> None:
    for part in path[:-1]:
        tree[part] = dict(tree.get(part) or {})
        tree = tree[part]
    tree[path[-1]] = value
