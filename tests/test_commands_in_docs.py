"""Every command that README, docs, docstrings and help name is one that the programs take.

The README's blocks run whole in `test_readme.py`, and are left out here. What stands within a sentence is
often minutes of load: its words are checked by the command itself, up to the point where it needs a server.
"""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from loadtest.bench.interrupts import Interrupts
from loadtest.cli import outcome
from loadtest.commands.worker import worker
from tests.simulator.__main__ import main as simulator

ROOT = Path(__file__).parent.parent
PAGES = (*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md", ROOT / "results" / "README.md")
SOURCES = sorted(ROOT.glob("loadtest/**/*.py"))
STORED = ROOT / "tests" / "report" / "stored" / "schema-1"
SEARCH = "SEARCH"
PLACES = {"RUN", "BASE", "CANDIDATE", "results/latest", "results/base", "results/candidate"}
SHOP = "class Old:\n    def invoke(self, work): ...\n\n\nNew = Pinging = Old\n"


def searched(folder):
    """A search of two trials that held: their rows are those of the stored run."""
    run = json.loads((STORED / "run.json").read_text())
    asked = {"vary": "rate", "slo": "error_ratio <= 100%", "precision": 0.05, "time_limit_s": 60.0}
    folder.mkdir()
    of_search = {"settings": {**run["settings"], "strategies": ["managed"]}, "warnings": []}
    of_search["capacity"] = {**asked, "low": 30.0, "high": 60.0}
    (folder / "run.json").write_text(json.dumps({**run, **of_search}))
    for number, (rate, kind) in enumerate([(30, "rise"), (60, "rise"), (60, "confirm")], 1):
        trial = folder / "trials" / "managed" / f"{number:03d}"
        shutil.copytree(STORED, trial, ignore=lambda _, names: {"cached"} & {*names})
        (trial / "run.json").write_text(json.dumps({**run, "trial": {"value": rate, "kind": kind}}))


def commands():
    """As (file, words): in blocks of a shell a line each, in sentences between backticks."""
    found = {}
    for file in (*PAGES, *SOURCES):
        text = file.read_text("utf-8").replace("\\\n", " ")
        blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S)
        plain = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
        lines = [line for block in blocks for line in block.splitlines() if file.name != "README.md"]
        lines += [" ".join(code.split()) for code in re.findall(r"`+([^`]+)`+", plain)]
        for line in lines:
            if re.match(r"(loadtest|make|python -m) [a-z]", line) and "…" not in line:
                found.setdefault(line, file.relative_to(ROOT))
    return [pytest.param(line, id=f"{file}: {line}"[:120]) for line, file in found.items()]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with what the commands speak of."""
    folder = tmp_path_factory.mktemp("commands")
    (folder / "shop.py").write_text(SHOP)
    (folder / "slow.toml").write_text("rate = 10\n")
    for name in ("examples", "tests"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(STORED, folder / "run")
    searched(folder / "searched")
    return folder


@pytest.fixture
def said(place, monkeypatch, capsys):
    """Runs the command there, without Docker; its exit code and stderr."""
    monkeypatch.chdir(place)
    monkeypatch.setenv("PATH", str(place))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{place}")

    def run(words):
        monkeypatch.setattr("sys.argv", ["loadtest", *words])
        code, last_words = outcome(Interrupts())
        return code, capsys.readouterr().err + last_words

    return run


@pytest.mark.parametrize("command", commands())
def test_a_command_that_is_named_is_understood(said, command):
    program, *words = shlex.split(command.partition(" > ")[0].partition(" & ")[0])
    if program == "make":
        subprocess.run(["/usr/bin/make", "--dry-run", *words], check=True, capture_output=True, cwd=ROOT)
    elif program == "python" and words[1] == "tests.simulator":
        takes = {option for made in simulator.commands[words[2]].params for option in made.opts}
        assert {word for word in words if word.startswith("--")} <= takes, command
    elif program == "python":
        assert words[1] == "pip" or importlib.util.find_spec(words[1]), command
    elif words[0] == "worker":
        worker.make_context("worker", words[1:])
    elif words[0] == "server":
        assert words[1:] in (["up"], ["down"])
    elif words[0] in ("bench", "capacity", "web") and "--help" not in words and len(words) > 1:
        out = ["--out", "new"] if words[0] != "web" else []
        code, err = said([*words, "--server", "docker", *out])
        if code == 2:  # only functions in Node.js, which is not on this path; and another machine's address
            assert "Node.js is not installed" in err or "cannot listen on 10.0.0.5" in err
        else:
            assert code == 3, err
            assert "Docker is not installed" in err
    else:
        stands = {**dict.fromkeys(PLACES, "run"), SEARCH: "searched"}
        there = [stands.get(word, word) for word in words]
        code, err = said(there if len(there) > 1 else [*there, "--help"])
        if words[0] == "doctor" and "@" in command:  # a database that nobody has here
            assert (code, "the host 'host' is unknown here" in err) == (3, True), err
            return
        # The run that stands for all others has two arms only.
        undecided = code == 4 and SEARCH in words  # with so few trials no edge is known
        assert code == 0 or undecided or "names no arms that are there" in err, err


def test_commands_are_found_where_they_are():
    texts = [param.values[0] for param in commands()]
    assert "loadtest web" in texts
    assert any(text.startswith("loadtest bench zombies --duration 20s") for text in texts)
    assert "python -m tests.report.equal_runs" in texts
    assert "make benchmarks" in texts
    assert len(texts) > 20
