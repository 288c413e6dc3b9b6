"""The commands that README and docs name beside figures still run."""

import ast
import importlib
import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pymysql
import pytest

from loadtest.fleet.connection import Meter
from loadtest.fleet.strategies import factory_of
from loadtest.fleet.workload import Work
from loadtest.results.summary import as_json
from loadtest.settings.strategy import parse
from tests.report.summaries import arm, summary

ROOT = Path(__file__).parent.parent.parent
STORED = ROOT / "tests" / "report" / "stored" / "schema-1"
POLICIES = "tests.benchmarks.policies"


def command(module, *words):
    done = subprocess.run(
        [sys.executable, "-m", f"tests.benchmarks.{module}", *map(str, words)],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_how_far_apart_the_repetitions_of_a_run_are():
    said = command("repetitions", STORED)
    assert "| `managed`: 3 of 3 valid | | |" in said
    assert "| `managed` p99 |" in said


def test_how_far_apart_equal_runs_are(tmp_path):
    arms = {name: arm(1000) for name in ("cached", "managed", "ideal")}
    tmp_path.joinpath("summary.json").write_text(json.dumps(as_json(summary(arms))))
    said = command("stability", tmp_path, tmp_path)
    assert "| `managed` errors |" in said
    assert "2 runs: " in said


def test_what_a_run_shows_of_the_goals_for_a_burst():
    said = command("goals", STORED)
    assert "| 60/s `cached` | 3 | 42.2% | 37.5% | 57.81% |" in said


def test_whether_a_long_run_stays_as_it_began(tmp_path):
    words = ("--minutes", "0.2", "--every", "6", "--rate", "30", "--out", tmp_path / "soak")
    said = command("soak", *words).splitlines()
    assert len(said) == 2 + 10 + 2
    assert all(int(line.split("|")[2]) > 10 for line in said[2:12])
    assert "lost_count: 0, doubled_count: 0" in said[-1]


def test_how_near_an_emulated_arm_is_to_a_real_one(tmp_path):
    arms = {name: arm(1000) for name in ("direct", "real-direct", "real-other")}
    tmp_path.joinpath("summary.json").write_text(json.dumps(as_json(summary(arms))))
    said = command("fidelity", tmp_path / "summary.json")
    assert "`direct` p50 ms |" in said
    assert "other" not in said


def test_how_soon_a_strategy_recovers_from_a_server_that_stood_still():
    words = [
        "--server",
        "local",
        "--rates",
        50,
        "--triggers",
        "freeze",
        "--strategies",
        "ideal",
        "--after",
        6,
    ]
    said = command("triggers", *words, "--repetitions", 1)
    (line,) = [line for line in said.splitlines() if "50/s freeze" in line]
    _, _, again, before, meanwhile, _ = (cell.strip() for cell in line.split("|"))
    # At once and 100%, where the machine itself does not stand still.
    assert not again.startswith(">")
    assert float(before.rstrip("%")) > 50
    assert float(meanwhile.rstrip("%")) < 90, "most of what was due while it stood still was late"


def test_the_busy_loops_end_by_themselves():
    assert command("busy_loops", 0.1) == ""


def variants():
    """Names at the top of the module that can be called as strategies."""
    tree = ast.parse((ROOT / "tests" / "benchmarks" / "policies.py").read_text("utf-8"))
    assigned = [node.targets[0].id for node in tree.body if isinstance(node, ast.Assign)]
    return assigned + [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and [a.arg for a in node.args.args] == ["connect"]
    ]


def _answers(name, arguments):
    """In a process of its own: a variant replaces a decision in it."""
    (part,) = parse(f"{name}={POLICIES}:{name}")
    function = factory_of(part)(lambda **more: pymysql.connect(**arguments, **more))
    for number in range(5):
        function.invoke(Work("select-1", 0.0, 0, number, Meter(0)), None)
    function.close()


@pytest.mark.parametrize("name", variants())
def test_each_policy_that_was_tried_still_answers(mariadb_target, name):
    importlib.import_module(POLICIES)
    arguments = mariadb_target.functions.connect_arguments()
    process = multiprocessing.get_context("fork").Process(target=_answers, args=(name, arguments))
    process.start()
    process.join(60)
    assert process.exitcode == 0
