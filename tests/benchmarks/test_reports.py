"""What reports and comparisons cost for runs of a million invocations."""

import resource
import subprocess
import sys
import time

import pytest


@pytest.fixture(scope="module")
def runs(tmp_path_factory, pick):
    rows = pick(40_000, 500)
    folder = tmp_path_factory.mktemp("million")
    for seed in (1, 2):
        subprocess.run(
            [sys.executable, "tests/benchmarks/million_rows.py", folder / f"r{seed}", str(seed), str(rows)],
            check=True,
        )
    return [folder / "r1", folder / "r2"]


def took(*words):
    """Seconds and the most memory in MB of the command, and of bare pyarrow that reads the same files."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *map(str, words)], check=True, capture_output=True)
    return time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


BARE = """
import sys
from pathlib import Path
import pandas, pyarrow.parquet
for run in sys.argv[1:]:
    for file in Path(run).rglob("*.parquet"):
        pyarrow.parquet.read_table(file).to_pandas()
"""


def test_p8_two_runs_of_a_million_invocations_are_compared(runs, say, pick):
    bare_s, _ = took("-c", BARE, *runs)
    seconds, megabytes = took("-m", "loadtest", "compare-reports", *runs)
    say(f"P8: comparing took {seconds:.1f} s and {megabytes:.0f} MB; {seconds / bare_s:.1f} x a bare read")
    assert megabytes < 1024
    assert seconds < pick(4, 20) * bare_s


def test_p8_the_report_of_a_million_invocations(runs, say, pick):
    bare_s, _ = took("-c", BARE, runs[0])
    seconds, megabytes = took("-m", "loadtest", "report", runs[0])
    say(f"P8: the report took {seconds:.1f} s and {megabytes:.0f} MB; {seconds / bare_s:.1f} x a bare read")
    assert megabytes < 1024
    assert seconds < pick(10, 40) * bare_s
