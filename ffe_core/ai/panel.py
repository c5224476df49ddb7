"""Asking the panel: everyone at once, one deadline for all, and nobody's failure counted as a vote."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import replace

from ffe_core.domain.decisions import Briefing, Opinion
from ffe_core.domain.threads import start
from ffe_core.errors import FfeError, NotConfigured, ProviderFailed
from ffe_core.ports import AIProvider

#: what an answer may be late by before it is counted as missing: the provider's own timeout fires first
GRACE = 0.25

#: a way of having a panel's answers, one per provider in its order: ``ask_panel``, or something around it
type Asking = Callable[[Mapping[str, AIProvider], Briefing], tuple[Opinion, ...]]


def ask_panel(
    providers: Mapping[str, AIProvider],
    briefing: Briefing,
    *,
    timeout: float,
    ticks: Callable[[], float] = time.perf_counter,
) -> tuple[Opinion, ...]:
    """One answer per provider in the order of the panel, never in that of arrival.

    ``timeout`` in seconds is shared: all are asked at the same moment. A provider that is late, raises or answers
    something else becomes an abstention with the reason. ``ticks`` measures latency and decides nothing.
    """
    began = ticks()
    asked: list[tuple[str, AIProvider, Future[tuple[Opinion, float]]]] = [
        (name, provider, start(_asking(provider, briefing, timeout, ticks), name=f"ffe ask {name}"))
        for name, provider in providers.items()
    ]
    return tuple(
        _answer(name, provider, future, left=max(0.0, began + timeout + GRACE - ticks()), timeout=timeout)
        for name, provider, future in asked
    )


def _asking(
    provider: AIProvider, briefing: Briefing, timeout: float, ticks: Callable[[], float]
) -> Callable[[], tuple[Opinion, float]]:
    def ask() -> tuple[Opinion, float]:
        began = ticks()
        opinion = provider.ask(briefing, timeout=timeout)
        return opinion, (ticks() - began) * 1000

    return ask


def _answer(
    name: str, provider: AIProvider, future: Future[tuple[Opinion, float]], *, left: float, timeout: float
) -> Opinion:
    model, local = provider.model, bool(provider.local)
    try:
        opinion, latency = future.result(left)
    except TimeoutError:
        return Opinion.failure(name, model, f"no answer within {timeout:g} s", local=local)
    except ProviderFailed as error:
        # What was refused is worth a look: it goes on record like what was read.
        said = {"hint": error.hint, "prompt": error.prompt, "raw_reply": error.reply}
        return Opinion.failure(name, model, error.message, local=local, **said)
    except FfeError as error:
        asked = not isinstance(error, NotConfigured)
        return Opinion.failure(name, model, error.message, local=local, asked=asked, hint=error.hint)
    # The guard around each provider lets only our own errors through; this is the last line if it does not.
    except Exception as error:  # noqa: BLE001
        return Opinion.failure(name, model, f"{type(error).__name__}: {error}", local=local)
    if not isinstance(opinion, Opinion):
        return Opinion.failure(name, model, "answered no opinion", local=local)
    # Whose opinion it is, and where it ran, is what the panel knows; an answer does not get to say.
    measured = opinion.latency_ms if opinion.latency_ms is not None else latency
    return replace(opinion, provider=name, model=opinion.model or model, local=local, latency_ms=round(measured, 3))
