"""The command compare-reports: what is named, what is written, how it ends."""

import json
import shutil
from pathlib import Path

import pytest
from junitparser import JUnitXml

from loadtest.bench.interrupts import Interrupts
from loadtest.cli import outcome
from loadtest.results import files
from loadtest.results.rows import ConnectionLife, Invocation, Sample

from .conftest import Writer, generator_second
from .summaries import summary_of

STORED = Path(__file__).parent / "stored" / "schema-1"


def make(path, repetitions=3, ms=25.0, errors=0, arms=("managed", "ideal"), **settings):
    """A run folder of 100 arrivals a repetition, which spread by a little."""
    writer = Writer(path, strategies=list(arms), **settings)
    for number in range(repetitions):
        for arm in arms:
            took = (ms + 0.1 * number) / 1000
            rows = [
                Invocation(
                    0, i, 0, i % 7, arm, 10 + i / 10, 10 + i / 10, 10 + i / 10 + took * (1 + i / 1000),
                    error="1040 ER_CON_COUNT_ERROR" if i < errors else "",
                )
                for i in range(100)
            ]  # fmt: skip
            writer.repetition(
                arm,
                samples=[Sample(10.0 + i / 4, 20, 4, 16, 1.0, 3 * i, 0, 100, 90) for i in range(40)],
                generator=[generator_second(float(at)) for at in range(11, 21)],
                invocations=rows,
                connections=[ConnectionLife(0, 0, 1, 10.0, reaped_s=12.0, gone_s=13.0)],
            )
    files.write_json(writer.folder.summary, summary_of(writer.folder))
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    return make(folder / "a"), make(folder / "b", ms=40.0)


@pytest.fixture
def runs(made, tmp_path):
    """Copies, to be changed."""
    return [Path(shutil.copytree(run, tmp_path / run.name)) for run in made]


@pytest.fixture
def said(monkeypatch, capsys):
    """Runs the command; its exit code, stdout and stderr."""

    def run(*words):
        monkeypatch.setattr("sys.argv", ["loadtest", "compare-reports", *map(str, words)])
        code, last_words = outcome(Interrupts())
        captured = capsys.readouterr()
        return code, captured.out, captured.err + last_words

    return run


def test_it_says_what_changed_and_by_how_much(said, runs):
    code, out, _ = said(*runs)
    assert code == 0
    assert "managed: latency mean, ms worse, 1.6" in " ".join(out.split())
    assert "95% interval" in out


def test_folders_links_and_summary_files_are_the_same_run(said, runs, tmp_path):
    (tmp_path / "newest").symlink_to("b")
    alone = tmp_path / "alone.json"
    shutil.copy(runs[1] / "summary.json", alone)
    outs = {
        said(runs[0], name, "--json")[1].replace(str(name), "X")
        for name in (runs[1], runs[1] / "summary.json", tmp_path / "newest", alone)
    }
    assert len(outs) == 1


def test_json_is_as_documented(said, runs):
    _, out, _ = said(*runs, "--json")
    found = json.loads(out)
    assert list(found) == ["schema", "base", "candidate", "warnings", "arms", "verdict"]
    assert (found["schema"], found["verdict"]) == (1, "worse")
    mean = found["arms"]["managed"]["measures"]["latency_ms.mean"]
    assert list(mean) == [
        "base",
        "candidate",
        "ratio",
        "interval",
        "n",
        "verdict",
        "needed_repetitions",
        "warnings",
    ]
    assert mean["ratio"] == pytest.approx(mean["candidate"] / mean["base"])
    assert mean["interval"][0] < mean["ratio"] < mean["interval"][1]
    assert "difference" in found["arms"]["managed"]["measures"]["error_ratio"]


def test_several_candidates_are_each_compared_with_the_base(said, runs, tmp_path):
    third = make(tmp_path / "c", ms=25.0)
    _, out, _ = said(*runs, third, "--json")
    found = json.loads(out)
    assert [c["verdict"] for c in found["candidates"]] == ["worse", "~"]
    assert found["base"] == str(runs[0])


def test_a_case_of_junit_is_known_by_its_class_and_name(said, runs, tmp_path):
    """Servers merge what has the same; the third candidate is the second, by the same name."""
    junit = tmp_path / "junit.xml"
    code, _, _ = said(*runs, runs[1], runs[0], "--fail-on", "regression", "--junit", junit)
    assert code == 1
    cases = [case for suite in JUnitXml.fromfile(str(junit)) for case in suite]
    assert len({(case.classname, case.name) for case in cases}) == len(cases) == 24
    assert {case.classname for case in cases[:8]} == {f"{runs[1]}: managed", f"{runs[1]}: ideal"}


def test_a_failure_of_junit_has_its_reason_as_text_too(said, runs, tmp_path):
    """GitLab shows the text, others the attribute."""
    junit = tmp_path / "junit.xml"
    said(*runs, "--fail-on", "regression", "--junit", junit)
    results = [result for suite in JUnitXml.fromfile(str(junit)) for case in suite for result in case.result]
    assert len(results) == 4
    assert all(result.text == result.message and " worse: 2" in result.text for result in results)


def test_two_arms_of_one_run(said, runs):
    code, out, _ = said(runs[0], "--arms", "ideal:managed", "--json")
    assert code == 0
    assert list(json.loads(out)["arms"]) == ["ideal:managed"]


def test_arms_of_mixed_fleets_have_colons_in_their_names(said, tmp_path):
    mixed = "managed:0.5+cached:0.5"
    run = make(tmp_path / "a", arms=(mixed, "direct"))
    assert list(json.loads(said(run, "--arms", f"direct:{mixed}", "--json")[1])["arms"]) == [
        f"direct:{mixed}"
    ]
    assert list(json.loads(said(run, run, "--arms", mixed, "--json")[1])["arms"]) == [mixed]


def test_a_regression_fails_when_it_is_asked_to_with_a_line_for_each_measure(said, runs, tmp_path):
    junit = tmp_path / "junit.xml"
    code, _, err = said(*runs, "--fail-on", "regression", "--junit", junit)
    assert code == 1
    lines = err.strip().splitlines()
    assert len(lines) == 4  # mean and p50 of two arms
    assert all(
        line.startswith("loadtest: ") and " worse: 2" in line and "\N{MULTIPLICATION SIGN}" in line
        for line in lines
    )
    suite = next(iter(JUnitXml.fromfile(str(junit))))
    assert (suite.tests, suite.failures, suite.skipped) == (8, 4, 0)
    assert said(runs[1], runs[0], "--fail-on", "regression")[0] == 0  # better
    assert said(*runs, "--fail-on", "error_ratio")[0] == 0
    assert said(*runs, "--fail-on", "latency_ms.p99")[0] == 1


def test_a_verdict_that_was_asked_for_and_cannot_be_had_ends_with_4(said, tmp_path):
    one = [make(tmp_path / name, repetitions=1) for name in ("a", "b")]
    code, _, err = said(*one, "--fail-on", "regression")
    assert code == 4
    assert "has no verdict: each side needs at least two repetitions" in err
    assert said(*one)[0] == 0


NAMED_MIX = "a=managed:0.5+b=cached:0.5"


@pytest.mark.parametrize(("text", "arm"), [(NAMED_MIX, NAMED_MIX), ("new=shop:New", "new")])
def test_an_arm_that_the_candidate_was_asked_for_and_lacks_ends_with_4(said, tmp_path, text, arm):
    base = make(tmp_path / "a", arms=("direct", arm))
    candidate = make(tmp_path / "b", arms=("direct",))
    run = json.loads((candidate / "run.json").read_text("utf-8"))
    run["settings"]["strategies"].append(text)
    (candidate / "run.json").write_text(json.dumps(run), "utf-8")
    code, _, err = said(base, candidate, "--fail-on", "regression")
    assert code == 4
    assert f"{arm} was to be run in {candidate}, and was not" in err
    assert said(base, candidate)[0] == 0


def test_only_the_arms_of_a_summary_have_to_be_there(said, runs, tmp_path):
    """Whatever else a file has, lacks or has wrong is no reason not to compare it."""
    summary = json.loads((runs[0] / "summary.json").read_text("utf-8"))
    bare = {"arms": {"managed": {"repetitions": summary["arms"]["managed"]["repetitions"]}}}
    bare["arms"]["managed"]["repetitions"][0]["a_field_of_tomorrow"] = {"x": 1}
    del bare["arms"]["managed"]["repetitions"][1]["kills"]
    odd = {**bare, "scenario": 7, "server": [], "environment": None, "valid": "maybe", "warnings": "none"}
    odd["arms"]["managed"]["median"] = {"arrivals_count": "many"}
    for name, content in {"bare": bare, "odd": odd}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content), "utf-8")
        code, out, err = said(runs[1], tmp_path / f"{name}.json", "--json")
        assert (code, err) == (0, "")
        assert json.loads(out)["verdict"] == "better"


@pytest.mark.nightly
def test_strict_ends_with_4_at_any_warning(said, runs, tmp_path):
    other = make(tmp_path / "c", seed=2)
    base = make(tmp_path / "d", seed=1)
    assert said(*runs, "--strict")[0] == 0
    code, out, err = said(base, other, "--strict")
    assert code == 4
    assert "[1] seed differs: 1 and 2" in out
    assert "--strict: seed differs: 1 and 2" in err
    assert said(base, other)[0] == 0


def test_markdown_and_page_are_written_and_ask_nobody_for_anything(said, runs, tmp_path):
    md, html = tmp_path / "c.md", tmp_path / "c.html"
    assert said(*runs, "--md", md, "--html", html)[0] == 0
    assert "| managed | latency mean, ms | 2" in md.read_text("utf-8")
    page = html.read_text("utf-8")
    body = page[: page.index("<script>")]
    assert "src=" not in page.replace("this.src=", "")[: len(body)]
    assert "http" not in body
    assert body.count("data-root-id") == 8  # four plots of two arms
    assert len(page) < 3_000_000


def test_a_summary_that_disagrees_with_its_rows_is_not_believed(said, runs):
    file = runs[1] / "summary.json"
    summary = json.loads(file.read_text("utf-8"))
    summary["arms"]["managed"]["repetitions"][1]["latency_ms"]["mean"] = 1.0
    file.write_text(json.dumps(summary), "utf-8")
    _, out, _ = said(*runs, "--json")
    found = json.loads(out)
    assert found["warnings"] == [
        f"{runs[1]}: summary.json differs from its rows (latency_ms.mean of managed/02), so the rows are used"
    ]
    assert found["arms"]["managed"]["measures"]["latency_ms.mean"]["verdict"] == "worse"


def one_repetition(figures, arm="managed"):
    return f'{{"arms": {{"{arm}": {{"repetitions": [{{{figures}}}]}}}}}}'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "Expected `object`"),
        ('{"schema": 1}', "`arms`"),
        ('{"schema": 2, "arms": {}}', "schema 2 is not known"),
        (
            one_repetition('"valid": "yes"'),
            "Expected `bool`, got `str` - at `$.arms[...].repetitions[0].valid`",
        ),
        (one_repetition('"valid": true, "error_ratio": -0.1'), ">= 0"),
        (one_repetition('"valid": true, "error_ratio": NaN'), "cannot be read"),
        (one_repetition('"valid": true, "latency_ms": {"mean": 1e999}'), "out of range"),
        (one_repetition('"valid": true', "../../etc"), "an arm cannot be called"),
        ('{"arms": {"managed": ' + "[" * 5000, "cannot be read"),
    ],
)
def test_a_summary_that_is_none_is_refused_with_the_reason(said, runs, tmp_path, content, reason):
    file = tmp_path / "x.json"
    file.write_text(content, "utf-8")
    html = tmp_path / "c.html"
    code, out, err = said(runs[0], file, "--html", html)
    assert (code, out) == (2, "")
    assert err.startswith(f"loadtest: {file}")
    assert reason in err
    assert not html.exists()


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["{a}"], "one run has nothing to be compared with"),
        (["{a}", "{a}x"], "is not there (did you mean a?)"),
        (["{a}", "{a}", "--arms", "managed:nobody"], "names no arms that are there: managed, ideal"),
        (["{a}", "{b}", "--fail-on", "regresion"], "(did you mean regression?)"),
        (["{a}", "{b}", "--threshold", "lots"], "is no share like 5%"),
        (["{a}", "{b}", "--normalise", "perfect"], "has no perfect to normalise by"),
        ([], "Missing argument"),
    ],
)
def test_what_cannot_be_compared_is_said(said, runs, words, reason):
    names = {"a": runs[0], "b": runs[1]}
    code, out, err = said(*(word.format(**names) for word in words))
    assert (code, out) == (2, "")
    assert reason in err


def test_a_folder_that_cannot_be_written_to_ends_with_3(said, runs, tmp_path):
    code, _, err = said(*runs, "--md", tmp_path / "nowhere" / "c.md")
    assert code == 3
    assert "cannot write" in err


def test_a_stored_run_of_schema_1_is_read_for_ever(said):
    code, out, err = said(STORED, "--arms", "cached:managed", "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert found["arms"]["cached:managed"]["measures"]["error_ratio"]["verdict"] == "better"
    assert found["warnings"] == []
