"""Writes docs/lab.md from the lab's commands and settings: ``python -m ffe_lab.document``."""

from __future__ import annotations

import pathlib
from dataclasses import fields

from ffe_core.cli.commands_document import sections
from ffe_core.settings.reference import entries, table
from ffe_lab.metrics import Metrics
from ffe_lab.settings import LabSettings

DOCUMENT = "docs/lab.md"

_METRICS = " ".join(one.name for one in fields(Metrics))
_HEADING = (
    "timeframe start end source synthetic provider params{…} assumptions[] fingerprint"
    " metrics_basis{periods_per_year risk_free frequency formula}"
)
_TRADE = "side entry_time exit_time entry_price exit_price quantity fees pnl pnl_fraction exit_reason"
_INTERVALS = "intervals{total_return[] sharpe[] max_drawdown[]}"
_COSTS = "cost_sensitivity[name fee slippage metrics{…}]"
_REST = f"equity[time value] refused{{REASON}} {_COSTS}"
_PART = "{start end sample sharpe metrics{…}}"
_TRIAL = "trial params{…} sharpe total_return max_drawdown total_trades"
_PERCENTILES = "{p5 p25 p50 p75 p95}"

_SPENT = (
    "decisions providers{NAME{model answers failures tokens_in tokens_out cost_usd}} left_out{NAME} cost_usd"
    " cost_per_decision cost_per_trade"
)
_HINDSIGHT = "hindsight{cutoffs{NAME} embargo_days clean{…} contaminated{…} alpha_decay headline{…}}"

#: what ``data`` holds with ``--json``, written as in ``ffe_core.cli.commands_document``
SHAPES = {
    "backtest": (
        f"asset_pair {_HEADING} metrics{{{_METRICS}}} {_INTERVALS} baselines{{NAME{{…}}}} trades[{_TRADE}] {_REST}"
    ),
    "backtest ASSET ASSET": (
        f"asset_pairs[] {_HEADING.replace('fingerprint ', 'fingerprints{ASSET} ')} metrics{{…}}"
        " attribution{ASSET{pnl trades win_rate contribution}} portfolio_stop"
        f" {_INTERVALS} baselines{{NAME{{…}}}} trades[asset_pair {_TRADE}] {_REST}"
    ),
    "backtest --cassette TAPE": f"ai{{{_SPENT}}} {_HINDSIGHT} …",
    "backtest ASSET ASSET --cassette TAPE": f"ai{{{_SPENT} assets{{ASSET{{{_SPENT}}}}}}} {_HINDSIGHT} …",
    "compare": (
        "by horizon decisions runs[name total_return max_drawdown sharpe total_trades called hit_rate]"
        " pairs[first second pairs hits{…} brier{…} adjusted_hits adjusted_brier relation]"
        " contributions[without acted total_return total_return_interval[] max_drawdown max_drawdown_interval[] trades]"
    ),
    "lookahead": "asset_pair timeframe providers[] samples seed instants[] clean leaks[…]",
    "monte-carlo": (
        f"asset_pair {_HEADING} method simulations noise_std block seed metrics{{…}} initial_balance"
        f" base_final_balance percentiles{_PERCENTILES} mean expected_return expected_return_fraction var_95"
        f" var_95_fraction worst best std loss_probability drawdown_percentiles{_PERCENTILES}"
    ),
    "optimize": (
        f"asset_pair {_HEADING} sample search seed objectives[] trials failed best{{params{{…}} sharpe}} metrics{{…}}"
        f" front[{_TRIAL}] config{{…}} history[{_TRIAL}]"
    ),
    "pbo": "pbo loss_probability slope splits candidates rows blocks",
    "progress": (
        "synthetic asset_pair currency in_other_currencies first last"
        " needed{sample_efficiency learning_speed concept_drift learning_curve} trades sample_efficiency{trades speed}"
        " cumulative_regret concept_drift{win_rates[] deviation severity} exploration{favourite rate convergence}"
        " learning_curve{early_win_rate late_win_rate gain_interval_95[] early_pnl late_pnl learning}"
    ),
    "walk-forward": (
        f"asset_pair {_HEADING} sample metrics{{…}} train_days test_days step_days embargo_days purge_days combinations"
        f" skipped windows[params{{…}} train{_PART} test{_PART} sharpe_ratio win_rate_ratio] average_test_sharpe"
        " average_test_return average_test_win_rate average_sharpe_ratio average_win_rate_ratio"
        " overfitting{severity detected recommendation} equity[time value]"
    ),
}
NAMES = sorted({name.split()[0] for name in SHAPES})

_MODELS = {
    4: "a replay met a close at which a model was never asked",
    7: "models would cost more than the budget; --cassette auto goes on from there",
}
_NO_BARS = {1: "no bars in that span"}
#: exit codes with a meaning of their own
EXITS = {
    "backtest": {**_NO_BARS, **_MODELS},
    "compare": {**_NO_BARS, **_MODELS},
    "lookahead": {**_NO_BARS, 6: "there is a leak"},
    "monte-carlo": {**_NO_BARS, **_MODELS},
    "optimize": {**_NO_BARS, **_MODELS},
    "pbo": {1: "a file is no backtest, or they are of different markets or spans"},
    "progress": {1: "fewer than 20 closed trades"},
    "walk-forward": {**_NO_BARS, 2: "the span is too short for one window", **_MODELS},
}

_HEAD = """\
# The lab: commands and settings

Written from the package `ffe-lab` itself by `python -m ffe_lab.document`; `ffe COMMAND --help` says the same. How a
simulation fills and measures is in [backtesting.md](backtesting.md), what experiments do in
[experiments.md](experiments.md). Options of every command, exit codes and how shapes are written are in
[commands.md](commands.md): `name[…]` is a list, `name{…}` an object, `…` fields that vary, a name in capitals stands
for many. `metrics{…}` are those of a backtest everywhere. Where models were asked, `ai` and `hindsight` come besides.
"""
_SETTINGS = """\
## Settings

The section `plugins.lab`. What a simulated account trades by are the settings of live ones: `exits`, `sizing`, `costs`,
`risk` ([settings.md](settings.md)).
"""


def document() -> str:
    """docs/lab.md."""
    keys = table(entries(LabSettings, ("plugins", "lab")))
    return "\n".join([_HEAD, *sections(NAMES, SHAPES, EXITS), _SETTINGS, *keys]).rstrip() + "\n"


def write(root: pathlib.Path) -> None:
    (root / DOCUMENT).write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    write(pathlib.Path(__file__).resolve().parents[3])
