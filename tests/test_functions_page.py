"""The commands of docs/functions.md run as they stand there, with the examples of the checkout.

Without npm, which needs a network: functions in Node.js run if their packages are there.
"""

import json
import re
import shlex
import tomllib
from pathlib import Path

import pytest

from tests.places import path_without

ROOT = Path(__file__).parent.parent
# Few arrivals: each that finds no idle container starts one.
SHORT = "--server local --json --rate 8 --duration 2s --provisioned 2 --reruns 1 --function-timeout 15s"
ALL = "loadtest bench examples/real.toml"
EXAMPLES = tomllib.loads((ROOT / "examples" / "real.toml").read_text("utf-8"))["strategies"]
PAGE = ROOT / "docs" / "functions.md"


def commands():
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line.startswith("loadtest ")]


def test_there_are_commands():
    assert len(commands()) == 4


def by_day():
    """The first of them; the others at night."""
    first, *others = (one for one in commands() if one != ALL)
    return [first, *(pytest.param(one, marks=pytest.mark.nightly) for one in others)]


@pytest.mark.parametrize("command", by_day())
def test_a_command_runs_and_its_real_function_answers(place, tmp_path, command):
    answers(place, tmp_path, command)


@pytest.mark.nightly
@pytest.mark.alone
def test_the_examples_run_side_by_side(place, tmp_path):
    """Three of them, which are of each kind that needs no npm; all of them: nightly."""
    assert ALL in commands()
    some = [text for text in EXAMPLES if text.startswith(("cached", "real-cached", "sqlalchemy-direct"))]
    assert len(some) == 3
    answers(place, tmp_path, f"{ALL} --strategies {','.join(some)}")


@pytest.mark.nightly
@pytest.mark.alone
def test_all_examples_run_side_by_side(place, tmp_path):
    answers(place, tmp_path, ALL)


def answers(place, tmp_path, command):
    (place.folder / "examples").symlink_to(ROOT / "examples")
    env = {"PATH": path_without(tmp_path / "path", "npm")}
    ran = place.run(*shlex.split(f"{command} {SHORT}")[1:], timeout_s=480, env=env)
    assert ran.code == 0, ran
    summary = json.loads(ran.out)
    left_out = {text.partition(" was not run")[0] for text in summary["warnings"] if " was not run" in text}
    assert all(name.startswith("node-") for name in left_out), summary["warnings"]
    for name, arm in summary["arms"].items():
        # On a busy machine some are invalid, and run again.
        answered = [one for one in arm["repetitions"] if one["error_ratio"] == 0]
        assert answered, (name, arm["repetitions"])
        assert answered[0]["arrivals_count"] > 8
