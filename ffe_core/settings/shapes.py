"""Trees against models: decode what came from variables, name what no model knows, translate what pydantic says."""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Sequence as AbstractSequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, Literal, TypeAliasType, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from ffe_core.settings.problems import (
    Path,
    Problem,
    dotted,
    explain,
    found,
    is_placeholder,
    is_secret_key,
    scrub,
    unknown_key,
)
from ffe_core.settings.sources import Tree, VariableText

type Shape = Literal["model", "list", "mapping", "number", "other"]
type OriginOf = Callable[[Path], str]


def bare(annotation: Any) -> Any:
    """The type itself, without aliases, constraints and ``| None``."""
    while True:
        if isinstance(annotation, TypeAliasType):
            annotation = annotation.__value__
        elif get_origin(annotation) is Annotated:
            annotation = get_args(annotation)[0]
        elif get_origin(annotation) in {Union, types.UnionType}:
            members = [member for member in get_args(annotation) if member is not type(None)]
            if len(members) != 1:
                return annotation
            annotation = members[0]
        else:
            return annotation


def shape(annotation: Any) -> Shape:
    kind = bare(annotation)
    kind = get_origin(kind) or kind
    if not isinstance(kind, type):
        return "other"
    if issubclass(kind, BaseModel):
        return "model"
    if issubclass(kind, Mapping):
        return "mapping"
    if issubclass(kind, AbstractSequence | AbstractSet) and not issubclass(kind, str | bytes):
        return "list"
    return "number" if kind in {int, float} else "other"


def optional(annotation: Any) -> bool:
    if isinstance(annotation, TypeAliasType):
        return optional(annotation.__value__)
    if get_origin(annotation) is Annotated:
        return optional(get_args(annotation)[0])
    return annotation is Any or type(None) in get_args(annotation)


def is_secret(field: FieldInfo | None) -> bool:
    return field is not None and bare(field.annotation) in {SecretStr, SecretBytes}


def keys_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """What may be written in a section: names, or the aliases that stand for them."""
    known: dict[str, FieldInfo] = {}
    by_name = model.model_config.get("populate_by_name") or model.model_config.get("validate_by_name")
    for name, field in model.model_fields.items():
        alias = field.validation_alias
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
        aliases = [choice for choice in choices if isinstance(choice, str)]
        if not aliases or by_name:
            aliases = [name, *aliases]
        known.update(dict.fromkeys(aliases, field))
    return known


def leaves_of(model: type[BaseModel], prefix: Path = ()) -> Iterator[tuple[Path, FieldInfo]]:
    """Every key that holds a value, in the order written, with its field."""
    for name, field in keys_of(model).items():
        if shape(field.annotation) == "model":
            yield from leaves_of(bare(field.annotation), (*prefix, name))
        else:
            yield (*prefix, name), field


def field_at(model: type[BaseModel], path: Iterable[str]) -> FieldInfo | None:
    """The field that ``path`` reaches, or the mapping that holds it; None where there is none."""
    field: FieldInfo | None = None
    current: type[BaseModel] | None = model
    for part in path:
        if current is None:
            return field if field is not None and shape(field.annotation) in {"mapping", "list"} else None
        field = keys_of(current).get(part)
        if field is None:
            return None
        current = bare(field.annotation) if shape(field.annotation) == "model" else None
    return field


def decode(text: str, annotation: Any) -> Any:
    """What a variable's text stands for: lists by commas or as JSON, mappings as JSON. Raises ``ValueError``."""
    kind = shape(annotation)
    if not text.strip() and optional(annotation) and kind != "list":
        return None
    if kind == "list":
        if text.lstrip().startswith("["):
            return _json(text, "a list: one, two or a JSON array")
        return [VariableText(part.strip()) for part in text.split(",") if part.strip()]
    if kind in {"mapping", "model"}:
        value = _json(text or "{}", "a mapping, as a JSON object")
        if not isinstance(value, dict):
            raise ValueError("expected a mapping, as a JSON object")
        return value
    return text


def plain_value(text: str, field: FieldInfo | None, *, within: bool = False) -> Any:
    """What ``text`` typed by a person means for ``field``, as plain data for a file; ``null`` is nothing.

    ``within``: the text is for one key of a mapping, not for the whole. Raises ``ValueError``.
    """
    import yaml

    annotation = field.annotation if field is not None else Any
    kind = shape(annotation)
    if kind == "mapping" and within and not text.lstrip().startswith("{"):
        annotation = (get_args(bare(annotation)) or (str, Any))[1]
        kind = shape(annotation)
    if text.strip() == "null" and (kind in {"list", "mapping", "model"} or optional(annotation)):
        return None
    if kind in {"list", "mapping", "model"}:
        decoded = decode(text, annotation)
        return [str(item) if isinstance(item, str) else item for item in decoded] if kind == "list" else decoded
    wanted = bare(annotation)
    if get_origin(wanted) is Literal or (isinstance(wanted, type) and wanted is not bool and kind != "number"):
        return text
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    return value if isinstance(value, bool | int | float | list | dict) else text


def _json(text: str, wanted: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError(f"expected {wanted}") from None


class Fitter:
    """Makes one place's tree fit a model, and keeps what does not fit as problems."""

    def __init__(self, origin_of: OriginOf, everywhere: Callable[[], Iterable[Path]] = tuple) -> None:
        self.problems: list[Problem] = []
        self._origin_of = origin_of
        self._everywhere = everywhere

    def fit(self, tree: Tree, model: type[BaseModel], path: Path = ()) -> Tree:
        """A copy of ``tree`` with variables decoded, empty sections dropped and unknown keys reported."""
        known = keys_of(model)
        open_ended = model.model_config.get("extra") == "allow"
        fitted: Tree = {}
        for key, value in tree.items():
            here = (*path, key)
            field = known.get(key)
            if field is not None:
                self._fit_field(fitted, key, value, field, here)
            elif open_ended:
                self._fit_open(fitted, key, value, here)
            else:
                self.problems.append(unknown_key(here, self._origin_of(here), known, self._everywhere()))
        return fitted

    def _fit_field(self, fitted: Tree, key: str, value: Any, field: FieldInfo, here: Path) -> None:
        if isinstance(value, VariableText):
            try:
                value = decode(value, field.annotation)
            except ValueError as error:
                self._problem(here, str(error))
                return
        kind = shape(field.annotation)
        if value is None and not optional(field.annotation):
            # A key whose lines are all commented out says nothing.
            return
        if kind == "model" and value is not None:
            if isinstance(value, dict):
                fitted[key] = self.fit(value, bare(field.annotation), here)
            else:
                self._problem(here, f"expected a mapping of keys to values, found {found(value)}")
        elif kind == "number" and isinstance(value, bool):
            self._problem(here, "expected a number, found true or false")
        elif self._without_placeholder(value, here):
            fitted[key] = value

    def _fit_open(self, fitted: Tree, key: str, value: Any, here: Path) -> None:
        """A section of its own, whose model is not known here."""
        if isinstance(value, VariableText) and value.lstrip().startswith("{"):
            value = decode(value, dict)
        if value is None or value == "":
            value = {}
        if isinstance(value, dict):
            fitted[key] = value
        else:
            self._problem(here, f"expected a mapping of keys to values, found {found(value)}")

    def _without_placeholder(self, value: Any, here: Path) -> bool:
        if isinstance(value, str) and is_placeholder(value):
            self._problem(here, "is still a placeholder; write the real value or leave the key out")
            return False
        if isinstance(value, list | dict):
            items = value.items() if isinstance(value, dict) else enumerate(value)
            fine = [self._without_placeholder(item, (*here, str(key))) for key, item in items]
            return all(fine)
        return True

    def _problem(self, path: Path, text: str) -> None:
        self.problems.append(Problem(self._origin_of(path), dotted(path), text))


def translate(
    error: ValidationError, model: type[BaseModel], tree: Tree, origin_of: OriginOf, prefix: Path = ()
) -> list[Problem]:
    """What pydantic found, a line each, without the input that its own text would print."""
    secrets = list(secret_texts(tree, model))
    problems = []
    for item in error.errors(include_url=False):
        path = _path_of(item["loc"], model)
        field = field_at(model, path)
        secret = is_secret(field) or any(map(is_secret_key, path))
        extra = field.json_schema_extra if field is not None else None
        fraction = isinstance(extra, dict) and extra.get("unit") == "fraction"
        given = [item["input"]] if isinstance(item["input"], str) and secret else []
        text = explain(item["type"], item["msg"], item.get("ctx", {}), item["input"], fraction=fraction, secret=secret)
        whole = (*prefix, *path)
        problems.append(Problem(origin_of(whole), dotted(whole), scrub(text, [*secrets, *given])))
    return list(dict.fromkeys(problems))


def _path_of(location: tuple[int | str, ...], model: type[BaseModel]) -> Path:
    """``location`` without the union members and validator names that pydantic adds to it."""
    path: list[str] = []
    for part in location:
        if path and shape_at(model, path) not in {"model", "mapping", "list"}:
            break
        path.append(str(part))
    return tuple(path)


def shape_at(model: type[BaseModel], path: list[str]) -> Shape:
    field = field_at(model, path)
    return shape(field.annotation) if field is not None else "other"


def secret_texts(tree: Any, model: type[BaseModel] | None, key: str = "") -> Iterator[str]:
    """The text at every key that ``model`` or its own name makes a secret."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            field = keys_of(model).get(name) if model is not None else None
            inner = bare(field.annotation) if field is not None and shape(field.annotation) == "model" else None
            hidden = is_secret(field) or is_secret_key(name) or bool(key)
            yield from secret_texts(value, inner, name if hidden else "")
    elif isinstance(tree, list):
        for value in tree:
            yield from secret_texts(value, None, key)
    elif isinstance(tree, str) and key:
        yield str(tree)
