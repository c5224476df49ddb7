"""``ffe config``: what is set, where, whether it holds together, and how to change it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.output import foreign
from ffe_core.cli.session import Session, command, group
from ffe_core.errors import FfeError, SettingsError, UnknownName, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from ffe_core.plugins import Registry
    from ffe_core.settings import Settings
    from ffe_core.settings.problems import Problem
    from ffe_core.settings.reference import Entry


# --- show ------------------------------------------------------------------------------------------------------------


@command()
@click.argument("key", required=False)
@click.option("--changed", is_flag=True, help="Only what is set somewhere.")
def show(session: Session, key: str | None, changed: bool) -> None:
    """Print every setting with its value and origin; KEY limits it to one section.

    Secrets are masked. Origins are a file with its line, a variable, or default.
    """
    from ffe_core.settings.view import rows

    settings = session.settings
    _load_plugins(session, settings)
    everything = list(rows(settings))
    wanted = [row for row in everything if key is None or row.key == key or row.key.startswith(f"{key}.")]
    if key is not None and not wanted:
        raise UnknownName("setting", key, _prefixes(row.key for row in everything))
    if changed:
        wanted = [row for row in wanted if row.origin != "default"]

    def render(console: Console) -> None:
        from rich.table import Table

        table = Table("setting", "value", "origin", box=None, pad_edge=False)
        for row in wanted:
            plain = row.origin == "default"
            table.add_row(
                foreign(row.key), foreign(_text(row.value)), foreign(row.origin), style="dim" if plain else None
            )
        console.print(table)

    session.emit({row.key: {"value": row.value, "origin": row.origin} for row in wanted}, render)


# --- check -----------------------------------------------------------------------------------------------------------


@command()
def check(session: Session) -> None:
    """Check all settings, those of plugins included, and print every problem.

    Exit code 2 where there is one. Warnings, such as secrets in plain text, do not count.
    """
    from ffe_core.settings import examine
    from ffe_core.settings.view import exposed_files

    settings, problems = examine(config=session.config)
    lines = [str(problem) for problem in problems]
    warnings: list[str] = []
    if settings is not None:
        lines += problems_of_plugins(session, settings)
        warnings = [*settings.warnings, *exposed_files(settings, session.config)]
    lines = list(dict.fromkeys(lines))

    def render(console: Console) -> None:
        for line in lines:
            console.print(f"[red]problem[/]  {foreign(line)}", soft_wrap=True)
        for line in warnings:
            console.print(f"[yellow]warning[/]  {foreign(line)}", soft_wrap=True)
        if not lines:
            console.print("[green]the settings hold together[/]")

    session.emit({"ok": not lines, "problems": lines, "warnings": warnings}, render)
    if lines:
        count = f"{len(lines)} problems" if len(lines) > 1 else "a problem"
        raise SettingsError(f"the settings have {count}", hint="ffe config explain KEY says what a key takes")


def problems_of_plugins(session: Session, settings: Settings) -> list[str]:
    from ffe_core.settings import SettingsProblems

    registry, lines = _load_plugins(session, settings, quiet=True)
    for name, model in settings.plugin_models.items():
        try:
            settings.plugin_section(name, model)
        except SettingsProblems as error:
            lines += [str(problem) for problem in error.problems]
    lines += [str(problem) for problem in settings.plugin_problems]
    if registry is not None:
        lines += map(str, settings.unknown_plugin_sections(info.name for info in registry.plugins))
        lines += unknown_names(settings, registry)
    return lines


def unknown_names(settings: Settings, registry: Registry) -> list[str]:
    """Names that settings choose by and that nothing answers to."""
    from ffe_core.execution.router import UNIFIED

    chosen = [
        ("data.sources", "source", settings.data.sources, registry.sources),
        ("ai.providers", "provider", settings.ai.providers, registry.providers),
        ("ensemble.weights", "provider", list(settings.ensemble.weights), registry.providers),
        ("ensemble.strategy", "strategy", [settings.ensemble.strategy], registry.strategies),
        ("execution.platform", "platform", [settings.execution.platform], {*registry.platforms, UNIFIED}),
        ("execution.venues", "platform", list(settings.execution.venues.values()), registry.platforms),
    ]
    lines = []
    for key, kind, names, offers in chosen:
        for name in names:
            if name not in offers:
                origin = settings.origin(f"{key}.{name}" if key == "ensemble.weights" else key)
                lines.append(f"{origin} {key}: {UnknownName(kind, name, offers)}")
    return lines


# --- explain ---------------------------------------------------------------------------------------------------------


@command()
@click.argument("key")
def explain(session: Session, key: str) -> None:
    """Say what KEY takes and does, what it is now, and which variable sets it; of a section, all its keys."""
    from ffe_core.settings import examine

    settings, problems = examine(config=session.config)
    if settings is not None and key.split(".", maxsplit=1)[0] == "plugins":
        _load_plugins(session, settings)
    known = _entries(settings)
    found = [entry for entry in known if entry.key == key or entry.key.startswith(f"{key}.")]
    # A name within a mapping, such as a provider's weight.
    found = found or [entry for entry in known if key.startswith(f"{entry.key}.") and entry.kind.startswith("mapping")]
    if not found:
        raise UnknownName("setting", key, _prefixes(entry.key for entry in known))
    if problems:
        session.warn(f"the settings have problems, so that no value is shown: {problems[0]}")
    explained = [_explained(entry, settings if not problems else None, key) for entry in found]
    section = found[0].key != key and not key.startswith(f"{found[0].key}.")
    session.emit(
        {"key": key, "keys": explained} if section else explained[0], lambda console: _print(console, explained)
    )


def _entries(settings: Settings | None) -> list[Entry]:
    from ffe_core.settings.reference import entries
    from ffe_core.settings.view import plugin_entries

    return [*entries(), *(plugin_entries(settings) if settings is not None else ())]


def _explained(entry: Entry, settings: Settings | None, key: str) -> dict[str, Any]:
    from ffe_core.settings.view import rows

    inside = f"{key}." if key.startswith(f"{entry.key}.") else f"{entry.key}."
    now = (
        [row for row in rows(settings) if row.key in {entry.key, key} or row.key.startswith(inside)] if settings else []
    )
    one = next((row for row in now if row.key == entry.key), None)
    value = one.value if one else {row.key.removeprefix(f"{entry.key}."): row.value for row in now} or None
    return {
        "key": entry.key,
        "type": entry.kind,
        "default": None if entry.secret else entry.default,
        "description": entry.description,
        "value": value,
        "origin": ", ".join(dict.fromkeys(row.origin for row in now)) or None,
        "variable": entry.variables[0],
        "other_variables": list(entry.variables[1:]),
    }


def _print(console: Console, explained: list[dict[str, Any]]) -> None:
    for number, entry in enumerate(explained):
        if number:
            console.print()
        console.print(f"[bold]{foreign(entry['key'])}[/]  {foreign(entry['description'])}", soft_wrap=True)
        others = ", ".join(["", *entry["other_variables"]])
        for name, text in (
            ("type", entry["type"]),
            ("default", _text(entry["default"])),
            ("now", f"{_text(entry['value'])} ({entry['origin']})" if entry["origin"] else "not readable"),
            ("variable", f"{entry['variable']}{others}"),
        ):
            console.print(f"  {name:<9}{foreign(text)}", soft_wrap=True)


# --- set -------------------------------------------------------------------------------------------------------------


@command(name="set", context_settings={"ignore_unknown_options": True})
@click.argument("key")
@click.argument("value")
def set_(session: Session, key: str, value: str) -> None:
    """Write KEY: VALUE into config.local.yaml, if the settings hold together with it.

    Lists are a,b; null means nothing, where a key may be nothing. Comments in the file stay. Secrets are not taken
    here, because command lines are kept in histories and shown in process lists: write them into .env.
    """
    from ffe_core.settings import examine
    from ffe_core.settings.editing import write_private

    if session.config is not None:
        raise UsageError(
            "config set writes config.local.yaml, which --config leaves out", hint="edit that file instead"
        )
    before, known_problems = examine()
    path, parsed = _parsed(session, before, key, value)
    file = session.paths.overlay_file
    text = _edited(session, path, parsed)
    after, problems = examine(overlay=text)
    problems = [*problems, *_section_problems(after, before, path)]
    known = {(problem.path, problem.text) for problem in known_problems}
    new = [problem for problem in problems if (problem.path, problem.text) not in known]
    if new:
        raise _refusal(new)
    write_private(file, text)
    shadow = after.origin(key) if after is not None else ""
    if after is not None and not shadow.startswith(f"{file.name}:") and parsed is not None:
        session.warn(f"{key} is written, and {shadow} still wins over it")
    data = {"key": key, "value": parsed, "origin": shadow or None, "file": file}
    session.emit(
        data,
        lambda console: console.print(f"{foreign(key)}: {foreign(_text(parsed))}  ({foreign(file)})", soft_wrap=True),
    )


def _parsed(session: Session, settings: Settings | None, key: str, value: str) -> tuple[tuple[str, ...], Any]:
    """The path and the plain value. Raises ``UnknownName``, and ``UsageError`` for a secret."""
    from ffe_core.settings import Settings
    from ffe_core.settings.problems import is_secret_key, variable_of
    from ffe_core.settings.sections import RESERVED_IN_PLUGINS
    from ffe_core.settings.shapes import field_at, is_secret, leaves_of, plain_value

    path = tuple(key.split("."))
    model, inner = Settings, path
    if path[0] == "plugins" and len(path) > 2 and path[1] not in RESERVED_IN_PLUGINS:
        names = _plugin_names(session, settings)
        if names and path[1] not in names:
            raise UnknownName("plugin", path[1], names)
        found = settings.plugin_models.get(path[1]) if settings is not None else None
        if found is None:
            session.warn(f"plugin {path[1]} is not loaded, so that {key} is written unchecked")
        model, inner = found, path[2:]  # type: ignore[assignment]
    field = field_at(model, inner) if model is not None else None
    if is_secret(field) or any(map(is_secret_key, path)):
        raise UsageError(
            f"{key} is a secret, and command lines are kept in histories",
            hint=f"write {variable_of(path)}=... into {session.paths.dotenv_file}",
        )
    if model is not None and field is None:
        raise UnknownName("setting", key, [entry.key for entry in _entries(settings)])
    try:
        whole = model is None or any(inner == leaf for leaf, _ in leaves_of(model))
        return path, plain_value(value, field, within=not whole)
    except ValueError as error:
        raise SettingsError(f"{key}: {error}") from None


def _plugin_names(session: Session, settings: Settings | None) -> list[str]:
    if settings is None:
        return []
    registry, _ = _load_plugins(session, settings, quiet=True)
    return [info.name for info in registry.plugins] if registry is not None else []


def _edited(session: Session, path: tuple[str, ...], value: Any) -> str:
    import yaml

    from ffe_core.settings import examine
    from ffe_core.settings.editing import with_value
    from ffe_core.settings.sources import read_text

    text, problems = read_text(session.paths.overlay_file)
    if problems:
        raise _refusal(problems)
    try:
        return with_value(text, path, value)
    except (yaml.YAMLError, AttributeError, TypeError):
        # Not YAML, or no mapping at the top: what reads it says where.
        raise _refusal(examine()[1]) from None


def _section_problems(after: Settings | None, before: Settings | None, path: tuple[str, ...]) -> list[Problem]:
    from ffe_core.settings import SettingsProblems

    model = before.plugin_models.get(path[1]) if before is not None and path[0] == "plugins" and len(path) > 2 else None
    if after is None or model is None:
        return []
    try:
        after.plugin_section(path[1], model)
    except SettingsProblems as error:
        return list(error.problems)
    return []


def _refusal(problems: list[Problem]) -> SettingsError:
    from ffe_core.settings import SettingsProblems

    return SettingsProblems.of(problems)


# --- files -----------------------------------------------------------------------------------------------------------


@command()
def path(session: Session) -> None:
    """Print the files that settings are read from, the strongest last."""
    paths = session.paths
    tiers = [session.config] if session.config is not None else [paths.base_file, paths.overlay_file]
    files = [{"path": file, "exists": file.is_file()} for file in (*tiers, paths.dotenv_file)]

    def render(console: Console) -> None:
        for file in files:
            console.out(f"{file['path']}{'' if file['exists'] else '  (not there yet)'}", highlight=False)

    session.emit({"folder": paths.config, "files": files}, render)


@command()
def schema(session: Session) -> None:
    """Print the JSON Schema of a settings file, for editors that check while you type."""
    from ffe_core.settings import examine
    from ffe_core.settings.reference import schema as of_models

    settings, _ = examine(config=session.config)
    if settings is not None:
        _load_plugins(session, settings, quiet=True)
    whole = of_models(settings.plugin_models if settings is not None else {})
    session.emit(whole, lambda _console: session.printer.text(json.dumps(whole, indent=2)))


@command()
@click.option("--force", is_flag=True, help="Replace a config.yaml that is there.")
def init(session: Session, force: bool) -> None:
    """Write a config.yaml for paper trading, with every key and its default in it as comments."""
    from ffe_core.settings.editing import write_private
    from ffe_core.settings.reference import example

    if session.config is not None:
        raise UsageError("config init writes the file that --config leaves out", hint="leave --config out")
    file = session.paths.base_file
    if file.exists() and not force:
        raise UsageError(f"{file} is there already", hint="--force replaces it")
    write_private(file, example())
    session.emit({"file": file}, lambda console: console.print(f"wrote {foreign(file)}", soft_wrap=True))


# --- shared ----------------------------------------------------------------------------------------------------------


def _load_plugins(session: Session, settings: Settings, *, quiet: bool = False) -> tuple[Registry | None, list[str]]:
    """Lets every plugin say what its section holds; returns the registry and what its settings stopped from loading."""
    from ffe_core.domain.clock import SystemClock
    from ffe_core.plugins import load_plugins

    try:
        with load_plugins(settings, clock=SystemClock(), paths=settings.paths) as registry:
            return registry, []
    except FfeError as error:
        if not quiet:
            session.warn(f"plugins cannot be loaded: {error}")
        return None, [str(error)]


def _prefixes(keys: Any) -> list[str]:
    """Keys, and the sections around them."""
    found = {}
    for key in keys:
        parts = key.split(".")
        found.update(dict.fromkeys(".".join(parts[:depth]) for depth in range(1, len(parts) + 1)))
    return list(found)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@group()
def config(session: Session) -> None:
    """Show, check, explain and change settings."""


for _below in (check, explain, init, path, schema, set_, show):
    config.add_command(_below)
