"""The README does what it says: its commands run, in order, in a copy of the checkout.

The first, `make bench`, is measured and so runs alone, by day with one short repetition; the others run
beside other tests, by day on the server that `--server auto` finds without Docker.
"""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from loadtest.server import server_folders

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text("utf-8")
LONGEST_S = 90.0  # of load, and of waiting for what is under way at its end
FIRST = "make bench"
SHORTER = f'{FIRST} ARGS="--repetitions 1 --duration 3s"'
NO_DOCKER = {"DOCKER_HOST": "unix:///nowhere/docker.sock"}
# A gate may be missed, or undecided, where other tests take the CPU: that it judged is what counts here.
GATE = 'judged() { [ "$1" = 1 ] || [ "$1" = 4 ]; }'
COPIED = (
    "loadtest", "locustfiles", ".ci", "Makefile", "README.md", "LICENSE", "pyproject.toml",
    "docker-compose.yml",
)  # fmt: skip


EMPTY: Mapping[str, str] = MappingProxyType({})


class Block(NamedTuple):
    language: str
    text: str


def blocks(*languages: str) -> list[Block]:
    found = [Block(*match) for match in re.findall(r"^```(\w+)\n(.*?)^```$", TEXT, re.M | re.S)]
    return [block for block in found if block.language in languages]


def commands() -> list[str]:
    """One by one as a shell reads them; `make test` runs this very test."""
    lines = "".join(block.text for block in blocks("sh")).replace("\\\n", "").splitlines()
    return [line for line in lines if line.strip() and line != "make test"]


class Ran(NamedTuple):
    folder: Path
    code: int
    said: str


@pytest.fixture(scope="module")
def quick() -> Iterator[Ran]:
    """`make bench`, with fewer repetitions."""
    with _ran([SHORTER]) as ran:
        yield ran


@pytest.fixture(scope="module")
def whole() -> Iterator[Ran]:
    """`make bench` as it stands there."""
    with _ran([FIRST]) as ran:
        yield ran


@pytest.fixture(scope="module", params=["without Docker", pytest.param("Docker", marks=pytest.mark.nightly)])
def rest(request: pytest.FixtureRequest) -> Iterator[Ran]:
    """All others in one shell, since some set what later ones read; it stops at the first that fails."""
    more = NO_DOCKER if request.param == "without Docker" else {}
    with _ran([command for command in commands() if command != FIRST], more) as ran:
        yield ran


@contextmanager
def _ran(chosen: list[str], more: Mapping[str, str] = EMPTY) -> Iterator[Ran]:
    if server_folders.standing():
        pytest.skip("a server of `loadtest server up` is up here, which the README would take down")
    # Short, and of our own: servers that the commands start are made in it.
    scratch = Path(tempfile.mkdtemp(prefix="readme", dir="/tmp"))
    folder = _checkout(scratch / "checkout")
    env = {
        k: v for k, v in os.environ.items() if not k.startswith(("LOADTEST_", "LOCUST_", "MAKE", "MFLAGS"))
    }
    env |= {
        "PATH": f"{folder / '.venv/bin'}:{env['PATH']}",
        "TMPDIR": str(scratch),
        "PYTHONPATH": str(folder),
        **more,
    }
    script = "\n".join([GATE, "set -e", *map(_step, chosen)])
    log = scratch / "log"
    try:
        with log.open("wb") as output:
            done = subprocess.run(
                ["bash", "-c", script],
                cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=500,
                check=False,
            )  # fmt: skip
        yield Ran(folder, done.returncode, log.read_text("utf-8", "replace"))
    finally:
        if list(scratch.glob("loadtest-*")):
            subprocess.run(
                [sys.executable, "-m", "loadtest", "server", "down"], env=env, cwd=folder, check=False
            )
        shutil.rmtree(scratch, ignore_errors=True)


def _step(command: str) -> str:
    """With the seconds at which it began, for whoever wonders where the time goes."""
    is_gate = "--budget" in command or "--fail-on" in command
    said = command.replace("'", "")
    return f"echo [$SECONDS s] '$ {said}'\n{command}" + (" || judged $?" if is_gate else "")


def _checkout(folder: Path) -> Path:
    folder.mkdir()
    for name in COPIED:
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / name)
    (folder / "results").mkdir()
    (folder / "package").mkdir()
    _environment(folder / ".venv")
    for block in blocks("python"):
        name = re.match(r"# (\w+\.py)\n", block.text)
        if name:
            (folder / name[1]).write_text(block.text, "utf-8")
    return folder


def _environment(at: Path) -> None:
    """As if `make` had just made it: the installation that runs this test, with stamps of its own."""
    at.mkdir()
    for entry in Path(sys.prefix).iterdir():
        if not entry.name.startswith("."):
            (at / entry.name).symlink_to(entry)
    (at / ".bench").touch()
    (at / ".dev").touch()


def test_there_is_something_to_run() -> None:
    assert commands()[0] == FIRST, "the first screen leads"
    assert len(commands()) > 10
    assert "```python\n# shop.py" in TEXT


@pytest.mark.parametrize("block", blocks("python"), ids=lambda block: block.text.splitlines()[0])
def test_an_example_is_python(block: Block) -> None:
    ast.parse(block.text)


@pytest.mark.parametrize("block", blocks("toml"))
def test_an_example_is_a_scenario(block: Block, tmp_path: Path) -> None:
    from loadtest.commands.options import plan_of

    file = tmp_path / "slow.toml"
    file.write_text(block.text, "utf-8")
    assert plan_of(str(file), None, {}).scenario == "slow"


def test_a_file_that_it_names_is_there() -> None:
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (ROOT / link).exists(), link


def test_every_command_of_the_readme_ends_well(rest: Ran) -> None:
    assert rest.code == 0, rest.said[-6000:]


def test_a_strategy_of_ones_own_is_an_arm_like_the_others(rest: Ran) -> None:
    found = [s for s in _summaries(rest) if "ping" in s["arms"]]
    assert len(found) == 1
    ping = found[0]["arms"]["ping"]["repetitions"][0]
    assert ping["arrivals_count"] > 1000
    assert ping["connections"]["opened_count"] > 0


@pytest.mark.alone
def test_make_bench_shows_what_each_strategy_does_to_a_real_server(quick: Ran) -> None:
    # In a single repetition the machine may have had no CPU to spare for the manager's connects.
    _shows_what_each_strategy_does(quick, repetitions_count=1, managed_at_most=0.8)


@pytest.mark.alone
@pytest.mark.nightly
def test_make_bench_shows_it_twice_within_a_minute_and_a_half(whole: Ran) -> None:
    _shows_what_each_strategy_does(whole, repetitions_count=2, managed_at_most=1 / 20)
    run, summary = _quick(whole)
    repetitions_count = sum(len(arm["repetitions"]) for arm in summary["arms"].values())
    plan = run["settings"]
    assert repetitions_count * (plan["duration_s"] + plan["function_timeout_s"]) <= LONGEST_S
    assert plan["reruns"] == 0


def _shows_what_each_strategy_does(ran: Ran, repetitions_count: int, managed_at_most: float) -> None:
    """With the manager at most ``managed_at_most`` of what fails without, in the better repetition."""
    assert ran.code == 0, ran.said[-6000:]
    run, summary = _quick(ran)
    assert run["settings"]["strategies"] == ["direct", "cached", "classic", "managed", "ideal"]
    errors = {
        name: [repetition["errors"] for repetition in arm["repetitions"]]
        for name, arm in summary["arms"].items()
    }
    assert {name: len(found) for name, found in errors.items()} == dict.fromkeys(errors, repetitions_count)
    assert all(found.get("1040 ER_CON_COUNT_ERROR", 0) > 300 for found in errors["cached"])
    assert not any(errors["ideal"])
    fewest = {name: min(sum(found.values()) for found in of_arm) for name, of_arm in errors.items()}
    assert fewest["managed"] < fewest["cached"] * managed_at_most
    asked_count = run["settings"]["rate"] * run["settings"]["duration_s"]
    assert all(arm["median"]["arrivals_count"] > 0.9 * asked_count for arm in summary["arms"].values())


def _quick_folder(ran: Ran) -> Path:
    (found,) = (ran.folder / "results").glob("[0-9]*-quick")
    return found


def _quick(ran: Ran) -> tuple[dict, dict]:
    folder = _quick_folder(ran)
    return json.loads((folder / "run.json").read_text()), json.loads((folder / "summary.json").read_text())


def _summaries(ran: Ran) -> list[dict]:
    return [json.loads(p.read_text()) for p in (ran.folder / "results").glob("[0-9]*/summary.json")]
