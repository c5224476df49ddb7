"""Writing one key into a YAML file that people also edit: their comments and layout stay where that can be done."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
from typing import Any

import yaml

from ffe_core.settings.problems import Path


def with_value(text: str, path: Path, value: Any) -> str:
    """``text`` (YAML) with ``path`` set to ``value`` (plain data).

    Only the lines concerned change. Where the layout does not allow that (an alias, a block of text in the way), the
    whole is written anew and comments inside it are lost; the result always means what was asked.
    """
    wanted = yaml.safe_load(text) or {}
    _put(wanted, path, value)
    edited = _edit(text, path, value)
    if _means(edited, wanted):
        return edited
    return _leading_comments(text) + _dumped(wanted, flow=False)


def _edit(text: str, path: Path, value: Any) -> str:
    node, depth = yaml.compose(text, Loader=yaml.SafeLoader), 0
    if not isinstance(node, yaml.MappingNode):
        return _appended(text, path, value)
    while True:
        key, child = _child(node, path[depth])
        if key is None or child is None:
            return _inserted(text, node, path[depth:], value)
        depth += 1
        if depth == len(path):
            return _replaced(text, child, f" {_flow(value)}" if _is_blank(child) else _flow(value))
        if not isinstance(child, yaml.MappingNode):
            indent = " " * (key.start_mark.column + 2)
            return _replaced(text, child, "\n" + _block(path[depth:], value, indent).rstrip("\n"))
        node = child


def _child(node: yaml.MappingNode, name: str) -> tuple[yaml.Node | None, yaml.Node | None]:
    return next(((key, child) for key, child in node.value if key.value == name), (None, None))


def _is_blank(node: yaml.Node) -> bool:
    return bool(node.start_mark.index == node.end_mark.index)


def _replaced(text: str, node: yaml.Node, new: str) -> str:
    return text[: node.start_mark.index] + new + text[node.end_mark.index :]


def _inserted(text: str, node: yaml.MappingNode, rest: Path, value: Any) -> str:
    """A new key at the end of ``node``, after the comment on its last line."""
    if node.flow_style:
        at = node.end_mark.index - 1
        comma = ", " if node.value else ""
        opened = "".join(f"{_flow(part)}: {{" for part in rest[:-1])
        return f"{text[:at]}{comma}{opened}{_flow(rest[-1])}: {_flow(value)}{'}' * (len(rest) - 1)}{text[at:]}"
    indent = " " * node.start_mark.column
    last = _last_leaf(node)
    if last.end_mark.column == 0 and not _is_blank(last):
        at = last.end_mark.index
        return text[:at] + _block(rest, value, indent) + text[at:]
    line_end = text.find("\n", last.end_mark.index)
    if line_end < 0:
        return f"{text}\n{_block(rest, value, indent)}"
    return text[: line_end + 1] + _block(rest, value, indent) + text[line_end + 1 :]


def _last_leaf(node: yaml.Node) -> yaml.Node:
    while isinstance(node, yaml.CollectionNode) and node.value and not node.flow_style:
        node = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
    return node


def _appended(text: str, path: Path, value: Any) -> str:
    separator = "" if not text or text.endswith("\n") else "\n"
    return text + separator + _block(path, value, "")


def _block(path: Path, value: Any, indent: str) -> str:
    lines = [f"{indent}{'  ' * depth}{_flow(part)}:" for depth, part in enumerate(path)]
    return "\n".join(lines) + f" {_flow(value)}\n"


def _flow(value: Any) -> str:
    # Inside a list, so that the text is right within braces too and carries no end-of-document mark.
    return _dumped([value], flow=True).strip()[1:-1]


def _dumped(value: Any, *, flow: bool) -> str:
    def dump(*, allow_unicode: bool) -> str:
        text: str = yaml.safe_dump(
            value, default_flow_style=flow, width=10**9, sort_keys=False, allow_unicode=allow_unicode
        )
        return text

    readable = dump(allow_unicode=True)
    # PyYAML leaves some line separators unescaped, and reads them back as spaces.
    return readable if _means(readable, value) else dump(allow_unicode=False)


def _means(text: str, wanted: Any) -> bool:
    try:
        return bool(yaml.safe_load(text) == wanted)
    except yaml.YAMLError:
        return False


def _leading_comments(text: str) -> str:
    head = []
    for line in text.splitlines(keepends=True):
        if line.strip() and not line.startswith("#"):
            break
        head.append(line)
    return "".join(head)


def _put(tree: Any, path: Path, value: Any) -> None:
    for part in path[:-1]:
        if not isinstance(tree.get(part), dict):
            tree[part] = {}
        tree = tree[part]
    tree[path[-1]] = value


def write_private(file: pathlib.Path, text: str) -> None:
    """``text`` in ``file``, whole or not at all, readable by its owner only; folders are made 0700.

    A symbolic link keeps pointing where it points. Raises ``OSError``.
    """
    target = file.resolve()
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes the file 0600.
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    temporary = pathlib.Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
