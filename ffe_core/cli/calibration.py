"""How a calibration report looks, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from ffe_core.learning.calibration import Baseline, Report, Sifted, report
from ffe_core.learning.outcomes import ENOUGH
from ffe_core.learning.recalibration import Curve, fit

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

#: confidences in percent whose meaning is told
_TOLD = (50, 60, 70, 80, 90)


@dataclass(frozen=True, slots=True)
class Judged:
    """What one voice promised beside what happened, and what its confidence has come to mean."""

    report: Report
    curve: Curve

    @classmethod
    def of(cls, name: str, sifted: Sifted, *, bins: int, as_of: datetime) -> Self:
        return cls(report(name, sifted, bins=bins), fit(sifted.forecasts, as_of=as_of))

    @property
    def means(self) -> list[tuple[int, float]]:
        """Confidence in percent, and the probability that it stands for."""
        return [(percent, self.curve(percent / 100)) for percent in _TOLD]


def calibration_data(judged: Sequence[Judged], *, bins: int, synthetic: bool) -> dict[str, Any]:
    forecasters = [{**_report_data(one.report), "curve": _curve_data(one)} for one in judged]
    return {"synthetic": synthetic, "bins": bins, "forecasters": forecasters}


def _curve_data(judged: Judged) -> dict[str, Any]:
    means = [{"confidence": percent, "probability": probability} for percent, probability in judged.means]
    return {"kind": judged.curve.name, "fitted": judged.curve.fitted, "means": means}


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


def print_calibration(console: Console, judged: Sequence[Judged]) -> None:
    from rich.text import Text

    for one in judged:
        console.print(Text(one.report.name, style="bold"))
        for line in (*_lines(one.report), *_meaning(one)):
            console.print(Text(f"  {line}"), soft_wrap=True)
        if one.report.bins:
            console.print(_bins(one.report))


def _meaning(judged: Judged) -> list[str]:
    if not judged.report.sufficient:
        return []
    means = ", ".join(f"{percent} means {probability:.0%}" for percent, probability in judged.means)
    return [f"by a {judged.curve.name} curve through {judged.curve.fitted:,}: {means}"]


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
