"""How near the emulation is to real functions: `python -m tests.benchmarks.fidelity results/RUN…`.

For each pair of arms `NAME` and `real-NAME`, as in fidelity.toml beside this file: medians over all
repetitions, those that are not valid for times too, and the emulated one divided by the real one. The arm
`empty` is a real function that does nothing, and shows what the exchange with its runtime takes; the last
column divides without that.
"""

import statistics
import sys
from pathlib import Path
from typing import NamedTuple

from loadtest.report.stored_runs import read
from tests.simulator.tables import table

REAL, EMPTY = "real-", "empty"
DASH = "\N{EN DASH}"


class Measure(NamedTuple):
    name: str
    of: object
    digits: int
    is_time: bool = False


MEASURES = (
    Measure("errors, of 1", lambda one: one.error_ratio, 4),
    Measure("p50 ms", lambda one: one.latency_ms.p50, 1, True),
    Measure("mean ms", lambda one: one.latency_ms.mean, 1, True),
    Measure("p99 ms", lambda one: one.latency_ms.p99, 1),
    Measure("opened connections", lambda one: one.connections.opened_count, 0),
    Measure("refused connects", lambda one: one.connections.refused_count, 0),
    Measure("killed zombies", lambda one: one.kills.zombie_count, 0),
    Measure("killed idle ones", lambda one: one.kills.idle_count, 0),
    Measure("peak connections", lambda one: one.connections.peak_count, 1),
    Measure("zombies left", lambda one: one.zombies.left_count, 1),
    Measure("most zombies at once", lambda one: one.zombies.peak_count, 1),
    Measure("reclaimed after s", lambda one: one.zombies.reclaim_p50_s, 2),
)


def median_of(arm, measure):
    known = [value for one in arm.repetitions if (value := measure.of(one)) is not None]
    return statistics.median(known) if known else None


def told(value, digits):
    return DASH if value is None else f"{value:,.{digits}f}"


def ratio(ours, theirs):
    return f"{ours / theirs:.2f}" if ours is not None and theirs else DASH


def pairs(summary):
    """(name, emulated arm, real arm)."""
    for name, real in summary.arms.items():
        emulated = summary.arms.get(name.removeprefix(REAL))
        if name.startswith(REAL) and emulated is not None:
            yield name.removeprefix(REAL), emulated, real


def lines_of(path):
    summary = read(path).summary
    empty = summary.arms.get(EMPTY)
    for name, emulated, real in pairs(summary):
        for measure in MEASURES:
            ours, theirs = median_of(emulated, measure), median_of(real, measure)
            less = None
            if measure.is_time and empty is not None and theirs is not None:
                less = theirs - (median_of(empty, measure) or 0.0)
            what = f"{path.name} `{name}` {measure.name}"
            cells = told(ours, measure.digits), told(theirs, measure.digits), ratio(ours, theirs)
            yield [what, *cells, ratio(ours, less)]
    for measure in MEASURES:
        if empty is not None and measure.is_time:
            cells = DASH, told(median_of(empty, measure), 2), DASH, DASH
            yield [f"{path.name} `{EMPTY}` {measure.name}", *cells]


if __name__ == "__main__":
    columns = ["run, strategy, measure", "emulated", "real", "ratio", "less the empty function"]
    print(table(columns, [line for path in sys.argv[1:] for line in lines_of(Path(path))]))
