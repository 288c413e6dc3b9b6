"""What cannot be is one clear sentence and a documented exit code, before anything runs, and leaves nothing.

All in this process. test_bad_input.py has what takes a process or a server, and tests/webui/test_form.py the
page's form.
"""

import json
import shutil
import sys

import pytest

from tests.places import ROOT

STORED = ROOT / "tests" / "report" / "stored" / "schema-1"
DSN = "mysql://a@127.0.0.1:1/d"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bnch"], "unknown command 'bnch' (did you mean bench?); there are bench, "),
        (["server", "upp"], "unknown command 'upp' (did you mean up?)"),
        (["bench", "quik"], "unknown scenario 'quik' (did you mean quick?); there are article, "),
        (["bench", "./nowhere.toml"], "scenario './nowhere.toml' cannot be read: "),
        (["bench", "--strategies", "chached"], "unknown strategy 'chached' (did you mean cached?)"),
        (["bench", "--strategies", "managed:0.5+cached:0.6"], "the shares add up to 1.1, not to 1"),
        (["bench", "--strategies", ""], "no strategy given"),
        (["bench", "--strategies", "direct,direct"], "named twice"),
        (["bench", "--ratee", "5"], "No such option '--ratee'"),
        (["bench", "--ratee", "5"], "'--rate'"),
        (["bench", "--rate"], "'--rate' requires an argument"),
        (["bench", "--rate", "1e300"], "more than 100,000 clients"),
        (["bench", "--rate", "0"], "rate cannot be '0': expected a number > 0"),
        (["bench", "--rate", "-1"], "rate cannot be '-1': expected a number > 0"),
        (["bench", "--model", "closed", "--provisioned", "2"], "provisioned is for the open model"),
        (
            ["bench", "--provisioned", "20", "--concurrency-limit", "10"],
            "20 provisioned containers are more than the concurrency-limit of 10",
        ),
        (
            ["bench", "--processes-per-environment", "16"],
            "with processes-per-environment, give provisioned, the number of environments",
        ),
        (
            ["bench", "--processes-per-environment", "2", "--provisioned", "3", "--deploy-at", "2s"],
            "deploy-at is for processes-per-environment 1",
        ),
        (
            [
                "bench", "--processes-per-environment", "2", "--provisioned", "3",
                "--strategies", f"a=lambda:provided:{sys.executable}",
            ],
            "'a' is not in Python, whose runtime alone can have several processes in an environment",
        ),
        (
            ["bench", "--event", "sqss", "--strategies", f"a=lambda:provided:{sys.executable}"],
            "unknown event 'sqss' (did you mean sqs?); there are plain, api-gateway-rest",
        ),
        (["bench", "--graceful-ratio", "2"], "graceful-ratio cannot be '2': expected a number <= 1"),
        (["bench", "--rate", "nan"], "rate cannot be 'nan': expected a number > 0"),
        (["bench", "--rate", "inf"], "every number has to be finite"),
        (["bench", "--rate", "many"], "rate cannot be 'many': expected a number"),
        (["bench", "--zombie-ratio", "1.2"], "zombie-ratio cannot be '1.2': expected a number <= 1"),
        (["bench", "--model", "opne"], "model cannot be 'opne' (did you mean open?); take open or closed"),
        (["bench", "--max-connections", "0"], "max-connections cannot be '0': expected a whole number >= 1"),
        (["bench", "--max-connections", "10000000"], "max_connections 10000000 cannot be: from 1 to "),
        (["server", "up", "--max-connections", "0"], "max_connections 0 cannot be: from 1 to "),
        (["server", "up", "--max-connections", "x"], "'x' is not a valid integer"),
        (["bench", "--duration", "soon"], "duration: not a duration: 'soon'; write 30s, 500ms, 5m or "),
        (["bench", "--duration", "1s", "--warmup", "1s"], "the warm-up (1 s) leaves nothing"),
        (["bench", "--max-connections", "2"], "ideal has no connection left"),
        (["bench", "--server", "podman"], "unknown server 'podman': take auto, docker, local or a DSN"),
        (["bench", "--server", "mysql://"], "malformed DSN: no user and no host and no database"),
        (["bench", "--server", "mysql://a@h"], "malformed DSN: no database"),
        (["bench", "--server", "mysql://h:3306/d"], "malformed DSN: no user"),
        (["bench", "--server", "mysql://a@h:port/d"], "malformed DSN: the port is not a number"),
        (["bench", "--server", "mysql://a@h:99999/d"], "malformed DSN: the port is not a number"),
        (["bench", "--server", "postgres://a@h/d"], "malformed DSN: it does not begin with mysql://"),
        (["bench", "--server", "mysql://a@h/d?tls=1"], "malformed DSN: something follows"),
        (["report"], "Missing argument 'RUN'"),
        (["report", "nowhere"], "nowhere is not a run folder: it has no run.json"),
        (["report", "."], ". is not a run folder: it has no run.json"),
        (["bench", "quick", "burst"], "unexpected extra argument (burst)"),
    ],
)  # fmt: skip
def test_a_command_line_that_cannot_be(inside, words, said):
    assert said in inside.refused(2, *words)


BENCH = ("bench", "--strategies", "direct,managed")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bench", "--rate", "٣"], "rate cannot be '٣'"),
        (["bench", "--rate", ""], "rate cannot be '': expected a number"),
        (["bench", "--rate", "5,5"], "rate cannot be '5,5': expected a number"),
        (["bench", "--repetitions", "1.5"], "repetitions cannot be '1.5'"),
        (["bench", "--repetitions", "0"], "repetitions cannot be '0': expected a whole number >= 1"),
        (["bench", "--repetitions", "9" * 5000], "repetitions cannot be "),
        (["bench", "--seed", "0x10"], "seed cannot be '0x10': expected a whole number"),
        (["bench", "--seed", "9" * 23], "18 digits at most"),
        (["bench", "--duration", "-5s"], "duration: not a duration: '-5s'"),
        (["bench", "--duration", "0s"], "duration cannot be "),
        (["bench", "--duration", "9" * 400], "every number has to be finite"),
        (["bench", "--duration", "1d"], "duration: not a duration: '1d'"),
        (["bench", "--duration", ""], "duration: not a duration: ''"),
        (["bench", "--function-timeout", "0"], "function-timeout cannot be "),
        (["bench", "--shape", "0:0.1,nan:1"], "not a shape: '0:0.1,nan:1'"),
        (["bench", "--shape", "0:nan"], "not a shape: '0:nan'"),
        (["bench", "--shape", "0:1,5:2"], "fractions are between 0 and 1"),
        (["bench", "--shape", "5:1,0:1"], "seconds rise from 0"),
        (["bench", "--shape", "hill"], "not a shape: 'hill'"),
        (["bench", "--strategies", "managed:0.5+managed:0.5"], "a part is named twice"),
        (["bench", "--strategies", "managed:nan+cached:1"], "strategy part 'managed:nan' has no share"),
        (["bench", "--strategies", "ideal:0.5+cached:0.5"], "ideal is a pool of the whole server"),
        (["bench", "--strategies", "../x=direct"], "a name may have letters, digits and . _ : + = @ - only"),
        (["bench", "--strategies", "..=direct"], "a name may have letters"),
        (["bench", "--strategies", "a/b=direct"], "a name may have letters"),
        (["bench", "--strategies", "=direct"], "a name may have letters"),
        (["bench", "--strategies", "a=direct,a=cached"], "two strategies are called 'a'"),
        (["bench", "--strategies", "x" * 300 + "=direct"], "a name may have 200 characters"),
        (["bench", "--strategies", "lambda:node:./x.h"], "is a real function, and needs a name"),
        (["bench", "--strategies", "a=lambda:ruby:./x.h"], "write lambda:RUNTIME:PATH, with python, node"),
        (["bench", "--strategies", "a=lambda:sam:t.yaml"], "t.yaml"),
        (["bench", "--strategies", "a=lambda:python:./nowhere/app.handler"], "nowhere"),
        (["bench", "--fault", "kil@5"], "there is no 'kil' (did you mean kill?)"),
        (["bench", "--fault", "kill"], "cannot be read: write NAME"),
        (["bench", "--fault", "kill@soon"], "'soon' is no time"),
        (["bench", "--fault", "kill@4+9"], "nothing would be seen of the recovery"),
        (["bench", "--fault", "delay:ms=nan@1+1"], "ms cannot be 'nan': a number from 1 to 60000"),
        (["bench", "--fault", "delay:ms=5:ms=6@1+1"], "it has a value twice"),
        (["bench", "--fault", "kill:x=1@1+1"], "it takes no values"),
        (["bench", "--fault", "kill@1+1", "--fault", "stop@1+1"], "overlap: one at a time"),
        (["bench", "--workers", "2", "--processes", "2"], "give workers or processes"),
        (["bench", "--workers", "2", "--fault", "delay@1+1"], "takes a relay, which workers elsewhere"),
        (["bench", "--workers", "2", "--workers-wait", "long"], "workers-wait: not a duration: 'long'"),
        (["bench", "--master-bind-port", "0"], "0 is not in the range 1<=x<=65535"),
        (["web", "--port", "70000"], "70000 is not in the range 1<=x<=65535"),
        (["web", "--strategy", "direct,managed"], "the page runs one strategy at a time"),
        (["web", "--host", "300.1.1.1"], "cannot listen on 300.1.1.1:8089"),
        (["web", "chaos"], "scenario chaos has faults, which only loadtest bench takes"),
        (["capacity", "--from", "0"], "the first has to be below the second"),
        (["capacity", "--from", "nan"], "the first has to be below the second"),
        (["capacity", "--from", "9", "--to", "8"], "the first has to be below the second"),
        (["capacity", "--to", "inf"], "every number has to be finite"),
        (["capacity", "--rate", "5"], "--rate is what the search varies"),
        (["capacity", "--precision", "0"], "expected a percentage from 0.1% to 100%"),
        (["capacity", "--precision", "nan"], "expected a percentage from 0.1% to 100%"),
        (["capacity", "--time-limit", "0s"], "a search takes time"),
        (["capacity", "--slo", "latency_ms.p98 <= 5"], "latency_ms.p98"),
        (["capacity", "--slo", ""], "makes no sense at its end"),
        (["capacity", "--vary", "max-connections", "--server", DSN], "is never reconfigured"),
        (["capacity", "--vary", "max-connections", "--from", "5.5"], "has to be a whole number"),
        (["worker", "--processes", "0"], "0 is not in the range x>=1"),
    ],
)  # fmt: skip
def test_more_of_a_command_line_that_cannot_be(inside, words, said):
    assert said in inside.refused(2, *words)


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        ("", "makes no sense at its end"),
        ("managed.error_ratio", "expected one of <="),
        ("managed.error_ratio = 0", "makes no sense at '='"),
        ("managed.error_ratio == 0 == 0", "makes no sense at '=='"),
        ("managd.error_ratio == 0", "managd"),
        ("managed.eror_ratio == 0", "did you mean"),
        ("managed == 0", "expected a field of managed"),
        ("managed.latency_ms < 5", "managed.latency_ms"),
        ("managed.errors.1041x == 0", "makes no sense"),
        ("managed.errors.ER_NO_SUCH_THING == 0", "ER_NO_SUCH_THING"),
        ("baseline.managed.error_ratio == 0", "baseline"),
        ("(" * 60 + "1" + ")" * 60 + " == 1", "expected at most 50 levels"),
        ("1 + " * 200 + "1 == 1", "at most 300 signs"),
        ("1 == 1", "it is the same whatever is measured"),
        ("managed.error_ratio == 0;", "makes no sense at ';'"),
        ("__import__('os') == 0", "makes no sense at "),
        ("nowhere.toml", "nowhere.toml"),
    ],
)
def test_a_budget_that_makes_no_sense(inside, budget, said):
    assert said in inside.refused(2, *BENCH, "--budget", budget)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"budgets = 5\n", "mine.toml"),
        (b"budgets = [5]\n", "mine.toml"),
        (b"budget = ['1 == 1']\n", "mine.toml"),
        (b"budgets = [\n", "mine.toml"),
        (b"\xff\xfe", "mine.toml"),
        (b"budgets = ['managed.eror_ratio == 0']\n", "eror_ratio"),
    ],
)
def test_a_file_of_budgets_that_is_wrong(inside, text, said):
    (inside.folder / "mine.toml").write_bytes(text)
    assert said in inside.refused(2, *BENCH, "--budget", "mine.toml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"rat = 5\n", "scenario mine.toml: unknown option 'rat' (did you mean rate?)"),
        (b"rate = [\n", "scenario 'mine.toml' is not TOML: "),
        (b"rate = [5]\n", "rate cannot be [5]: expected a number"),
        (b"rate = true\n", "rate cannot be True"),
        (b"rate = 1979-05-27\n", "rate cannot be "),
        (b"rate = nan\n", "rate cannot be nan"),
        (b"rate = 'fast'\n", "rate cannot be 'fast': expected a number"),
        (b"[rate]\nx = 1\n", "rate cannot be {'x': 1}"),
        (b"strategies = 'direct'\n", "strategies"),
        (b"strategies = [5]\n", "strategies"),
        (b"strategies = ['direct', 'chached']\n", "unknown strategy 'chached'"),
        (b"strategies = []\n", "no strategy given"),
        (b"model = 5\n", "model cannot be 5"),
        (b"duration = -5\n", "duration: not a duration: '-5'"),
        (b"duration = {s = 5}\n", "duration: not a duration"),
        (b"faults = 'kill@5'\n", "faults"),
        (b"faults = ['kil@5']\n", "there is no 'kil'"),
        (b"scenario = 5\n", "scenario"),
        (b"scenario = '../../x'\n", "a scenario cannot be called '../../x'"),
        (b"description = 5\n", "description"),
        (b"rate = 5\nrate = 6\n", "is not TOML: "),
        (b"\xff\xfe\x00", "scenario 'mine.toml' cannot be read: "),
        (b"rate = " + b"9" * 5000, "scenario 'mine.toml' is not TOML"),
        (b"rate = " + b"9" * 400, "rate cannot be "),
        (b"seed = " + b"9" * 400, "every whole number has to have 18 digits at most"),
        (b"repetitions = " + b"9" * 400, "every whole number has to have 18 digits"),
        (b"a = " + b"[" * 5000, "scenario 'mine.toml' is not TOML"),
        (b"max-connections = 1.5\n", "max-connections cannot be 1.5"),
    ],
)
def test_a_scenario_file_that_is_wrong(inside, text, said):
    (inside.folder / "mine.toml").write_bytes(text)
    assert said in inside.refused(2, "bench", "mine.toml", "--server", DSN)


def test_a_scenario_that_is_a_folder(inside):
    (inside.folder / "mine.toml").mkdir()
    assert "scenario 'mine.toml' cannot be read: " in inside.refused(2, "bench", "mine.toml")


@pytest.mark.parametrize(
    "dsn",
    [
        "mysql://a:geheim@", "mysql://a:geheim@h:0/d", "mysql://a:geheim@h:-1/d", "mysql://a:geheim@[::1/d",
        "mysql://a:geheim@h/d/e", "mysql://a:geheim@h/d#x", "MYSQL//a:geheim@h/d", "mysql:a:geheim@h/d",
        "mysql://a:ge/heim@h/d", "mysql://a:geheim@h:80%30/d", "mysql://a:geheim@h:\u0661/d",
        "mysql://a:geheim@h\u2100x/d", "mysql://a:geheim@h /d",
    ],
)  # fmt: skip
def test_a_dsn_that_is_none(inside, dsn):
    said = inside.refused(2, "bench", "--server", dsn)
    assert "malformed DSN" in said or "unknown server" in said
    assert "heim" not in said


@pytest.mark.parametrize("value", ["nonsense", "mysql://geheim", "mysql://a:geheim@h:x/d"])
def test_an_admin_account_that_is_no_dsn(inside, monkeypatch, value):
    monkeypatch.setenv("LOADTEST_ADMIN_DSN", value)
    said = inside.refused(2, "bench", "--server", DSN)
    assert "malformed DSN" in said
    assert "geheim" not in said


# Run folders


def garbled(inside, name, content):
    folder = inside.folder / "run"
    shutil.copytree(STORED, folder)
    (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"5", b"null", b"\xff", b'{"schema": 2}', b'{"schema": "1"}', b"{}",
        b'{"schema": NaN}',
        b"[" * 100_000, b'{"schema": 1}', b'{"schema": 1, "settings": []}', b'{"schema": 1, "settings": {}}',
        b'{"schema": 1, "settings": {"strategies": 5, "rate": "x"}}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["report", "compare-reports"])
def test_a_run_json_that_is_none(inside, command, content):
    garbled(inside, "run.json", content)
    before = inside.files()
    code, out, err = inside.run(command, "run", *(["run"] if command == "compare-reports" else []))
    assert "Traceback" not in err
    if code not in (0, 4):  # much may be missing, and the rows still are right
        assert code == 2, err
        assert not out
        assert "run" in err.splitlines()[-1]
        assert inside.files() == before


SUMMARY = {"schema": 1, "arms": {"x": {"repetitions": []}}}


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b"{}", b'{"schema": 2, "arms": {}}',
        b'{"arms": []}',
        b'{"arms": {"x": 5}}', b'{"arms": {"../x": {"repetitions": []}}}',
        b'{"arms": {"x": {"repetitions": [{"error_ratio": "low"}]}}}',
        b'{"arms": {"x": {"repetitions": [{"error_ratio": 7}]}}}',
        b'{"arms": {"x": {"repetitions": [{"latency_ms": 5}]}}}',
        b'{"arms": {"x": {"repetitions": [{"latency_ms": {"p99": 1e999}}]}}}',
    ],
)  # fmt: skip
def test_a_summary_json_that_is_none(inside, content):
    (inside.folder / "summary.json").write_bytes(content)
    assert "summary.json" in inside.refused(2, "compare-reports", "summary.json", "summary.json")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["report", "run.json"], 2, "run.json is not a run folder"),
        (["compare-reports", "nowhere", "nowhere"], 2, "nowhere is not there"),
        (["compare-reports"], 2, "Missing argument"),
        (["compare-reports", "run", "run", "--threshold", "x"], 2, "'x' is no share like 5% or 0.05"),
        (["compare-reports", "run", "run", "--threshold", "nan"], 2, "'nan' is no share like 5% or 0.05"),
        (["compare-reports", "run", "run", "--normalise", "nobody"], 2, "nobody"),
        (["compare-reports", "run", "run", "--fail-on", "p98"], 2, "p98"),
        (["compare-reports", "run", "run", "--arms", "x"], 2, "x"),
        (["compare-reports", "run", "run", "--arms", "x:y:z"], 2, "x"),
        (["compare-reports", "run", "run", "--html", "nowhere/x.html"], 3, "nowhere/x.html"),
        (["report", "run", "--budget", "nobody.error_ratio == 0"], 2, "nobody"),
        (["report", "run", "--baseline", "nowhere", "--budget", "1 == 1"], 2, "nowhere"),
    ],
)
def test_what_cannot_be_asked_of_a_run(inside, words, code, said):
    shutil.copytree(STORED, inside.folder / "run")
    (inside.folder / "run.json").write_text("{}")
    assert said in inside.refused(code, *words)


# Functions of a user


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("mine:Missing", "has no callable named 'Missing'"),
        ("mine:NUMBER", "has no callable named 'NUMBER'"),
        ("mine:Idle", "objects of Idle have neither invoke nor __call__"),
        ("no.such.module:Mine", "no.such.module"),
    ],
)
def test_a_function_of_a_user_that_cannot_run(inside, spec, said):
    (inside.folder / "mine.py").write_text("NUMBER = 5\n\nclass Idle:\n    pass\n")
    assert said in inside.refused(2, "bench", "--strategies", spec, "--server", DSN)


def test_the_stored_run_is_right_before_it_is_garbled(inside):
    shutil.copytree(STORED, inside.folder / "run")
    assert json.loads((inside.folder / "run" / "run.json").read_text())["schema"] == 1
    assert inside.run("report", "run")[0] == 0
