"""Budgets on the command line: exit codes, and what CI servers see."""

import json
import shutil

import pytest
from junitparser import JUnitXml

from loadtest.bench.interrupts import Interrupts
from loadtest.cli import outcome
from loadtest.fleet.workload import WrongAnswer
from loadtest.report.files import write_report
from loadtest.results import files

from .test_page import made


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = made(tmp_path_factory.mktemp("gate") / "run").folder
    write_report(folder)
    return folder


@pytest.fixture(autouse=True)
def _without_a_page(request, monkeypatch):
    """It takes a second, and has tests of its own."""
    if request.function is not test_reports_have_the_budgets:
        monkeypatch.setattr("loadtest.report.render.page.run_page", lambda *_: "")


@pytest.fixture
def said(monkeypatch, capsys):
    """Runs the command; its exit code, stdout and stderr."""

    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)

    def command(*words):
        monkeypatch.setattr("sys.argv", ["loadtest", *map(str, words)])
        code, last_words = outcome(Interrupts())
        captured = capsys.readouterr()
        return code, captured.out, captured.err + last_words

    return command


def budgets(*texts):
    return [word for text in texts for word in ("--budget", text)]


MET, MISSED = "managed.error_ratio == 0", "cached.error_ratio <= 10%"
UNDECIDED = "1 / managed.error_ratio < 5"


@pytest.mark.parametrize(
    ("texts", "code"),
    [((MET,), 0), ((MET, MISSED), 1), ((MET, UNDECIDED), 4), ((UNDECIDED, MISSED), 1)],
)
def test_the_exit_code_tells_missed_from_undecided(said, run, texts, code):
    found, _, err = said("report", run.path, *budgets(*texts))
    assert found == code
    assert len(err.strip().splitlines()) == len(texts)
    assert ("missed cached.error_ratio <= 10%: 0.333 against 0.100" in err) is (MISSED in texts)


def test_reports_have_the_budgets(said, run):
    said("report", run.path, *budgets(MET, MISSED, UNDECIDED))
    suite = next(iter(JUnitXml.fromfile(str(run.junit))))
    assert (suite.tests, suite.failures, suite.skipped) == (5, 1, 1)
    assert "- missed cached.error" in run.report_md.read_text("utf-8")
    assert '<li class="bad">missed cached.error_ratio &lt;= 10%' in run.report_html.read_text("utf-8")


def test_a_file_of_budgets(said, run, tmp_path):
    file = tmp_path / "budgets.toml"
    file.write_text(f"budgets = [{MET!r}, {MISSED!r}]", "utf-8")
    assert said("report", run.path, "--budget", file)[0] == 1
    file.write_text("budget = 1", "utf-8")
    code, _, err = said("report", run.path, "--budget", file)
    assert code == 2
    assert "has no list of texts" in err


def test_against_a_baseline(said, run):
    text = "cached.error_ratio <= baseline.cached.error_ratio"
    assert said("report", run.path, "--baseline", run.path, *budgets(text))[0] == 0
    code, _, err = said("report", run.path, *budgets(text))
    assert code == 2
    assert "needs a --baseline RUN" in err


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("managed.eror_ratio == 0", "(did you mean error_ratio?)"),
        ("manged.error_ratio == 0", "(did you mean managed?)"),
        ("managed.error_ratio", "makes no sense at its end"),
    ],
)
def test_a_bench_refuses_what_makes_no_sense_before_anything_runs(said, tmp_path, text, reason):
    code, out, err = said("bench", "quick", "--out", tmp_path / "run", *budgets(text))
    assert (code, out) == (2, "")
    assert reason in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("Timeout", "timeout"),
        ("ER_CON_COUNT", "ER_CON_COUNT_ERROR"),
        ('"1040 ER_CON_COUNT_EROR"', "1040 ER_CON_COUNT_ERROR"),
        ("KeyEror", "KeyError"),
        ("unfinish", "unfinished"),
    ],
)
@pytest.mark.parametrize("command", ["bench", "report"])
def test_an_error_that_nobody_knows_is_refused_with_the_nearest_name(
    said, run, tmp_path, command, name, nearest
):
    """A budget on it would pass whatever happens."""
    words = ("quick", "--out", tmp_path / "run") if command == "bench" else (run.path,)
    before = run.summary.read_bytes()
    code, out, err = said(command, *words, *budgets(f"cached.errors.{name} == 0"))
    assert (code, out) == (2, "")
    assert f"no error is called {name.strip(chr(34))!r} (did you mean {nearest}?)" in err
    assert not (tmp_path / "run").exists()
    assert run.summary.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "count"),
    [("1040", 300), ("ER_CON_COUNT_ERROR", 300), ("timeout", 0), ("3024", 0), ("KeyError", 0),
     ("AnswerLost", 0), ("CR_SERVER_LOST", 0), (WrongAnswer.__name__, 0)],
)  # fmt: skip
def test_a_code_counts_by_number_and_by_name_and_what_may_come_by_its_own(said, run, name, count):
    code, _, err = said("report", run.path, *budgets(f"cached.errors.{name} == {count}"))
    assert code == 0, err


def test_an_exception_of_ones_own_can_be_named_once_a_run_has_met_it(said, tmp_path):
    folder = made(tmp_path / "run", error="OutOfStock").folder
    code, _, err = said("report", folder.path, *budgets("cached.errors.OutOfStock == 300"))
    assert code == 0, err


def test_a_name_that_a_stored_budget_has_and_nobody_knows_decides_nothing(said, run):
    values = run.read_run()
    files.write_json(run.run, {**values, "budgets": ["cached.errors.Timeout == 0"]})
    code, _, err = said("report", run.path)
    assert code == 4
    assert "no error is called 'Timeout' (did you mean timeout?)" in err
    files.write_json(run.run, values)


def test_on_github_there_are_a_summary_and_annotations(said, run, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    _, out, err = said("report", run.path, "--json", *budgets(MET, *[MISSED] * 12, UNDECIDED))
    assert json.loads(out)["arms"]
    annotations = [line for line in err.splitlines() if line.startswith("::")]
    assert annotations[0].startswith(
        "::error title=loadtest budget missed::missed cached.error_ratio <= 10%25: 0.333"
    )
    assert annotations[-1] == "::error title=loadtest::and 4 more budgets"
    assert len(annotations) == 10
    assert (tmp_path / "summary.md").read_text("utf-8") == run.report_md.read_text("utf-8")


def test_a_job_s_summary_that_cannot_be_written_is_a_warning(said, run, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "nowhere" / "summary.md"))
    code, _, err = said("report", run.path, *budgets(MET))
    assert code == 0
    assert "warning: the job's summary" in err


def test_nobody_else_gets_annotations(said, run):
    _, out, err = said("report", run.path, *budgets(MISSED))
    assert "::" not in out + err


def test_against_a_summary_of_an_artefact(said, run, tmp_path):
    said("report", run.path)
    alone = tmp_path / "before.json"
    shutil.copy(run.summary, alone)
    text = "managed.containers_peak_count <= 2 * baseline.managed.containers_peak_count"
    assert said("report", run.path, "--baseline", alone, *budgets(text))[0] == 0


def test_the_budgets_that_a_run_was_made_with_are_judged_again(said, run):
    """What cannot be judged any more is undecided: the report is written all the same."""
    values = run.read_run()
    texts = [MET, "managed.error_ratio <= baseline.managed.error_ratio", "ideal.error_ratio == 0"]
    files.write_json(run.run, {**values, "budgets": texts})
    code, _, err = said("report", run.path)
    assert code == 4
    assert [line.split()[0] for line in err.strip().splitlines()] == ["passed", "undecided", "undecided"]
    assert "there is no baseline" in err
    assert "ideal was not run" in err
    files.write_json(run.run, values)
