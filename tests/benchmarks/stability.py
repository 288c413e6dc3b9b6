"""How far apart equal runs of `ci` are: `python -m tests.benchmarks.stability results/ci-*`.

For each measure of each arm the median over the runs, and the spread: greatest less least, over the median
(for shares in percentage points). And how many runs would have been red by the budgets of docs/ci.
"""

import json
import statistics
import sys
from pathlib import Path

from loadtest.report.budget import MISSED, UNDECIDED, judge
from loadtest.report.grammar import parse

TIMES = ("mean", "p50", "p90", "p95", "p99")
BUDGETS = (
    "managed.error_ratio == 0",
    "managed.latency_ms.mean <= 1.25 * ideal.latency_ms.mean",
    "managed.error_ratio <= cached.error_ratio",
)


def spread(values):
    return (max(values) - min(values)) / statistics.median(values)


def main(paths):
    runs = [json.loads((Path(path) / "summary.json").read_text("utf-8")) for path in paths]
    arms = list(runs[0]["arms"])
    print("| measure | median | spread | × ideal | its spread |\n|---|---:|---:|---:|---:|")
    for arm in arms:
        medians = [run["arms"][arm]["median"] for run in runs]
        errors = [median["error_ratio"] for median in medians]
        points = (max(errors) - min(errors)) * 100
        print(f"| `{arm}` errors | {statistics.median(errors):.2%} | {points:.2f} pp | | |")
        for name in TIMES:
            pairs = [
                (run["arms"][arm]["median"]["latency_ms"][name], run["arms"]["ideal"]["median"]["latency_ms"][name])
                for run in runs
            ]  # fmt: skip
            known = [(ours, ideal) for ours, ideal in pairs if ours is not None and ideal is not None]
            if not known:
                print(f"| `{arm}` {name} | – | | | |")
                continue
            times, ratios = [ours for ours, _ in known], [ours / ideal for ours, ideal in known]
            print(
                f"| `{arm}` {name} ({len(known)} runs) | {statistics.median(times):.1f} ms | {spread(times):.1%} "
                f"| {statistics.median(ratios):.3f} | {spread(ratios):.1%} |"
            )
    budgets = [parse(text) for text in BUDGETS]
    outcomes = [[judge(budget, run, None) for budget in budgets] for run in runs]
    red = sum(any(one.state == MISSED for one in of_run) for of_run in outcomes)
    open_ = sum(any(one.state == UNDECIDED for one in of_run) for of_run in outcomes)
    print(f"\n{len(runs)} runs: {red} red, {open_} with a budget that nothing decides")


if __name__ == "__main__":
    main(sys.argv[1:])
