"""Whether a long run under faults stays as it began: `python -m tests.benchmarks.soak --minutes 30`.

A bench of one strategy with the workload `ledger`, and a fault in each period. For each tenth of the run the
table has what failed, the memory and descriptors of the generator, the relay and the monitor (the most), the
generator's CPU for an invocation, the lag of its loop (p99 of each second's worst), and how many files its
rows are in; below it is what became of each write.
"""

import argparse
import subprocess
import sys
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import psutil

from loadtest.report.frame_reader import read_repetition
from loadtest.report.frames import column
from loadtest.results.run_folder import RunFolder
from tests.simulator.tables import number, table

FAULTS = (
    "reset@{}", "kill@{}+2", "freeze@{}+2", "connections:limit=30@{}+4", "kill-connections:share=0.5@{}",
    "lease@{}+4", "read-only@{}+2", "slow@{}+3", "cut@{}+3", "delay:ms=100@{}+3", "black-hole@{}+2",
    "half-close@{}",
)  # fmt: skip
PROCESSES = {"generator": "locust", "relay": "relay", "monitor": "monitor"}
PARTS_COUNT = 10
COLUMNS = [
    "seconds", "arrivals", "failed", *(f"{name}: MB, files open" for name in PROCESSES), "CPU, ms",
    "lag p99, ms", "row files",
]  # fmt: skip


def main():
    asked = arguments()
    seconds = round(asked.minutes * 60)
    command = [
        sys.executable, "-m", "loadtest", "bench", "quick", "--server", asked.server, "--strategies",
        asked.strategy, "--rate", asked.rate, "--duration", f"{seconds}s", "--workload", "ledger",
        "--repetitions", "1", "--reruns", "0", "--out", asked.out, *faults(seconds, asked.every),
    ]  # fmt: skip
    looks = watched(subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL), Path(asked.out))
    (repetition,) = RunFolder.open(Path(asked.out)).repetitions(asked.strategy)
    frames = read_repetition(repetition)
    bounds = np.linspace(frames.start_s, frames.deadline_s, PARTS_COUNT + 1)
    rows = [line(frames, looks, from_s, until_s) for from_s, until_s in pairwise(bounds)]
    sys.stdout.write(f"{table(COLUMNS, rows)}\n\n")
    found = repetition.read_meta()["ledger"]
    sys.stdout.write(", ".join(f"{name}: {count:,}" for name, count in found.items()) + "\n")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--every", type=float, default=60.0, help="seconds from one fault to the next")
    parser.add_argument("--rate", type=float, default=300.0, help="arrivals per second")
    parser.add_argument("--strategy", default="managed")
    parser.add_argument("--server", default="local")
    parser.add_argument("--out", default=f"results/soak-{time.strftime('%Y%m%d-%H%M%S')}")
    return parser.parse_args()


def faults(seconds, every_s):
    """A fault in the first quarter of each period that is whole."""
    for number_ in range(int(seconds / every_s)):
        at_s = every_s * (number_ + 0.25)
        yield from ("--fault", FAULTS[number_ % len(FAULTS)].format(f"{at_s:g}"))


def watched(bench, out):
    """What was seen of each process until the bench had ended: (seconds of its clock, name, MB, files)."""
    looks = []
    try:
        while bench.poll() is None:
            time.sleep(1.0)
            files_count = len(list(out.glob("arms/*/*/*/*.parquet")))
            for name, process in found(bench.pid):
                with suppress(psutil.Error):
                    megabytes = process.memory_info().rss / 1e6
                    looks.append((time.time(), name, megabytes, process.num_fds(), files_count))
    finally:
        bench.terminate()  # nothing to one that has ended
        bench.wait()
    if bench.returncode:
        sys.exit(bench.returncode)
    t0 = RunFolder.open(out).read_run()["t0"]
    return [(at - t0, *look) for at, *look in looks]


def found(pid):
    with suppress(psutil.Error):
        for process in psutil.Process(pid).children(recursive=True):
            with suppress(psutil.Error):
                words = " ".join(process.cmdline())
                for name, word in PROCESSES.items():
                    if f" loadtest.server.{word}" in words or f" {word} -f " in words:
                        yield name, process


def line(frames, looks, from_s, until_s):
    rows, seconds = frames.invocations, frames.generator
    due_s = column(rows, "due_s")
    of_part = (due_s >= from_s) & (due_s < until_s)
    failed = of_part & (rows["error"] != "").to_numpy()
    at_s = column(seconds, "at_s")
    then = (at_s >= from_s) & (at_s < until_s)
    seen = [look for look in looks if from_s <= look[0] < until_s]
    cpu_ms = 1000 * column(seconds, "cpu_ratio")[then].sum() / max(1, of_part.sum())
    lag_ms = np.quantile(column(seconds, "loop_lag_max_ms")[then], 0.99) if then.any() else np.nan
    return [
        f"{from_s - frames.start_s:.0f} to {until_s - frames.start_s:.0f}", f"{of_part.sum():,}",
        f"{failed.sum() / max(1, of_part.sum()):.2%}", *(most(seen, name) for name in PROCESSES),
        number(cpu_ms), number(lag_ms), max((look[4] for look in seen), default=0),
    ]  # fmt: skip


def most(seen, name):
    of_it = [(megabytes, files) for _, which, megabytes, files, _ in seen if which == name]
    return ", ".join(f"{value:.0f}" for value in map(max, zip(*of_it, strict=True))) or "-"


if __name__ == "__main__":
    main()
