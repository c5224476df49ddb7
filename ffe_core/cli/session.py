"""One run of the command line: the options that every command takes, and what a command needs to do its work."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cached_property, update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, NoReturn, cast

import click

from ffe_core.cli.output import Printer, line_on_stderr
from ffe_core.errors import UnknownName

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from ffe_core.engine import Engine
    from ffe_core.paths import Paths
    from ffe_core.settings import Settings

SCHEMA = 1

type Maker[C: click.Command] = Callable[[Callable[Concatenate[Session, ...], object]], C]


class Session:
    """What a command is handed: the merged global options, the settings and engine made from them, and the printer."""

    def __init__(self, printer: Printer) -> None:
        self.printer = printer
        self.json = False
        self.quiet = False
        self.verbose = False
        #: False: never coloured; None: as the terminal likes it
        self.color: bool | None = None
        self.config: Path | None = None

    @cached_property
    def paths(self) -> Paths:
        """Where ffe keeps its files; reads no settings."""
        from ffe_core.paths import resolve_paths

        return resolve_paths()

    @cached_property
    def settings(self) -> Settings:
        """Raises ``SettingsError``. From here on, no secret of the settings is printed or logged.

        A secret in plain text in a file is warned of by name.
        """
        from ffe_core import logs
        from ffe_core.settings import load_settings

        settings = load_settings(config=self.config)
        logs.register_secrets(settings)
        logs.configure(level="DEBUG" if self.verbose else settings.log.level, form=settings.log.format)
        for line in settings.warnings:
            self.warn(line)
        return settings

    @cached_property
    def engine(self) -> Engine:
        from ffe_core.engine import Engine

        return Engine.from_settings(self.settings)

    def close(self) -> None:
        """Gives back what the run opened: database connections, children of isolated plugins."""
        if "engine" in self.__dict__:
            self.engine.close()

    @cached_property
    def console(self) -> Console:
        """A rich console on standard output. Text of strangers goes through ``output.foreign`` first."""
        return self.printer.console(color=self.color)

    @cached_property
    def error_console(self) -> Console:
        """A rich console on standard error, for progress bars, which appear on a terminal only."""
        from rich.console import Console

        return Console(stderr=True, no_color=True if self.color is False else None, highlight=False, emoji=False)

    def emit(self, data: object, render: Callable[[Console], object]) -> None:
        """The run's result: with ``--json`` one object around ``data``, else what ``render`` draws."""
        if self.json:
            self.printer.object({"schema": SCHEMA, "data": data})
        else:
            render(self.console)

    def emit_text(self, name: str, text: str) -> None:
        """A result that is text already, such as help or a script: with ``--json`` it is the value of ``name``."""
        if self.json:
            self.printer.object({"schema": SCHEMA, "data": {name: text}})
        else:
            self.printer.text(text)

    def warn(self, line: str) -> None:
        """One line on standard error, unless ``--quiet``."""
        if not self.quiet:
            line_on_stderr(f"warning: {line}")

    def exit(self, code: int) -> NoReturn:
        """Ends the run with ``code`` after its result has been printed."""
        raise click.exceptions.Exit(code)


def session_of(ctx: click.Context) -> Session:
    """The run's session. Raises ``RuntimeError`` where a command was called without ``main``."""
    session = ctx.find_object(Session)
    if session is None:
        raise RuntimeError("ffe's commands are run by ffe_core.cli.main")
    return session


def pass_session[**P, R](function: Callable[Concatenate[Session, P], R]) -> Callable[P, R]:
    """Hands the session to a click callback as its first argument."""

    def called(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(session_of(click.get_current_context()), *args, **kwargs)

    return update_wrapper(called, function)


class GlobalOption(click.Option):
    """An option that every command takes, before and after its name."""


def global_options() -> list[click.Parameter]:
    return [
        GlobalOption(
            ["-c", "--config"],
            type=click.Path(),
            expose_value=False,
            callback=_set_config,
            metavar="PATH",
            help="Read this YAML or JSON file instead of the ones under FFE_HOME.",
        ),
        _flag("--json", _setter("json", True), "Print one JSON object and nothing else."),
        _flag("--quiet", _setter("quiet", True), "No warnings and no progress."),
        _flag("-v", "--verbose", _setter("verbose", True), "Log everything, and show tracebacks."),
        _flag("--no-color", _setter("color", False), "No colours; NO_COLOR does the same."),
        # Ours instead of click's own, which prints past the printer.
        _flag("--help", _show_help, "Show this message.", is_eager=True),
    ]


def _flag(*parts: Any, is_eager: bool = False) -> GlobalOption:
    *names, callback, text = parts
    return GlobalOption(
        names, is_flag=True, expose_value=False, callback=callback, help=text, is_eager=is_eager, default=False
    )


def _setter(attribute: str, value: bool) -> Callable[[click.Context, click.Parameter, bool], None]:
    def store(ctx: click.Context, _param: click.Parameter, given: bool) -> None:
        if given:
            setattr(session_of(ctx), attribute, value)

    return store


def _set_config(ctx: click.Context, _param: click.Parameter, given: str | None) -> None:
    if given is not None:
        from pathlib import Path

        session_of(ctx).config = Path(given)


def _show_help(ctx: click.Context, _param: click.Parameter, given: bool) -> None:
    if given and not ctx.resilient_parsing:
        session_of(ctx).emit_text("help", ctx.get_help())
        ctx.exit()


def prepare(command: click.Command) -> click.Command:
    """``command`` with the global options added, it and everything below it; what it declares itself stays."""
    taken = {name for param in command.params for name in param.opts}
    for option in global_options():
        if not any(isinstance(param, GlobalOption) and param.name == option.name for param in command.params):
            option.opts = [name for name in option.opts if name not in taken]
            if option.opts:
                command.params.append(option)
    if isinstance(command, click.Group):
        for below in command.commands.values():
            prepare(below)
    return command


class Command(click.Command):
    """A command whose help shows its own options first and the global ones after them."""

    def get_short_help_str(self, limit: int = 45) -> str:
        return short_help(self)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        format_options(self, ctx, formatter)


class Group(click.Group):
    """A command family. A name that it does not know is answered with the nearest that it does."""

    def get_short_help_str(self, limit: int = 45) -> str:
        return short_help(self)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        format_options(self, ctx, formatter)
        self.format_commands(ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click's. Raises ``UnknownName`` with the nearest command."""
        name = args[0]
        if not ctx.resilient_parsing and not name.startswith("-") and self.get_command(ctx, name) is None:
            raise UnknownName("command", name, self.list_commands(ctx))
        return super().resolve_command(ctx, args)

    def command(self, name: str | None = None, **attrs: Any) -> Maker[click.Command]:  # type: ignore[override]
        """As click's, and the callback takes the session first."""
        attrs.setdefault("cls", Command)
        make = cast("Callable[[Callable[..., object]], click.Command]", super().command(name, **attrs))

        def decorate(function: Callable[Concatenate[Session, ...], object]) -> click.Command:
            return make(pass_session(function))

        return decorate

    def group(self, name: str | None = None, **attrs: Any) -> Maker[Group]:  # type: ignore[override]
        """As click's, and the callback takes the session first."""
        attrs.setdefault("cls", Group)
        make = cast("Callable[[Callable[..., object]], Group]", super().group(name, **attrs))

        def decorate(function: Callable[Concatenate[Session, ...], object]) -> Group:
            return make(pass_session(function))

        return decorate


def short_help(command: click.Command) -> str:
    """The first sentence, whole: a list of commands wraps, where click would cut it off."""
    return click.Command.get_short_help_str(command, limit=200)


def format_options(command: click.Command, ctx: click.Context, formatter: click.HelpFormatter) -> None:
    for title, wanted in (("Options", False), ("Global options", True)):
        rows = [
            record
            for param in command.get_params(ctx)
            # An argument stands in the usage line and is explained in the text; newer clicks would give it a row.
            if isinstance(param, click.Option)
            and isinstance(param, GlobalOption) is wanted
            and (record := param.get_help_record(ctx)) is not None
        ]
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)


def command(name: str | None = None, **attrs: Any) -> Maker[click.Command]:
    """A command of ffe. It takes the session first, then its own arguments; the global options are added for it."""
    attrs.setdefault("cls", Command)
    make = cast("Callable[[Callable[..., object]], click.Command]", click.command(name, **attrs))

    def decorate(function: Callable[Concatenate[Session, ...], object]) -> click.Command:
        return prepare(make(pass_session(function)))

    return decorate


def group(name: str | None = None, **attrs: Any) -> Maker[Group]:
    """A family of commands; its ``.command()`` and ``.group()`` hand the session on as :func:`command` does."""
    attrs.setdefault("cls", Group)
    make = cast("Callable[[Callable[..., object]], Group]", click.group(name, **attrs))

    def decorate(function: Callable[Concatenate[Session, ...], object]) -> Group:
        return make(pass_session(function))

    return decorate


def stderr_is_terminal() -> bool:
    """Whether a progress bar would be seen by someone."""
    return sys.stderr is not None and sys.stderr.isatty()
