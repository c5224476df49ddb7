"""Options of commands that may ask models: from which tape, in which folder, at what cost, and the progress of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ffe_core.cli.asking import Dollars

if TYPE_CHECKING:
    from ffe_core.cli.session import Session
    from ffe_lab.lab import Lab

MODELS = (
    click.option(
        "--cassette",
        type=click.Choice(("off", "record", "replay", "auto")),
        default="off",
        help="Keep what models answer: record asks anew, auto asks for what is missing and goes on where a run "
        "stopped, replay asks nobody.",
    ),
    click.option("--cassette-dir", type=click.Path(path_type=Path), metavar="DIR", help="Keep the answers here."),
    click.option("--live-ai", is_flag=True, help="Ask models without keeping their answers."),
    click.option(
        "--budget-usd", type=Dollars(), metavar="X",
        help="Ask nobody once models would cost more than this on one day (UTC); prices come from ai.prices.",
    ),
)  # fmt: skip


def model_options(function: Any) -> Any:
    for option in reversed(MODELS):
        function = option(function)
    return function


@contextmanager
def with_models(session: Session, lab: Lab, options: Mapping[str, Any]) -> Iterator[Lab]:
    """``lab``, able to ask the models among the providers of ``options``; as it is where there are none.

    Inside, a bar on the terminal shows how far it is, and an interruption says how to go on.
    Raises ``UsageError`` for models without a tape.
    """
    from ffe_core import UsageError, VectorProvider

    tape, folder = options["cassette"], options["cassette_dir"]
    if tape == "off" and folder is not None:
        raise UsageError("--cassette-dir without --cassette", hint="say record, replay or auto")
    panel = lab.panel(options["providers"])
    models = [name for name, provider in panel.items() if not isinstance(provider, VectorProvider)]
    if not models:
        yield lab
        return
    # What asks models is not loaded for rules, whose whole run takes a moment.
    from ffe_core.ai.cassette import Tape
    from ffe_lab.interview import Interview, no_tape

    if tape == "off" and not options["live_ai"]:
        raise no_tape(models[0])
    made = on_timeframe(lab, options.get("timeframe"))
    if options["budget_usd"] is not None:
        made.engine.answers.budget_usd = options["budget_usd"]
    settings = made.settings
    place = folder or settings.cassette.dir or settings.paths.cassettes
    done = [0, 0]
    with progress(session, "asking", done) as told:
        made.interview = Interview(None if tape == "off" else Tape(tape), place, options["source"], told)
        try:
            yield made
        except KeyboardInterrupt:
            if tape in ("record", "auto") and done[1]:
                session.warn(f"{done[0]} of {done[1]} closes are answered and kept; --cassette auto goes on from there")
            raise


@contextmanager
def progress(session: Session, what: str, done: list[int]) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal, nothing elsewhere; ``done`` is told as well."""
    from rich.progress import Progress

    hidden = session.quiet or not session.error_console.is_terminal
    with Progress(console=session.error_console, transient=True, disable=hidden) as bar:
        task = bar.add_task(what, total=None)

        def told(count: int, total: int) -> None:
            done[:] = count, total
            if not hidden:
                bar.update(task, completed=count, total=total)

        yield told


def on_timeframe(lab: Lab, timeframe: str | None) -> Lab:
    """The lab whose decisions are made on ``timeframe``: models are told of its bars."""
    from ffe_core import Timeframe
    from ffe_core.engine import Engine
    from ffe_lab.commands.options import timeframe_of
    from ffe_lab.lab import Lab

    wanted = timeframe_of(timeframe, Timeframe)
    settings = lab.settings
    if wanted is None or wanted is settings.decision.timeframe:
        return lab
    decision = settings.decision.model_copy(update={"timeframe": wanted})
    engine = Engine(settings.model_copy(update={"decision": decision}), lab.engine.registry, clock=lab.engine.clock)
    return Lab(engine)
