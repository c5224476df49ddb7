"""How a calibration report looks, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ffe_core.learning.outcomes import ENOUGH

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from ffe_core.learning.calibration import Baseline, Report


def calibration_data(reports: Sequence[Report], *, bins: int, synthetic: bool) -> dict[str, Any]:
    return {"synthetic": synthetic, "bins": bins, "forecasters": [_report_data(report) for report in reports]}


def _report_data(report: Report) -> dict[str, Any]:
    murphy = report.murphy
    return {
        "name": report.name,
        "sufficient": report.sufficient,
        "count": report.count,
        "independent": report.independent,
        "needed": ENOUGH,
        "holds": report.holds,
        "not_calibratable": report.not_calibratable,
        "unscorable": report.unscorable,
        "base_rate": _baseline_data(report.base_rate),
        "always_up": _baseline_data(report.always_up),
        "brier": murphy.brier if murphy else None,
        "reliability": murphy.reliability if murphy else None,
        "resolution": murphy.resolution if murphy else None,
        "uncertainty": murphy.uncertainty if murphy else None,
        "within_bin_variance": murphy.within_variance if murphy else None,
        "within_bin_covariance": murphy.within_covariance if murphy else None,
        "skill": murphy.skill if murphy else None,
        "ece": report.ece,
        "bins": [
            {
                "low": one.low,
                "high": one.high,
                "count": one.count,
                "independent": one.independent,
                "mean_forecast": one.mean_p,
                "share": one.share,
                "interval_95": one.interval,
            }
            for one in report.bins
        ],
    }


def _baseline_data(baseline: Baseline | None) -> dict[str, Any] | None:
    if baseline is None:
        return None
    return {"hit_rate": baseline.hit_rate, "hit_rate_interval_95": baseline.interval, "brier": baseline.brier}


def print_calibration(console: Console, reports: Sequence[Report]) -> None:
    from rich.text import Text

    for report in reports:
        console.print(Text(report.name, style="bold"))
        for line in _lines(report):
            console.print(Text(f"  {line}"), soft_wrap=True)
        if report.bins:
            console.print(_bins(report))


def _lines(report: Report) -> list[str]:
    out = [
        f"forecasts: {report.count:,}, without a shared bar {report.independent:,}; left out: "
        f"{report.holds:,} HOLD, {report.not_calibratable:,} without a claim to probability, "
        f"{report.unscorable:,} unscorable"
    ]
    if report.base_rate is None or report.always_up is None:
        return out
    base, up, murphy = report.base_rate, report.always_up, report.murphy
    out.append(f"profitable after costs {_rate(base)}; always buying {_rate(up)}")
    if murphy is None:
        return [*out, f"insufficient: a score takes {ENOUGH} forecasts"]
    skill = "not defined: all went one way" if murphy.skill is None else f"{murphy.skill:+.3f}"
    return [
        *out,
        f"Brier {murphy.brier:.4f}; the base rate {base.brier:.4f}; "
        f"always buying, as sure, {up.brier:.4f}; skill {skill}",
        f"= reliability {murphy.reliability:.4f} - resolution {murphy.resolution:.4f} + uncertainty "
        f"{murphy.uncertainty:.4f} + variance {murphy.within_variance:.4f} - covariance "
        f"{murphy.within_covariance:.4f} within bins; ECE {report.ece:.4f}",
    ]


def _rate(baseline: Baseline) -> str:
    low, high = baseline.interval
    return f"{baseline.hit_rate:.1%} (95 % interval {low:.1%} to {high:.1%})"


def _bins(report: Report) -> Table:
    from rich.table import Table

    table = Table("promised", "forecasts", "mean promise", "happened", "95 %")
    for one in report.bins:
        low, high = one.interval
        table.add_row(
            f"{one.low:.0%} to {one.high:.0%}",
            f"{one.count:,}",
            f"{one.mean_p:.1%}",
            f"{one.share:.1%}",
            f"{low:.0%} to {high:.0%}",
        )
    return table
