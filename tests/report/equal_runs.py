"""Pairs of runs that were made alike, drawn from stored figures of real repetitions."""

import json
import random
from pathlib import Path

import msgspec

from loadtest.report.comparisons.compare import compare
from loadtest.report.comparisons.comparison import Rules, Side
from loadtest.report.comparisons.measures import BY_NAME, MEASURES
from loadtest.results.summary import Arm, ArmFigures, Summary

POOLS = json.loads(Path(__file__).with_name("stored").joinpath("equal-runs.json").read_text("utf-8"))
AS_USUAL = Rules()
REPETITIONS_COUNT = sum(map(len, POOLS.values()))


def side(repetitions):
    figures = [msgspec.convert(repetition, ArmFigures) for repetition in repetitions]
    return Side("run", Summary(arms={"arm": Arm(figures, ArmFigures(valid=True))}))


def slowed(repetition, change):
    times = {k: v * (1 + change) if k != "disturbed" else v for k, v in repetition["latency_ms"].items()}
    return {**repetition, "latency_ms": times}


def verdicts(pool, n, rng, change=0.0, rules=AS_USUAL):
    """Of each measure, for two runs of ``n`` repetitions that share none, as far as there are so many."""
    enough = 2 * n <= len(POOLS[pool])
    drawn = rng.sample(POOLS[pool], 2 * n) if enough else rng.choices(POOLS[pool], k=2 * n)
    candidate = [slowed(repetition, change) for repetition in drawn[n:]]
    measures = compare(side(drawn[:n]), side(candidate), rules).arms["arm"]
    return {name: c.verdict for name, c in measures.items()}


def false_alarms(pool, n, pairs_count, rules=AS_USUAL):
    """In pairs of equal runs: the share of measures with a verdict, and of comparisons with a gating one."""
    rng = random.Random(n)
    told, alarms = 0, 0
    for _ in range(pairs_count):
        found = {name for name, v in verdicts(pool, n, rng, rules=rules).items() if v in ("better", "worse")}
        told += len(found)
        alarms += any(BY_NAME[name].gates for name in found)
    return told / pairs_count / len(MEASURES), alarms / pairs_count


def smallest_found(pool, measure, n, tries=100):
    """The smallest change, in steps of a percentage point, that is told in 8 of 10 pairs."""
    for percent in range(5, 60):
        rng = random.Random(percent)
        told = sum(verdicts(pool, n, rng, percent / 100)[measure] == "worse" for _ in range(tries))
        if told >= 0.8 * tries:
            return percent
    return None


def table():
    """For docs/compare.md."""
    names = [
        m.name
        for m in MEASURES
        if m.is_time and m.name in ("latency_ms.mean", "latency_ms.p50", "latency_ms.p99")
    ]
    lines = [
        "| repetitions alike | false alarms | smallest change found in 8 of 10: | mean | p50 | p99 |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for pool, repetitions in POOLS.items():
        for n in (3, 5, 10):
            found = [smallest_found(pool, name, n) for name in names]
            cells = " | ".join("over 59%" if f is None else f"{f}%" for f in found)
            lines.append(
                f"| {pool}, {len(repetitions)} | {false_alarms(pool, n, 200)[0]:.1%} | n = {n} | {cells} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
