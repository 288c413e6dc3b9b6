"""An option from the environment or from pyproject.toml, and which goes first; completion in shells."""

import shutil
import subprocess

import pytest

from loadtest.cli import main
from loadtest.results.provenance import repeat_command

NOBODY = ("bench", "quick", "--server", "mysql://u@127.0.0.1:1/d")


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("LOADTEST_BENCH_DURATION", "soon", "not a duration: 'soon'"),
        ("LOADTEST_BENCH_STRATEGIES", "nobody", "unknown strategy 'nobody'"),
        ("LOADTEST_BENCH_MEMORY_MB", "1", "memory-mb cannot be"),
        ("LOADTEST_BENCH_BUDGET", "managed.error_ratio == 0\nmanaged.eror_ratio == 0", "'eror_ratio'"),
        ("LOADTEST_BENCH_FAULT", "kil@1+1", "did you mean kill?"),
        ("LOADTEST_CAPACITY_VARY", "rat", "rat"),
    ],
)
def test_every_option_has_a_variable_that_is_checked_alike(inside, monkeypatch, variable, value, said):
    monkeypatch.setenv(variable, value)
    command = variable.split("_")[1].lower()
    words = NOBODY if command == "bench" else (command, *NOBODY[1:])
    code, _, err = inside.run(*words)
    assert code == 2
    assert said in err


def test_the_command_line_goes_first_then_the_environment_then_the_project_then_the_scenario(
    inside, tmp_path, monkeypatch
):
    (tmp_path / "pyproject.toml").write_text('[tool.loadtest.bench]\nduration = "project"\n', "utf-8")
    assert "'project'" in inside.run(*NOBODY)[2], "before the scenario's own"
    monkeypatch.setenv("LOADTEST_BENCH_DURATION", "environment")
    assert "'environment'" in inside.run(*NOBODY)[2]
    assert "'line'" in inside.run(*NOBODY, "--duration", "line")[2]


def test_a_projects_defaults_are_found_above_and_lists_are_repeated_options(inside, tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[tool.loadtest.bench]\nrate = 40\nbudget = ["managed.error_ratio == 0", "managed.wrong == 0"]\n',
        "utf-8",
    )
    inside.folder = tmp_path / "below"
    inside.folder.mkdir()
    assert "'managed.wrong == 0'" in inside.run(*NOBODY)[2]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[tool.loadtest.bench]\nstrategys = 'a'",
            "bench has no option 'strategys' (did you mean strategies?)",
        ),
        ("[tool.loadtest.bensh]\nrate = 1", "no command 'bensh' takes defaults (did you mean bench?)"),
        ("[tool.loadtest]\nrate = 1", "write a table for each command"),
        ("[tool.loadtest.bench]\nrate = [1, 2]", "rate cannot be [1, 2]: expected one text or number"),
        ("[tool.loadtest.bench]\nout = false", "out cannot be False: expected one text or number"),
        ("[tool.loadtest.bench]\njson = 1", "json cannot be 1: expected true or false"),
        ("[tool.loadtest.bench]\nbudget = 'managed.wrong == 0'", "budget 'managed.wrong == 0'"),
        ("[tool.loadtest.bench]\nbudget = [true]", "budget cannot be [True]: expected texts or numbers"),
        ("[tool.loadtest.server]\nrate = 1", "no command 'server' takes defaults"),
    ],
)
def test_a_default_that_cannot_be_is_refused_with_the_nearest_name(inside, tmp_path, text, said):
    (tmp_path / "pyproject.toml").write_text(text, "utf-8")
    code, _, err = inside.run(*NOBODY)
    assert code == 2
    assert said in err


@pytest.mark.parametrize("text", ["[tool", "[tool.other]\nx = 1", "tool = 3", ""])
def test_a_pyproject_that_says_nothing_of_us_is_none_of_our_business(inside, tmp_path, text):
    (tmp_path / "pyproject.toml").write_text(text, "utf-8")
    assert inside.run("scenarios")[0] == 0


def test_no_variable_is_that_of_another_option():
    found = [
        option.envvar
        for command in main.commands.values()
        for option in command.params
        if option.param_type_name == "option"
    ]
    assert len(set(found)) == len(found) > 100


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_of_each_shell_is_printed(inside, shell):
    code, out, _ = inside.run("completion", shell)
    assert code == 0
    assert f"_LOADTEST_COMPLETE={shell}_complete" in out
    if shutil.which(shell):
        assert subprocess.run([shell, "-n"], input=out, text=True, check=False).returncode == 0


def test_another_shell_is_refused(inside):
    assert "bash" in inside.run("completion", "csh")[2]


def test_the_command_that_repeats_a_run_has_what_came_from_the_environment_without_a_password():
    environment = {
        "LOADTEST_BENCH_RATE": "40",
        "LOADTEST_BENCH_SERVER": "mysql://u:secret@h/d",
        "LOADTEST_WEB_RATE": "1",
    }
    said = repeat_command(["loadtest", "bench", "quick"], environment)
    assert said == "LOADTEST_BENCH_RATE=40 LOADTEST_BENCH_SERVER=mysql://u@h:3306/d loadtest bench quick"
