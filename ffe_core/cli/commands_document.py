"""Writes docs/commands.md from the command tree: ``python -m ffe_core.cli.commands_document``."""

from __future__ import annotations

import inspect
import pathlib
import textwrap
from collections.abc import Iterable, Iterator, Mapping

import click

from ffe_core.cli.commands import BUILT_IN, Root
from ffe_core.cli.session import GlobalOption, prepare
from ffe_core.errors import UsageError

DOCUMENT = "docs/commands.md"
WIDTH = 120

#: What ``data`` holds with ``--json``, by invocation. ``x[…]`` is a list and ``x{…}`` an object with the fields that
#: stand between; ``…`` itself are fields that vary; a name in capitals stands for many.
_ORDER = (
    "client_order_id decision_id leg platform asset_pair side type quantity stop_price target_price state filled"
    " average_price venue_order_id reason created_at changed_at"
)
_EXECUTED = (
    f"order{{{_ORDER}}} fills[venue_fill_id side quantity price fee fee_currency at] protection{{{_ORDER}}} remarks[]"
)
_POSITION = (
    "asset_pair quantity entry_price price value unrealised unrealised_fraction stop_price target_price opened_at"
)
_STATE = "state stopped[asset_pair state reason since]"
_TOTAL = "total{currency cash equity stale problems[]}"
_ACCOUNT = "platform account synthetic currency cash equity unrealised stale problem"

SHAPES: dict[str, str] = {
    "analyze": (
        "id asset_pair asset_type as_of created_at mode action effect effect_reason confidence raw_confidence reasoning"
        " amount position_type entry_price position_size sizing{method formula_quantity clamps[rule reason before"
        " after] unavailable} stop_loss_price stop_loss_fraction take_profit_price risk_fraction signal_only"
        " market{source synthetic fingerprint freshness{is_fresh level age message} status{…} price change volatility"
        " bar_open bar_high bar_low bar_volume bar_closed_at shape{…} price_divergence remarks[]}"
        " pulse{timeframes{TIMEFRAME{closed_at bars price trend strength signal_strength rsi macd macd_signal"
        " macd_histogram bb_upper bb_middle bb_lower bb_percent_b adx plus_di minus_di atr sma_20 sma_50"
        " volatility_class extra{…}}} confluence{direction score conflicts[] entry_signal entry_reasons[]} missing[]"
        " summary} regime opinions[provider model action confidence reasoning amount horizon calibratable latency_ms"
        " tokens_in tokens_out tokens_cached cost_usd error local hint] ensemble_metadata{…} rulings[rule outcome"
        " reason before after inputs{…}] vetoed hash previous_hash"
    ),
    "analyze ASSET ASSET": "decisions[…] errors[]",
    "approve": f"decision_id answer {_EXECUTED}",
    "arm": _STATE,
    "balance": f"accounts[{_ACCOUNT}] {_TOTAL}",
    "close": f"closed[{_EXECUTED}] errors[]",
    "completion": "script",
    "config check": "ok problems[] warnings[]",
    "config explain": "key type default description value origin variable other_variables[]",
    "config explain SECTION": ("key keys[key type default description value origin variable other_variables[]]"),
    "config init": "file",
    "config path": "folder files[path exists]",
    "config schema": "{…}",
    "config set": "key value origin file",
    "config show": "{KEY{value origin}}",
    "dashboard": (
        "mode stopped[asset_pair state reason since] problems[]"
        f" accounts[{_ACCOUNT} positions[{_POSITION}]] {_TOTAL} orders[{_ORDER}]"
        " decisions[id as_of asset_pair action confidence executed]"
    ),
    "data candles": "asset_pair timeframe source synthetic fingerprint candles[time open high low close volume]",
    "data check": (
        "files[file asset_pair timeframe bars first last verdict usable repairs[kind count row column text]"
        " remarks[kind count row column text] refusals[kind count row column text]] refused"
    ),
    "data fetch": "path asset_pair timeframe source bars first last fingerprint replaced[]",
    "data import": (
        "path asset_pair timeframe bars first last fingerprint replaced[] verdict repairs[kind count row column text]"
        " remarks[kind count row column text]"
    ),
    "data list": "[source asset_pair timeframe bars first last origin]",
    "execute": _EXECUTED,
    "execute --dry-run": (
        "decision_id platform asset_pair side quantity effect price stop_price target_price fee worst_loss"
        " rulings[rule outcome reason before after]"
    ),
    "keys list": "keys[key set origin description] file",
    "keys rm": "key file",
    "keys set": "key file",
    "orders": f"orders[{_ORDER}] problems[]",
    "orders cancel": f"orders[{_ORDER}] errors[]",
    "pnl": (
        "by rows[venue synthetic currency day trades wins pnl best worst] trades[venue synthetic asset_pair side"
        " opened_at closed_at quantity entry_price exit_price pnl exit_reason] file"
    ),
    "positions": f"accounts[{_ACCOUNT} positions[{_POSITION}]] {_TOTAL} file",
    "db backup": "path bytes decisions head",
    "db copy": "from to tables[table rows checksum copied_checksum]",
    "db restore": "location kept decisions head",
    "db status": (
        "backend location schema newest_schema current decisions removed events ledger_entries outcomes oldest newest"
        " bytes journal_mode concerns[]"
    ),
    "db upgrade": "before after changed backup",
    "demo": "synthetic decision{…} looked_at[id asset_pair action confidence] recorded_in next[command does]",
    "doctor": "[name ok detail hint required]",
    "halt": _STATE,
    "history": "[id created_at as_of asset_pair action confidence executed mode]",
    "history --scored": (
        "decisions[id as_of asset_pair action confidence synthetic timeframe horizon resolved_at gross_return"
        " net_return long_net_return unresolved hindsight] summary{…}"
    ),
    "history prune": "removed bytes remaining dry_run",
    "history verify": "ok checked removed head broken{seq id why}",
    "history wipe": "removed bytes remaining dry_run",
    "learning calibration": (
        "synthetic bins forecasters[name sufficient count independent needed holds not_calibratable unscorable"
        " base_rate{hit_rate hit_rate_interval_95[] brier} always_up{hit_rate hit_rate_interval_95[] brier} brier"
        " reliability resolution uncertainty within_bin_variance within_bin_covariance skill ece"
        " bins[low high count independent mean_forecast share interval_95[]]"
        " curve{kind fitted means[confidence probability]}]"
    ),
    "learning export": (
        "path count outcomes[decision_id kind asset_pair asset_type synthetic as_of resolved_at action gross_return"
        " net_return price_return cost pnl exit_reason verdict_action raw_confidence"
        " opinions{NAME{action confidence calibratable}}]"
    ),
    "learning import": "path rows new known bad[line why]",
    "learning status": (
        "synthetic outcomes others decisions kinds{horizon trade} first last needed providers[provider outcomes holds"
        " unscorable scored independent hit_rate hit_rate_interval_95[] base_rate mean_net_return base_mean_net_return"
        " hedge_weight]"
    ),
    "learning update": "resolved waiting[why decisions]",
    "paths": "home config config_file local_config_file dotenv_file data store_file cache logs state",
    "plugins": "[name version distribution hooks[] state reason builtin]",
    "plugins check": (
        "plugin distribution version ok passed failed not_applicable remark checks[subject check outcome reason]"
    ),
    "plugins doctor": (
        "[name version distribution state reason import_ms hooks[] offers{…} problems[] missing_tools{…}]"
    ),
    "plugins list": "[name version distribution hooks[] state reason builtin]",
    "plugins new": "name kind path files[]",
    "probe": (
        "asset_pair instants[] masks[as weeks_earlier first_close notes_left_out] providers[provider model compared"
        " flips flip_rate flip_rate_interval_95[] failures[]] left_out{PROVIDER}"
    ),
    "providers": (
        "[name plugin model local in_panel weight price_known per_minute left_this_minute per_day left_today state"
        " failures skipped_until last_error problem]"
    ),
    "providers check": ("[name plugin model in_panel ready installed signed_in reachable model_there detail hint]"),
    "providers costs": (
        "synthetic decisions decisions_unpriced cost_usd per_decision_usd closed_trades closed_in_other_currencies"
        " per_trade_usd pnl_usd pnl_after_costs_usd scored mean_net_return break_even_usd today_usd budget_usd"
        " providers[name calls failed unpriced tokens_in tokens_out cost_usd]"
    ),
    "providers list": (
        "[name plugin model local in_panel weight price_known per_minute left_this_minute per_day left_today state"
        " failures skipped_until last_error problem]"
    ),
    "replay": "id same differences[path recorded replayed]",
    "status": (
        "version mode home trading{state stopped[asset_pair state reason since] open_orders}"
        " platform{name plugin available} venues{KIND{name plugin available}}"
        " providers[name plugin available model local]"
        " sources[name plugin available] leverage{PLATFORM{ASSET}} breakers[name state failures last_error]"
        " store{backend location schema current decisions concerns[]}"
        " plugins[name version distribution hooks[] state reason builtin] problems[]"
    ),
    "show": (
        "id seq hash previous_hash executed events[kind at detail{…}] schema decision{…} inputs{…} candles{…} parts{…}"
        " plugins{…} settings{…}"
    ),
}

#: exit codes with a meaning of their own that the command's help does not tell already
EXITS: dict[str, dict[int, str]] = {
    "analyze": {
        1: "no data for the asset, or every provider failed; the HOLD that came of it is stored",
        3: "live mode with invented prices or with a paper account",
    },
    "data candles": {1: "no source has such bars"},
    "data check": {1: "a file is refused"},
    "data import": {1: "the file is refused"},
    "doctor": {1: "something that is needed is not well"},
    "learning import": {1: "a row cannot be read or contradicts what is known; nothing was imported"},
    "plugins check": {1: "a check failed"},
    "plugins doctor": {1: "a plugin is broken or lacks something"},
    "probe": {1: "no data for the asset, or nobody answered both ways"},
    "providers check": {1: "a provider is not ready; one that cannot say does not count"},
    "replay": {1: "a plugin that took part is absent or of another version"},
}

_HEAD = """\
# Commands

Written from the command line itself by `python -m ffe_core.cli.commands_document`; `ffe COMMAND --help` says the same.
Installed plugins may add commands; `ffe --help` lists them too.

## For every command

These options stand before the command's name or after it.

{options}

**Output.** The result goes to standard output, everything else to standard error. With `--json` standard output holds
exactly one object: `{{"schema": 1, "data": …}}`, or `{{"schema": 1, "error": {{"type", "message", "hint"}}}}`. Times
are ISO 8601 in UTC with `Z`. Amounts, sizes, order prices and balances are strings, so that no digit is lost; market
figures, indicators and fractions are numbers. What is missing is `null`.

**Errors** are one line on standard error that says what happened and what to do; `-v` adds the traceback.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | the operation failed: no data, a venue refused, every provider failed |
| 2 | wrong usage, or a setting is wrong |
| 3 | refused for safety |
| 4 | a replay needed an answer that was never recorded |
| 6 | verification failed: the chain, or a replay that differs |
| 7 | the budget is spent |
| 130 | interrupted |

Each command tells what its `data` holds: `name[…]` is a list and `name{{…}}` an object, with the fields that stand
between; `…` itself means fields that vary; a name in capitals stands for many.
"""


def document() -> str:
    """docs/commands.md: the built-in commands, whatever is installed besides."""
    head = _HEAD.format(options="\n".join(_options(prepare(Root("ffe")), glob=True)))
    return "\n".join([head, *sections(BUILT_IN, SHAPES, EXITS)]).rstrip() + "\n"


def sections(names: Iterable[str], shapes: Mapping[str, str], exits: Mapping[str, Mapping[int, str]]) -> Iterator[str]:
    """The lines of a document on these commands and those below them: usage, help, options, object and exit codes."""
    root = Root("ffe")
    for name in sorted(names):
        command = root.get_command(click.Context(root, info_name="ffe"), name)
        if command is None:
            raise UsageError(f"there is no command {name}", hint="install the package that brings it")
        for path, below in _walk((name,), command):
            yield from _section(path, below, shapes, exits)


def _walk(path: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            below = command.get_command(ctx, name)
            if below is not None:
                yield from _walk((*path, name), below)


def _section(
    path: tuple[str, ...], command: click.Command, shapes: Mapping[str, str], exits: Mapping[str, Mapping[int, str]]
) -> Iterator[str]:
    name = " ".join(path)
    yield f"{'#' * (len(path) + 1)} ffe {name}"
    yield ""
    pieces = " ".join(command.collect_usage_pieces(click.Context(command)))
    yield f"    ffe {name} {pieces}"
    yield ""
    yield inspect.cleandoc(command.help or "")
    yield ""
    own = list(_options(command, glob=False))
    if len(own) > 2:
        yield from own
        yield ""
    for invocation, shape in _shapes(name, shapes):
        yield "With `--json`:" if invocation == name else f"`ffe {invocation} --json`:"
        yield ""
        yield from textwrap.wrap(shape, WIDTH, initial_indent="    ", subsequent_indent="    ", break_long_words=False)
        yield ""
    for code, why in exits.get(name, {}).items():
        yield f"Exit code {code}: {why}."
        yield ""


def _shapes(name: str, shapes: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Those of the command ``name``, not of the commands below it."""
    for invocation, shape in shapes.items():
        first, *rest = invocation.removeprefix(name).split() or [""]
        if invocation.startswith(name) and all(not word or word.isupper() or word[0] == "-" for word in (first, *rest)):
            yield invocation, shape


def _options(command: click.Command, *, glob: bool) -> Iterator[str]:
    """A table of the options that are of this command alone, or of those that every command takes."""
    yield "| option | meaning |"
    yield "|---|---|"
    for param in command.params:
        if isinstance(param, click.Option) and isinstance(param, GlobalOption) is glob:
            record = param.get_help_record(click.Context(command))
            if record is not None:
                names, text = (part.replace("|", "\\|") for part in record)
                yield f"| `{names}` | {text} |"


def write(root: pathlib.Path) -> None:
    (root / DOCUMENT).write_text(document(), encoding="utf-8")


if __name__ == "__main__":
    write(pathlib.Path(__file__).resolve().parents[2])
