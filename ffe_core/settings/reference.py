"""What can be set, told from the models: for ``ffe config explain``, docs/settings.md and config.example.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, get_args, get_origin

import annotated_types
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ffe_core.settings import Settings
from ffe_core.settings.problems import Path, dotted, variable_of
from ffe_core.settings.shapes import bare, is_secret, keys_of, leaves_of, optional, shape

_WORDS = {bool: "true or false", int: "whole number", float: "number", str: "text", Decimal: "number"}
_BOUNDS = (
    (annotated_types.Gt, "gt", "above"),
    (annotated_types.Ge, "ge", "at least"),
    (annotated_types.Lt, "lt", "below"),
    (annotated_types.Le, "le", "at most"),
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One key: ``default`` is JSON-able, ``variables`` the environment's names for it, the preferred one first."""

    path: Path
    kind: str
    default: Any
    description: str
    variables: tuple[str, ...]
    secret: bool

    @property
    def key(self) -> str:
        return dotted(self.path)


def entries(model: type[BaseModel] = Settings, prefix: Path = ()) -> Iterator[Entry]:
    """Every key of ``model``, in the order written; ``prefix`` is where the model stands in the settings."""
    for path, field in leaves_of(model):
        whole = (*prefix, *path)
        extra = field.json_schema_extra
        fallback = extra.get("env") if isinstance(extra, dict) else None
        variables = (variable_of(whole), *([fallback] if isinstance(fallback, str) else []))
        yield Entry(whole, kind_of(field), _default(field), field.description or "", variables, is_secret(field))


def kind_of(field: FieldInfo) -> str:
    """The type in a reader's words: ``fraction above 0 and at most 1``."""
    extra = field.json_schema_extra
    word = "fraction" if isinstance(extra, dict) and extra.get("unit") == "fraction" else _word(field.annotation)
    if is_secret(field):
        word = "secret text"
    bounds = [
        f"{phrase} {getattr(item, name):g}"
        for item in field.metadata
        for kind, name, phrase in _BOUNDS
        if isinstance(item, kind)
    ]
    text = f"{word} {' and '.join(bounds)}" if bounds else word
    return f"{text}, or null" if optional(field.annotation) else text


def _word(annotation: Any) -> str:
    kind = bare(annotation)
    if get_origin(kind) is Literal:
        return " | ".join(map(str, get_args(kind)))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return " | ".join(str(member.value) for member in kind)
    if shape(kind) == "list":
        inner = get_args(kind)
        return f"list of {_word(inner[0])}" if inner else "list"
    if shape(kind) == "mapping":
        inner = get_args(kind)
        return f"mapping to {_word(inner[1])}" if inner else "mapping"
    return _WORDS.get(kind, getattr(kind, "__name__", "value").lower())


def _default(field: FieldInfo) -> Any:
    if field.is_required():
        return None
    return jsonable(field.get_default(call_default_factory=True, validated_data={}))


def jsonable(value: Any) -> Any:
    """Plain JSON of a setting's value; a secret shows as asterisks, whatever it is."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, BaseModel):
        return {field.alias or name: jsonable(getattr(value, name)) for name, field in type(value).model_fields.items()}
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(item) for item in value]
    return str(value)


def schema(plugins: Mapping[str, type[BaseModel]] | None = None) -> dict[str, Any]:
    """A JSON Schema of a settings file, the sections of ``plugins`` (their models by name) included."""
    whole = Settings.model_json_schema()
    definitions = whole.setdefault("$defs", {})
    host = definitions["PluginsSettings"]
    for name, model in sorted((plugins or {}).items()):
        section = model.model_json_schema(ref_template=f"#/$defs/plugins.{name}.{{model}}")
        for inner, definition in section.pop("$defs", {}).items():
            definitions[f"plugins.{name}.{inner}"] = definition
        host["properties"][name] = section
    return whole


# --- generated files -------------------------------------------------------------------------------------------------

_DOCUMENT_HEAD = """\
# Settings

Read in this order, the later winning: defaults, `config.yaml`, `config.local.yaml`, `.env`, environment variables.
The files lie in the config folder (`ffe config path`). Mappings merge key by key; lists and plain values replace.
`--config FILE` reads that one YAML or JSON file instead of the two YAML files.

In YAML, `${NAME}` stands for a variable of the environment or of `.env`, and `${NAME:-default}` for one that may be
missing; `$${` is a plain `${`. In variables, lists are written `a,b` or as JSON, mappings as JSON. Fractions are
fractions: 0.05 is 5 %. Secrets belong in `.env` or the environment. `FFE_HOME` moves config, data, cache, logs and
state together; `FFE_PLUGINS=a,b` replaces `plugins.enabled`, and an empty `FFE_PLUGINS` leaves the built-ins only.

A key that nobody knows, a wrong type and a forgotten placeholder each end the command with one line that names the key
and the file and line, or the variable, that it came from. `ffe config explain KEY` tells the rest.
"""


def document(plugins: Mapping[str, type[BaseModel]]) -> str:
    """docs/settings.md; ``plugins`` are the models of the built-in plugins by name."""
    lines = [_DOCUMENT_HEAD]
    for name, field in Settings.model_fields.items():
        described = [entry for entry in entries() if entry.path[0] == name]
        lines += [f"## {name}", "", f"{_sentence(field.description)}", "", *table(described)]
    lines += [
        "Every other key of `plugins` is a plugin's name and holds that plugin's own section, which the plugin",
        "validates: `plugins.coinbase.api_key`, or `FFE_PLUGINS__COINBASE__API_KEY`. `ffe config show` lists them. The",
        "built-in ones:",
        "",
        *table([entry for name, model in sorted(plugins.items()) for entry in entries(model, ("plugins", name))]),
    ]
    return "\n".join(lines)


def table(described: Iterable[Entry]) -> list[str]:
    """A table of keys, with their types, defaults and meanings, as the documents have it."""
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for entry in described:
        kind, default = entry.kind.replace("|", "\\|"), json.dumps(entry.default)
        rows.append(f"| `{entry.key}` | {kind} | `{default}` | {entry.description} |")
    return [*rows, ""]


_EXAMPLE_HEAD = """\
## Settings of ffe. Lines that begin with one # show the defaults: take the "# " away to change one, and the "# " of the
## section above it. `ffe config explain KEY` tells more about each.
## Secrets do not belong here: put them in .env beside this file (mode 0600) or in the environment, or refer to them
## as ${NAME}. What one machine needs differently goes into config.local.yaml (`ffe config set KEY VALUE`).
"""

_EXAMPLE_TAIL = """\
#   coinbase:  # a plugin's own section, by its name
#     api_key: ${COINBASE_API_KEY}
"""

#: Shown as set, because they are the first that a user changes.
_SHOWN = {("mode",), ("data", "sources"), ("ai", "providers"), ("execution", "platform")}


def example() -> str:
    """config.example.yaml: paper mode, every key with its default."""
    lines = [_EXAMPLE_HEAD]
    for name, field in Settings.model_fields.items():
        lines.append(f"## {_sentence(field.description)}")
        if shape(field.annotation) == "model":
            active = any(path[0] == name for path in _SHOWN)
            lines += [f"{name}:" if active else f"# {name}:", *_example_lines(bare(field.annotation), (name,))]
        else:
            lines.append(f"{name}: {_flow(_default(field))}")
        lines.append("")
    return "\n".join(lines[:-1]) + "\n" + _EXAMPLE_TAIL


def _example_lines(model: type[BaseModel], path: Path) -> Iterator[str]:
    indent = "  " * len(path)
    for name, field in keys_of(model).items():
        here = (*path, name)
        if shape(field.annotation) == "model":
            yield f"# {indent}{name}:  # {field.description}"
            yield from _example_lines(bare(field.annotation), here)
        else:
            yield f"{'' if here in _SHOWN else '# '}{indent}{name}: {_flow(_default(field))}  # {field.description}"


def _flow(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _sentence(text: str | None) -> str:
    text = text or ""
    return f"{text[:1].upper()}{text[1:]}."
