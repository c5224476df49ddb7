import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from ffe_core import Action, Briefing, Mode, Opinion, ProviderFailed, Regime, Timeframe
from ffe_core.ai.panel import ask_panel
from tests.risk.builders import AT, BTC, market, pulse

BRIEFING = Briefing(
    asset=BTC, as_of=AT, mode=Mode.PAPER, timeframe=Timeframe.H1, horizon=24, market=market(), pulse=pulse(),
    regime=Regime.UNKNOWN, position=None,
)  # fmt: skip


@dataclass
class Scripted:
    name: str
    answer: object = None
    delay: float = 0.0
    model: str = "m"
    local: bool = True

    def ask(self, briefing, *, timeout):
        time.sleep(self.delay)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer or Opinion(self.name, self.model, Action.BUY, 70, "up")


def ask(*providers, timeout=5.0):
    return ask_panel({provider.name: provider for provider in providers}, BRIEFING, timeout=timeout)


def test_opinions_stand_in_the_order_of_the_panel_not_of_arrival():
    opinions = ask(Scripted("slow", delay=0.2), Scripted("fast"))
    assert [opinion.provider for opinion in opinions] == ["slow", "fast"]


def test_everyone_is_asked_at_the_same_time():
    began = time.perf_counter()
    ask(*(Scripted(f"p{number}", delay=0.3) for number in range(5)))
    assert time.perf_counter() - began < 1.2


def test_late_and_failing_ones_abstain_with_their_reason():
    opinions = ask(
        Scripted("late", delay=3.0),
        Scripted("down", ProviderFailed("connection refused")),
        Scripted("buggy", KeyError("x")),
        Scripted("dumb", "BUY"),
        Scripted("fine"),
        timeout=0.2,
    )
    assert [opinion.is_vote for opinion in opinions] == [False, False, False, False, True]
    assert [opinion.error for opinion in opinions[:4]] == [
        "no answer within 0.2 s", "connection refused", "KeyError: 'x'", "answered no opinion",
    ]  # fmt: skip


def test_an_answer_cannot_pass_for_somebody_elses():
    (opinion,) = ask(Scripted("honest", Opinion("impostor", "m", Action.BUY, 70, "up", local=True), local=False))
    assert (opinion.provider, opinion.local) == ("honest", False)


def test_a_provider_that_ignores_its_timeout_holds_up_the_end_of_the_process_by_less_than_a_second():
    code = (
        "import time\n"
        "from tests.ai.test_panel import Scripted, ask\n"
        "print(ask(Scripted('deaf', delay=60), timeout=0.1)[0].error)\n"
        "print(time.time())\n"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=30, check=True
    )
    over = time.time()
    told, done_at = done.stdout.splitlines()
    assert told == "no answer within 0.1 s"
    assert over - float(done_at) < 1
