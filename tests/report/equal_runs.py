"""Pairs of runs that were made alike, drawn from stored figures of real repetitions."""

import json
import random
from pathlib import Path

from loadtest.report.compare import Rules, Side, compare
from loadtest.report.measures import MEASURES

POOLS = json.loads(Path(__file__).with_name("stored").joinpath("equal-runs.json").read_text("utf-8"))
REPETITIONS_COUNT = sum(map(len, POOLS.values()))


def side(repetitions):
    return Side("run", {"arms": {"arm": {"repetitions": repetitions}}})


def slowed(repetition, change):
    times = {k: v * (1 + change) if k != "disturbed" else v for k, v in repetition["latency_ms"].items()}
    return {**repetition, "latency_ms": times}


def verdicts(pool, n, rng, change=0.0):
    """Of each measure, for two runs of ``n`` repetitions that share none."""
    drawn = rng.sample(POOLS[pool], 2 * n)
    candidate = [slowed(repetition, change) for repetition in drawn[n:]]
    measures = compare(side(drawn[:n]), side(candidate), Rules()).arms["arm"]
    return {name: c.verdict for name, c in measures.items()}


def false_alarms(pool, n, pairs_count):
    """The share of measures with a verdict in pairs of equal runs."""
    rng = random.Random(n)
    found = [verdict for _ in range(pairs_count) for verdict in verdicts(pool, n, rng).values()]
    return sum(v in ("better", "worse") for v in found) / len(found)


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
            if 2 * n > len(repetitions):
                continue
            found = [smallest_found(pool, name, n) for name in names]
            cells = " | ".join("over 59%" if f is None else f"{f}%" for f in found)
            lines.append(
                f"| {pool}, {len(repetitions)} | {false_alarms(pool, n, 200):.1%} | n = {n} | {cells} |"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
