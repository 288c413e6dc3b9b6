"""npm installs what a Node.js function needs, once, before a run. Here a small script plays npm."""

import json
import shutil
import signal
import threading

import pytest

from loadtest.bench import npm
from loadtest.bench.strategy_check import checked
from loadtest.errors import UsageError
from loadtest.settings.plan import Settings
from tests.conftest import missing
from tests.places import END_S, QUICK, ended, path_without
from tests.waiting import wait_until

INSTALLS = """
mkdir -p node_modules/answer
echo 'module.exports = 42' > node_modules/answer/index.js
"""
FAILS = """
echo 'npm warn deprecated something' >&2
echo 'npm error code E404' >&2
echo 'npm error 404 Not Found - GET answer' >&2
echo 'npm error A complete log of this run can be found in: somewhere' >&2
exit 1
"""


@pytest.fixture
def function(tmp_path):
    """A folder with a function that needs one package."""
    if shutil.which("node") is None:
        missing("Node.js is not installed (Debian: apt-get install nodejs)")
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "index.js").write_text('exports.handler = async () => require("answer");\n')
    (folder / "package.json").write_text(json.dumps({"dependencies": {"answer": "1"}}))
    return folder


def in_place_of_npm(tmp_path, monkeypatch, script):
    """Notes its arguments in the folder in which it runs, and does what ``script`` says."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "npm").write_text(f'#!/bin/sh\necho "$@" >> npm-calls\n{script}')
    (programs / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{path_without(tmp_path / 'path', 'npm')}")


def calls(folder):
    path = folder / "npm-calls"
    return path.read_text().splitlines() if path.exists() else []


def strategy(folder, name="shop"):
    return f"{name}=lambda:node:{folder}/index.handler"


@pytest.mark.nightly
def test_a_bench_installs_what_is_missing_says_so_first_and_does_it_once(
    tmp_path, monkeypatch, function, place
):
    in_place_of_npm(tmp_path, monkeypatch, INSTALLS)
    # Few arrivals, each of which starts a Node.js, with time enough.
    load = ("--rate", "10", "--function-timeout", "20s", "--reruns", "2")
    words = ("bench", *QUICK, "--strategies", strategy(function), *load, "--json")
    ran = place.run(*words)
    assert ran.code == 0, ran
    assert ran.err.splitlines()[0] == f"loadtest: installing answer with npm in {function}"
    # One whose clients came too late counts nothing, and is run again.
    assert 0 in [one["error_ratio"] for one in json.loads(ran.out)["arms"]["shop"]["repetitions"]]
    assert calls(function) == ["install --omit=dev --no-audit --no-fund --no-package-lock"]
    again = place.run(*words, "--out", "again", "--log-format", "json")
    assert again.code == 0, again
    assert len(calls(function)) == 1


def test_a_lock_file_is_kept_to(tmp_path, monkeypatch, function):
    in_place_of_npm(tmp_path, monkeypatch, INSTALLS)
    (function / "package-lock.json").write_text("{}")
    assert checked([strategy(function)], Settings(), print).left_out == []
    assert calls(function) == ["ci --omit=dev --no-audit --no-fund"]


def test_npms_own_reason_is_the_message_where_it_fails(tmp_path, monkeypatch, function, place):
    in_place_of_npm(tmp_path, monkeypatch, FAILS)
    ran = place.run("bench", *QUICK, "--strategies", f"direct,{strategy(function)}")
    assert (ran.code, ran.out) == (2, ""), ran
    assert ran.err.splitlines()[1:] == [f"loadtest: npm failed in {function}: 404 Not Found - GET answer"]
    assert not (place.folder / "results").exists()


def test_npm_has_a_time_limit_and_nothing_of_it_is_left(tmp_path, monkeypatch, function, place):
    in_place_of_npm(tmp_path, monkeypatch, "sleep 600")
    monkeypatch.setenv("TMPDIR", str(place.tmp))
    monkeypatch.setattr(npm, "INSTALL_S", 0.5)
    with pytest.raises(UsageError, match=r"npm did not end in 0\.5 s"):
        checked([strategy(function)], Settings(), print)
    wait_until(lambda: place.processes("npm", "sleep") == [], what="the end of npm")


@pytest.mark.parametrize("command", [("bench", "--strategies"), ("web", "--strategy")])
def test_an_interrupt_ends_npm_too(tmp_path, monkeypatch, function, place, command):
    in_place_of_npm(tmp_path, monkeypatch, "sleep 600")
    process = place.start(*command, strategy(function), "--server", "local")
    wait_until(lambda: calls(function), what="npm")
    process.send_signal(signal.SIGTERM)
    ran = ended(process, END_S)
    assert (ran.code, ran.err.splitlines()[-1]) == (130, "loadtest: interrupted by SIGTERM"), ran
    assert place.left() == []


def test_two_runs_do_not_install_in_one_folder_at_once(tmp_path, monkeypatch, function):
    # It goes on once the other run waits.
    in_place_of_npm(tmp_path, monkeypatch, f"while [ ! -e waiting ]; do sleep 0.05; done\n{INSTALLS}")
    notes, found = [], []

    def note(text):
        notes.append(text)
        if text.startswith("waiting"):
            (function / "waiting").touch()

    def check():
        found.append(checked([strategy(function)], Settings(), note))

    runs = [threading.Thread(target=check) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [one.left_out for one in found] == [[], []]
    assert len(calls(function)) == 1
    assert sorted(notes) == [
        f"installing answer with npm in {function}",
        f"waiting for another run, which installs in {function}",
    ]


def test_nothing_is_installed_for_a_run_that_cannot_be(tmp_path, monkeypatch, function):
    in_place_of_npm(tmp_path, monkeypatch, INSTALLS)
    with pytest.raises(UsageError, match=r"there is no nothing\.py in"):
        checked([strategy(function), "wrong=lambda:python:./nothing.handler"], Settings(), print)
    assert calls(function) == []


def test_two_folders_of_a_mixed_fleet_are_both_installed(tmp_path, monkeypatch, function):
    in_place_of_npm(tmp_path, monkeypatch, INSTALLS)
    other = shutil.copytree(function, tmp_path / "other")
    assert checked([f"{strategy(function)}:0.5+{strategy(other, 'b')}:0.5"], Settings(), print).left_out == []
    assert len(calls(function)) == len(calls(other)) == 1
