"""The wall clock of the load's process is set, by an hour and back by two: no row and no figure knows."""

import json
from itertools import pairwise

import pytest

from loadtest.results.csv_rows import last_rows
from loadtest.results.parquet import read_rows
from loadtest.results.rows import GeneratorSecond, Sample
from loadtest.results.run_folder import RunFolder

# What a function does to the process that it shares with the generator, a second after its first call.
MODULE = """
import time
from pathlib import Path
from loadtest.fleet.strategies import WithManager

true_time, began = time.time, []


class Plain(WithManager):
    pass


class Stepped(WithManager):
    def invoke(self, work, context):
        began.append(time.monotonic())
        ran_s = time.monotonic() - began[0]
        step_s = 3600 if 1 < ran_s < 2 else -3600 if ran_s > 2 else 0
        if step_s < 0:
            Path(__file__).with_name("stepped").touch()
        time.time = lambda: true_time() + step_s
        super().invoke(work, context)
"""


@pytest.fixture
def folder(place, mariadb_target):
    (place.folder / "mine.py").write_text(MODULE)
    ran = place.run(
        "bench", "quick", "--strategies", "stepped=mine:Stepped,plain=mine:Plain", "--rate", "50",
        "--duration", "4s", "--repetitions", "1", "--reruns", "0", "--out", "run",
        "--server", mariadb_target.functions.url(), env={"LOADTEST_ADMIN_DSN": mariadb_target.admin.url()},
    )  # fmt: skip
    assert ran.code == 0, ran
    return RunFolder(place.folder / "run")


@pytest.mark.nightly
def test_a_clock_that_is_set_changes_no_row(folder):
    assert (folder.path.parent / "stepped").exists()
    due, summary = {}, json.loads((folder.path / "summary.json").read_text())
    for arm in ("stepped", "plain"):
        (repetition,) = folder.repetitions(arm)
        meta, rows = repetition.read_meta(), read_rows(repetition, "invocations")[0].to_pylist()
        start_s, end_s = meta["start_s"], meta["ended_s"]
        assert 4.0 <= end_s - start_s < 60.0
        for row in rows:
            assert start_s <= row["due_s"] < start_s + 4.0
            assert row["error"] == ""
            assert row["due_s"] - 0.1 <= row["started_s"] <= row["finished_s"] <= end_s
        due[arm] = {(row["client"], row["arrival"]): row["due_s"] - start_s for row in rows}
        for one in read_rows(repetition, "connections")[0].to_pylist():
            assert 0.0 <= one["opened_s"] <= end_s
        for path, columns in ((repetition.samples, Sample), (repetition.generator, GeneratorSecond)):
            at_s = [float(row["at_s"]) for row in last_rows(path, columns._fields, 1_000_000)]
            assert all(before <= after < end_s + 5 for before, after in pairwise(at_s))
        figures = summary["arms"][arm]["repetitions"][0]
        assert figures["good_ratio"] is not None
        assert figures["arrivals_count"] == len(rows)
        assert not [text for text in figures["reasons"] if "stall" not in text and "busy" not in text]
    assert due["stepped"] == pytest.approx(due["plain"])
