"""How far apart equal runs of `ci` are: `python -m tests.benchmarks.stability results/ci-*`.

For each measure of each arm the median over the runs, and the spread: greatest less least, over the median
(for shares in percentage points). And how many runs would have been red by the budgets of docs/ci.
"""

import json
import statistics
import sys
from pathlib import Path

import msgspec

from loadtest.report.budgets.grammar import parse
from loadtest.report.budgets.judgement import MISSED, UNDECIDED, judge
from loadtest.results.summary import Summary

TIMES = ("mean", "p50", "p90", "p95", "p99")
BUDGETS = (
    "managed.error_ratio == 0",
    "managed.latency_ms.mean <= 1.25 * ideal.latency_ms.mean",
    "managed.error_ratio <= cached.error_ratio",
)


def of_times(runs, arm, name):
    pairs = [tuple(run["arms"][one]["median"]["latency_ms"][name] for one in (arm, "ideal")) for run in runs]
    known = [pair for pair in pairs if None not in pair]
    if not known:
        return "| never valid | | |"
    times, ratios = [ours for ours, _ in known], [ours / ideal for ours, ideal in known]
    return (
        f"({len(known)} runs) | {statistics.median(times):.1f} ms | {spread(times):.1%} "
        f"| {statistics.median(ratios):.3f} | {spread(ratios):.1%}"
    )


def spread(values):
    return (max(values) - min(values)) / statistics.median(values)


def main(paths):
    runs = [json.loads((Path(path) / "summary.json").read_text("utf-8")) for path in paths]
    print("| measure | median | spread | over ideal's | its spread |\n|---|---:|---:|---:|---:|")
    for arm in runs[0]["arms"]:
        errors = [run["arms"][arm]["median"]["error_ratio"] for run in runs]
        points = (max(errors) - min(errors)) * 100
        print(f"| `{arm}` errors | {statistics.median(errors):.2%} | {points:.2f} pp | | |")
        for name in TIMES:
            print(f"| `{arm}` {name} {of_times(runs, arm, name)} |")
    budgets = [parse(text) for text in BUDGETS]
    summaries = [msgspec.convert(run, Summary) for run in runs]
    outcomes = [[judge(budget, summary, None) for budget in budgets] for summary in summaries]
    red = sum(any(one.state == MISSED for one in of_run) for of_run in outcomes)
    open_ = sum(any(one.state == UNDECIDED for one in of_run) for of_run in outcomes)
    print(f"\n{len(runs)} runs: {red} red, {open_} with a budget that nothing decides")


if __name__ == "__main__":
    main(sys.argv[1:])
