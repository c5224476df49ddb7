"""What asking five models at once costs beside asking the slowest of them alone.

    python benchmarks/panel.py [--rounds N]

Five providers of ffe-ollama, each against a stand-in of Ollama of its own that takes 200 ms to answer, all of them in
another process. Every round asks each provider alone, through the same guard, and then the panel as ``ffe analyze``
does: breakers and rations, budget, prompt, network, validation, and the order of the panel. Ends with 1 where the
median panel takes more than 1.08 times the median of the slowest single answers.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ffe_ollama.provider import Ollama
from ffe_ollama.settings import OllamaSettings
from ffe_ollama.standin import MODEL, OllamaStandIn

from ffe_core import AIProvider, Briefing, PluginContext, SystemClock, hookimpl
from ffe_core.engine.answers import Answers
from ffe_core.plugins import host
from ffe_core.plugins.registry import PluginInfo, Registry
from ffe_core.settings import Settings, load_settings
from ffe_core.testing import make_briefing
from ffe_core.testing.loopback import Canned, Request

NAMES = ("ann", "bob", "cyd", "dan", "eve")
DELAY = 0.2
GOAL = 1.08
WARM = 3


class Slow(OllamaStandIn):
    """Thinks for 200 ms about every question."""

    def _chat(self, request: Request) -> Canned:
        return replace(super()._chat(request), delay=DELAY)


def serve() -> None:
    """Prints where five of them listen; ends when its standard input does."""
    servers = [Slow() for _ in NAMES]
    print(*(server.url for server in servers), flush=True)
    sys.stdin.read()
    for server in servers:
        server.close()


def registry_of(settings: Settings, addresses: Iterable[str]) -> Registry:
    """Five providers of one plugin, composed as the host composes any."""

    @hookimpl
    def ffe_ai_providers(context: PluginContext) -> list[AIProvider]:
        made: list[AIProvider] = []
        for name, address in zip(NAMES, addresses, strict=True):
            each = Ollama(OllamaSettings(host=address, model=MODEL), context.http)
            each.name = name
            made.append(each)
        return made

    roots = host.Roots(settings.paths.state / "plugins", settings.paths.cache / "plugins", settings.paths.data)
    ours = host.Host(settings, SystemClock(), roots, host.StandardLog)
    ours.compose(PluginInfo("five", "1", "five"), SimpleNamespace(ffe_ai_providers=ffe_ai_providers))
    if ours.registry.problems:
        raise SystemExit(str(ours.registry.problems))
    return ours.registry


def seconds_alone(panel: Mapping[str, AIProvider], briefing: Briefing) -> float:
    """Of the slowest of five that are asked one after the other."""
    took = []
    for provider in panel.values():
        began = time.perf_counter()
        opinion = provider.ask(briefing, timeout=30)
        took.append(time.perf_counter() - began)
        require(opinion.is_vote, opinion)
    return max(took)


def seconds_together(answers: Answers, panel: Mapping[str, AIProvider], briefing: Briefing) -> tuple[float, float]:
    """Of the whole panel, and of the slowest in it by its own latency."""
    began = time.perf_counter()
    opinions = answers.opinions(panel, briefing)
    took = time.perf_counter() - began
    require([opinion.provider for opinion in opinions if opinion.is_vote] == list(NAMES), opinions)
    return took, max(opinion.latency_ms or 0.0 for opinion in opinions) / 1000


def require(held: bool, seen: Any) -> None:
    if not held:
        raise SystemExit(f"not an answer: {seen}")


def measure(addresses: Iterable[str], rounds: int) -> float:
    with tempfile.TemporaryDirectory() as home:
        settings = load_settings(env={"FFE_PLUGINS": ""}, home=Path(home))
        with registry_of(settings, addresses) as registry:
            answers = Answers(settings, registry, SystemClock())
            panel = {name: registry.provider(name) for name in NAMES}
            briefing = make_briefing()
            alone, together, inside = [], [], []
            for number in range(WARM + rounds):
                slowest = seconds_alone(panel, briefing)
                whole, latency = seconds_together(answers, panel, briefing)
                if number >= WARM:
                    alone.append(slowest)
                    together.append(whole)
                    inside.append(latency)
    single, whole, latency = map(statistics.median, (alone, together, inside))
    ratio = whole / single
    print(f"slowest of five, each asked alone   {single * 1000:7.1f} ms")
    print(f"the panel of five                   {whole * 1000:7.1f} ms   {ratio:.3f} times")
    print(f"slowest within the panel            {latency * 1000:7.1f} ms   {whole / latency:.3f} times")
    return ratio


def main() -> int:
    asked = argparse.ArgumentParser()
    asked.add_argument("--rounds", type=int, default=25)
    asked.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = asked.parse_args()
    if options.serve:
        serve()
        return 0
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdin=pipe, stdout=pipe, text=True) as servers:
        assert servers.stdout is not None
        assert servers.stdin is not None
        try:
            ratio = measure(servers.stdout.readline().split(), options.rounds)
        finally:
            servers.stdin.close()
    return int(ratio > GOAL)


if __name__ == "__main__":
    sys.exit(main())
