"""Whether a trial held its objective, such as ``error_ratio == 0 and latency_ms.p99 <= 100``. Pure."""

from collections.abc import Sequence
from typing import NamedTuple

from loadtest.report.budgets.grammar import Budget
from loadtest.report.budgets.judgement import MISSED, UNDECIDED, judge
from loadtest.report.capacities.search import Verdict
from loadtest.results.summary import Summary

BUSY = 0.8  # of a core: a generator process that takes more is the limit itself


class Told(NamedTuple):
    """``broken`` are the figures that broke, ``reason`` says why it cannot be told."""

    verdict: Verdict
    broken: tuple[str, ...] = ()
    reason: str = ""


def tell(objective: Sequence[Budget], arm: str, summary: Summary) -> Told:
    """What one trial says.

    Args:
        objective: the conditions, of which all have to be met, without an arm.
        arm: its name in ``summary``.
        summary: of the trial's run.
    """
    figures = summary.arms[arm].median
    if not figures.valid and (figures.generator.cpu_ratio or 0.0) >= BUSY:
        busy = f"a process of the load generator used {figures.generator.cpu_ratio:.0%} of a core"
        return Told(Verdict.UNTOLD, reason=busy)
    judged = [judge(budget.of(arm), summary, None) for budget in objective]
    broken = [
        path
        for one, budget in zip(judged, objective, strict=True)
        if one.state == MISSED
        for path in map(str, budget.paths())
    ]
    if broken:
        return Told(Verdict.BROKEN, tuple(dict.fromkeys(broken)))
    reason = next((one.reason.removeprefix(f"{arm}.") for one in judged if one.state == UNDECIDED), "")
    return Told(Verdict.UNTOLD, reason=reason) if reason else Told(Verdict.HELD)
