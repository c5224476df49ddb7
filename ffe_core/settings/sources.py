"""Where values are read: YAML files with line numbers, ``.env``, the environment. Each becomes one layer.

A layer is a source of pydantic-settings, which merges layers by key; nothing is merged here. Text keeps a masked
``repr`` from the moment it is read, so that no debug print of a half-loaded tree shows a secret.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ffe_core.settings.problems import (
    HOME_VARIABLE,
    HOST_VARIABLE,
    NESTED,
    PREFIX,
    Path,
    Problem,
    holds_password,
    is_placeholder,
    is_secret_key,
    variable_of,
)

if TYPE_CHECKING:
    import pathlib

    import yaml

type Tree = dict[str, Any]
type Lookup = Callable[[str], str | None]

_TEST_PREFIX = "FFE_TEST_"
_LARGEST_TREE = 100_000
#: Stands for a value that a problem has been noted about.
_UNREADABLE = object()


class Text(str):
    """A string as it was read; prints, but does not ``repr``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class VariableText(Text):
    """From a variable: text that may stand for a list, a number or a mapping."""

    __slots__ = ()


@dataclass(slots=True)
class Layer:
    """What one place sets. ``origins`` names every key of ``tree``, mappings too."""

    name: str
    tree: Tree = field(default_factory=dict)
    origins: dict[Path, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    plaintext: list[Problem] = field(default_factory=list)

    def put(self, path: Path, value: Any, origin: str) -> None:
        """Set ``path``; a mapping joins what is there. Raises ``ValueError`` where a plain value is in the way."""
        node = self.tree
        for depth, part in enumerate(path[:-1], start=1):
            inner = node.setdefault(part, {})
            if isinstance(inner, VariableText) and inner.lstrip().startswith("{"):
                # A whole section in one variable, and a key of it in another.
                inner = node[part] = json.loads(inner)
            node = inner
            if not isinstance(node, dict):
                raise ValueError(f"{variable_of(path[:depth])} is already set to a plain value")
            self.origins.setdefault(path[:depth], origin)
        node[path[-1]] = value
        self.origins[path] = origin


# --- variables -------------------------------------------------------------------------------------------------------

_REFERENCE = re.compile(r"\$(?P<escaped>\$\{)|\$\{(?:(?P<name>[A-Za-z_]\w*)(?P<default>:-[^}]*)?\}|(?P<bad>))")


class MissingVariable(Exception):
    """A reference without a value, or one that cannot be read; ``str`` says which, never a value."""


def expand(text: str, lookup: Lookup) -> str:
    """``text`` with ``${NAME}`` and ``${NAME:-default}`` replaced; ``$${`` stands for ``${`` itself.

    As in a shell, the default also stands in for an empty variable. Raises ``MissingVariable``.
    """

    def value(match: re.Match[str]) -> str:
        if match["escaped"]:
            return "${"
        if match["bad"] is not None:
            raise MissingVariable("a reference must read ${NAME} or ${NAME:-default}")
        known = lookup(match["name"])
        if match["default"] is not None:
            return known or match["default"][2:]
        if known is None:
            raise MissingVariable(f"${{{match['name']}}} is not set; set it, or write ${{{match['name']}:-default}}")
        return known

    return _REFERENCE.sub(value, text)


def variables_layer(where: str, variables: Mapping[str, str], *, lookup: Lookup | None = None) -> Layer:
    """The ``FFE_`` variables of ``variables`` (``where``: ``environment`` or ``.env``), nobody else's."""
    layer = Layer(where)
    ours = [name for name in variables if name.upper().startswith(PREFIX)]
    for name in sorted(ours, key=lambda name: (name.count(NESTED), name)):
        origin, upper = f"{where} {name}", name.upper()
        if upper.startswith(_TEST_PREFIX) or (upper == HOME_VARIABLE and where == "environment"):
            continue
        if upper == HOME_VARIABLE:
            text = "has no effect in this file, which lies under it; set it in the environment"
            layer.problems.append(Problem(origin, "", text))
            continue
        try:
            value = VariableText(expand(variables[name], lookup) if lookup else variables[name])
            if upper == HOST_VARIABLE:
                continue
            layer.put(tuple(upper[len(PREFIX) :].lower().split(NESTED)), value, origin)
        except (MissingVariable, ValueError) as error:
            layer.problems.append(Problem(origin, "", str(error)))
    if HOST_VARIABLE in variables:
        layer.put(("plugins", "enabled"), VariableText(variables[HOST_VARIABLE]), f"{where} {HOST_VARIABLE}")
    return layer


def read_dotenv(file: pathlib.Path) -> tuple[dict[str, str], list[Problem]]:
    """Every ``NAME=value`` of a ``.env`` file, unexpanded, and the lines that are none."""
    text, problems = read_text(file)
    if not text:
        return {}, problems
    from io import StringIO

    from dotenv.parser import parse_stream

    values: dict[str, str] = {}
    for binding in parse_stream(StringIO(text)):
        if binding.error:
            problems.append(Problem(f"{file.name}:{binding.original.line}", "", "expected NAME=value"))
        elif binding.key is not None:
            values[binding.key] = binding.value or ""
    return values, problems


def read_text(file: pathlib.Path) -> tuple[str, list[Problem]]:
    """The text of ``file``; nothing where it does not exist, a problem where it cannot be read."""
    try:
        return file.read_text(encoding="utf-8-sig"), []
    except FileNotFoundError:
        return "", []
    except UnicodeDecodeError:
        return "", [Problem(str(file), "", "is not UTF-8 text")]
    except OSError as error:
        return "", [Problem(str(file), "", f"cannot be read: {error.strerror}")]


# --- files -----------------------------------------------------------------------------------------------------------


def file_layer(name: str, text: str, lookup: Lookup, *, strict_json: bool = False) -> Layer:
    """The mapping that ``text`` holds, in YAML or JSON; ``name`` is how the file is called in origins."""
    layer = Layer(name)
    if not text.strip():
        return layer
    if strict_json:
        try:
            json.loads(text)
        except ValueError as error:
            where = f"{name}:{error.lineno}" if isinstance(error, json.JSONDecodeError) else name
            what = error.msg if isinstance(error, json.JSONDecodeError) else "too deep"
            layer.problems.append(Problem(where, "", f"not valid JSON: {what}"))
            return layer
        # Valid JSON is YAML 1.1 but for tabs between tokens and the escaped slash.
        text = re.sub(r"(\\\\)|\\/", lambda match: match[1] or "/", text.replace("\t", " "))
    _YamlWalk(layer, lookup).read(text)
    return layer


class _YamlWalk:
    """From nodes, which know their lines, to plain values."""

    def __init__(self, layer: Layer, lookup: Lookup) -> None:
        self._layer = layer
        self._lookup = lookup
        self._size = 0

    def read(self, text: str) -> None:
        import yaml

        loader_class = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            self._loader = loader_class(text)
            root = self._loader.get_single_node()
            if root is None:
                return
            if not isinstance(root, yaml.MappingNode):
                if not (isinstance(root, yaml.ScalarNode) and root.tag.endswith(":null")):
                    self._problem((), root, "expected a mapping of keys to values at the top")
                return
            self._layer.tree = self._mapping(root, (), ())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            # The parser quotes what it stumbled over, which may be part of a secret.
            what = re.sub(r"'[^']{2,}'|\"[^\"]{2,}\"", "…", error.problem or "cannot be read")
            where = f"{self._layer.name}:{mark.line + 1}" if mark else self._layer.name
            self._layer.problems.append(Problem(where, "", f"not valid YAML: {what}"))
        except yaml.reader.ReaderError as error:
            self._layer.problems.append(
                Problem(self._layer.name, "", f"not valid YAML: a control character at position {error.position}")
            )
        except RecursionError:
            self._layer.problems.append(Problem(self._layer.name, "", "is nested too deeply"))

    def _origin(self, node: yaml.Node) -> str:
        return f"{self._layer.name}:{node.start_mark.line + 1}"

    def _problem(self, path: Path, node: yaml.Node, text: str) -> None:
        self._layer.problems.append(Problem(self._origin(node), ".".join(path), text))

    def _mapping(self, node: yaml.MappingNode, path: Path, within: tuple[int, ...]) -> Tree:
        import yaml

        written: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge"):
                if key.value in written:
                    self._problem((*path, key.value), key, "is written twice; keep one")
                written.add(key.value)
        self._loader.flatten_mapping(node)
        tree: Tree = {}
        for key, child in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._problem(path, key, "a key must be a plain word")
                continue
            here = (*path, key.value)
            self._layer.origins[here] = self._origin(key)
            value = self._value(child, here, (*within, id(node)))
            if value is not _UNREADABLE:
                tree[key.value] = value
        return tree

    def _value(self, node: yaml.Node, path: Path, within: tuple[int, ...]) -> Any:
        import yaml

        self._size += 1
        if id(node) in within:
            self._problem(path, node, "contains itself")
            return _UNREADABLE
        if self._size > _LARGEST_TREE:
            if self._size == _LARGEST_TREE + 1:
                self._problem(path, node, "too many values for a settings file")
            return _UNREADABLE
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, within)
        if isinstance(node, yaml.SequenceNode):
            values = [self._value(child, path, (*within, id(node))) for child in node.value]
            return [value for value in values if value is not _UNREADABLE]
        return self._scalar(node, path)

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        import yaml

        kind = node.tag.rpartition(":")[2]
        if kind in {"str", "timestamp"} or (kind in {"int", "float"} and ":" in node.value):
            return self._text(node, path)
        try:
            return self._loader.construct_object(node)
        except yaml.YAMLError:
            self._problem(path, node, "has a tag that settings do not know; quote a value that begins with !")
        except ValueError:
            self._problem(path, node, "cannot be read as what it looks like; put it in quotes")
        return _UNREADABLE

    def _text(self, node: yaml.Node, path: Path) -> Any:
        raw = str(node.value)
        if "${" not in raw:
            if raw and not is_placeholder(raw) and (any(map(is_secret_key, path)) or holds_password(raw)):
                text = f"a secret in plain text; move it to .env or the environment as {variable_of(path)}"
                self._layer.plaintext.append(Problem(self._origin(node), ".".join(path), text))
            return Text(raw)
        try:
            return VariableText(expand(raw, self._lookup))
        except MissingVariable as error:
            self._problem(path, node, str(error))
            return _UNREADABLE
