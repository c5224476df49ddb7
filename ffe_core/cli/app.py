"""``ffe``: runs one command, prints its result or one line that says what went wrong, and answers with an exit code."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import click

from ffe_core.cli.commands import Root
from ffe_core.cli.output import clean, line_on_stderr, owned_stdout
from ffe_core.cli.session import SCHEMA, GlobalOption, Session, prepare, session_of
from ffe_core.errors import FfeError

PROGRAM = "ffe"
COMPLETION_VARIABLE = "_FFE_COMPLETE"
INTERRUPTED = 130
#: characters of a message, and how many of them are its end where it is cut
LONGEST = 800
ENDING = 200
#: objects after which a run looks for cycles among them: imports alone make a hundred thousand, and none to take away
SELDOM = 200_000

# The interpreter's own last look for cycles takes longer than most commands, and everything ends with it anyway.
atexit.register(gc.freeze)


class Failure(NamedTuple):
    """What is told about a run that failed."""

    kind: str
    message: str
    hint: str | None
    exit_code: int


def main(argv: Sequence[str] | None = None) -> int:
    """Runs ``argv`` (default: the process's arguments) and returns the exit code; never raises, prints no traceback.

    0 done · 1 failed · 2 usage or settings · 3 refused for safety · 4 cassette miss · 6 verification failed ·
    7 budget spent · 130 interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if argv is None:
        _spare()
    try:
        with _seldom_collected(for_good=argv is None), owned_stdout() as printer:
            session = Session(printer)
            # Known before parsing, because an error of parsing is an object too.
            session.json = "--json" in arguments[: arguments.index("--") if "--" in arguments else None]
            return _run(arguments, session)
    except BrokenPipeError:
        return 1
    except OSError as error:
        line_on_stderr(f"error: the output could not be written: {error.strerror or error}")
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


def _spare() -> None:
    """Spares this process what libraries would do for others; whoever has a use for it sets the variable.

    NumPy's threads for algebra take a quarter of its import to start, and nothing of ffe is large enough for them.
    Pydantic reads the metadata of every installed package for plugins of its own, which would watch ffe's settings.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


@contextmanager
def _seldom_collected(*, for_good: bool) -> Iterator[None]:
    """``for_good`` where the process ends with the run: the usual threshold would bring on the look that was spared."""
    often, *older = gc.get_threshold()
    gc.set_threshold(max(often, SELDOM) if often else 0, *older)
    try:
        yield
    finally:
        if not for_good:
            gc.set_threshold(often, *older)


def _run(arguments: list[str], session: Session) -> int:
    try:
        if instruction := os.environ.get(COMPLETION_VARIABLE):
            from ffe_core.cli.completion import answer

            return answer(root(), instruction, session)
        with root().make_context(PROGRAM, arguments, obj=session) as ctx:
            ctx.command.invoke(ctx)
    except click.exceptions.Exit as done:
        return done.exit_code
    except (Exception, KeyboardInterrupt, SystemExit) as error:  # noqa: BLE001 - the one place where errors become a line
        if isinstance(error, OSError) and session.printer.reader_is_gone():
            return 1
        return _tell(error, session)
    finally:
        _close(session)
    return 0


def _close(session: Session) -> None:
    """What a plugin does while it is put away cannot change what the run already said."""
    try:
        session.close()
    except Exception as error:  # noqa: BLE001 - see above
        session.warn(f"closing: {type(error).__name__}: {error}")


def root() -> click.Group:
    """The command tree, with nothing imported that is not run."""
    group = Root(PROGRAM, callback=_bare, invoke_without_command=True, help=_HELP, no_args_is_help=False)
    group.params.append(
        GlobalOption(
            ["--version"], is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Print the version."
        )
    )
    prepare(group)
    return group


_HELP = "Turns market data into a trading decision: sized, risk-checked, explained and recorded."


def _bare() -> None:
    ctx = click.get_current_context()
    session = session_of(ctx)
    if ctx.invoked_subcommand is None:
        session.emit_text("help", ctx.get_help())
        return
    from ffe_core import logs

    logs.configure(level="DEBUG" if session.verbose else "WARNING")


def _version(ctx: click.Context, _param: click.Parameter, given: bool) -> None:
    if given and not ctx.resilient_parsing:
        from ffe_core import __version__

        session = session_of(ctx)
        session.emit_text("version", __version__ if session.json else f"{PROGRAM} {__version__}")
        ctx.exit()


def _tell(error: BaseException, session: Session) -> int:
    """Prints the failure: a line on standard error, with ``--json`` also the object. Returns the exit code."""
    failure = explain(error)
    if failure is None:
        return 0
    if session.verbose:
        _print_traceback(error)
    if isinstance(error, click.Abort):
        # The question stands there without a line break.
        line_on_stderr("")
    hint = f" ({_readable(failure.hint)})" if failure.hint else ""
    line_on_stderr(f"error: {_readable(failure.message)}{hint}")
    if session.json and not session.printer.wrote_object:
        told = {
            "type": failure.kind,
            "message": _readable(failure.message),
            "hint": _readable(failure.hint) if failure.hint else None,
        }
        session.printer.object({"schema": SCHEMA, "error": told})
    return failure.exit_code


def explain(error: BaseException) -> Failure | None:
    """The failure that ``error`` stands for; None for an exit that is none."""
    if isinstance(error, FfeError):
        return Failure(_public_kind(error), error.message, error.hint, error.exit_code)
    if isinstance(error, click.UsageError):
        return _explain_usage(error)
    if isinstance(error, KeyboardInterrupt):
        return Failure("Interrupted", "interrupted", None, INTERRUPTED)
    if isinstance(error, click.Abort):
        if isinstance(error.__context__, KeyboardInterrupt):
            return Failure("Interrupted", "interrupted", None, INTERRUPTED)
        return Failure("Aborted", "stopped at a question that was not answered", "--yes answers it", 1)
    if isinstance(error, click.ClickException):
        return Failure("UsageError", _sentence(error.format_message()), None, error.exit_code)
    if isinstance(error, SystemExit):
        return _explain_exit(error)
    if isinstance(error, OSError) and error.filename is not None:
        reason = (error.strerror or type(error).__name__).lower()
        return Failure(type(error).__name__, f"{os.fsdecode(error.filename)}: {reason}", None, 1)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Failure(type(error).__name__, text, "-v shows the traceback", 1)


def _readable(text: str) -> str:
    """One line that a person can read: of what was typed by the page, the beginning and the end."""
    from ffe_core.logs import redact

    # Blanked before it is cut, or half a secret would be left.
    line = clean(redact(text))
    return line if len(line) <= LONGEST else f"{line[: LONGEST - ENDING]} ... {line[-ENDING:]}"


def _public_kind(error: FfeError) -> str:
    """The class as errors.py documents it, not a private refinement of it."""
    return next(kind.__name__ for kind in type(error).__mro__ if kind.__module__ == FfeError.__module__)


def _explain_usage(error: click.UsageError) -> Failure:
    path = error.ctx.command_path if error.ctx is not None else PROGRAM
    hint = f"{path} --help says more"
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and error.ctx is not None:
        below = (
            ", ".join(error.ctx.command.list_commands(error.ctx)) if isinstance(error.ctx.command, click.Group) else ""
        )
        return Failure("UsageError", f"{path} needs a command: {below}", hint, 2)
    if isinstance(error, click.NoSuchOption):
        close = f"; did you mean {error.possibilities[0]}?" if error.possibilities else ""
        return Failure("UsageError", f"no such option {error.option_name}{close}", hint, 2)
    return Failure("UsageError", _sentence(error.format_message()), hint, error.exit_code)


def _sentence(message: str) -> str:
    """click's wording as part of our line: no capital, no full stop."""
    text = clean(message).removesuffix(".")
    return text[:1].lower() + text[1:]


def _explain_exit(error: SystemExit) -> Failure | None:
    if error.code is None or error.code == 0:
        return None
    if isinstance(error.code, int):
        return Failure("Exit", f"the command ended with code {error.code}", None, error.code)
    return Failure("Exit", str(error.code), None, 1)


def _print_traceback(error: BaseException) -> None:
    import traceback

    from ffe_core.logs import redact

    text = clean(redact("".join(traceback.format_exception(error))), lines=True)
    print(text, file=sys.stderr)  # noqa: T201 - the one traceback, asked for with -v
