"""What a run shows of the goals for a burst: `python -m tests.benchmarks.goals results/RUN…`.

For each arm medians over its repetitions, and the worst of good answers: errors, p99 of arrivals due after
the third second, the longest latency, p99.9 of the time that functions waited for a connection (connects, and
the pauses between them), and how many functions were busy on average: of `ideal`'s, each has a connection.
"""

import sys
from pathlib import Path

import numpy as np

from loadtest.bench.bench import FULL
from loadtest.report.frame_reader import read_repetition
from loadtest.report.frames import column
from loadtest.results.rows import THROTTLED, TIMEOUT, latency
from loadtest.results.run_folder import RunFolder
from tests.simulator.tables import number, table

COLUMNS = [
    "run, arm", "repetitions", "good", "worst", "1040", "timeout", "throttled", "p99 ms after 3 s",
    "longest s", "p99.9 of waits, s", "functions busy",
]  # fmt: skip


def measured(repetition, slo_s):
    """One repetition, in the order of the columns from `good` on, without `worst`."""
    frames = read_repetition(repetition)
    rows = frames.invocations
    due_s, finished_s, cold_start_s = (column(rows, name) for name in ("due_s", "finished_s", "cold_start_s"))
    error = rows["error"].str.partition(" ")[0].to_numpy()  # "1040 ER_CON_COUNT_ERROR"
    seconds = latency(due_s, finished_s, cold_start_s)
    answered = error == ""
    late = seconds[answered & (due_s >= frames.start_s + 3)]
    waited_s = (column(rows, "connect_s") + column(rows, "manage_s"))[column(rows, "container") >= 0]
    values = [
        (answered & (seconds <= slo_s)).mean(),
        np.isin(error, FULL).mean(), (error == TIMEOUT).mean(), (error == THROTTLED).mean(),
        1000 * np.quantile(late, 0.99) if len(late) else np.nan,
        seconds[answered].max(initial=0.0),
        np.nanquantile(waited_s, 0.999) if len(waited_s) else np.nan,
    ]  # fmt: skip
    busy_s = np.nansum(finished_s - column(rows, "started_s"))
    return [*values, busy_s / (frames.deadline_s - frames.start_s)]


def lines_of(path):
    run = RunFolder.open(path)
    settings = run.read_run()["settings"]
    for arm in run.arms():
        found = [measured(one, settings["slo_ms"] / 1000) for one in run.repetitions(arm)]
        worst = min(one[0] for one in found)
        good, full, timeout, throttled, p99_ms, longest_s, wait_s, busy = np.median(found, axis=0)
        yield [
            f"{settings['rate']:g}/s `{arm}`", len(found), f"{good:.1%}", f"{worst:.1%}",
            f"{full:.2%}", f"{timeout:.2%}", f"{throttled:.2%}", number(p99_ms), f"{longest_s:.1f}",
            f"{wait_s:.2f}", f"{busy:.0f}",
        ]  # fmt: skip


if __name__ == "__main__":
    print(table(COLUMNS, [line for path in sys.argv[1:] for line in lines_of(Path(path))]))
