"""Whatever a parser or a reader is given, it answers, or says in a sentence of ours why it cannot.

Texts begin as right ones, of which some letters are changed: whole nonsense is refused at its first letter.
Files begin as those of a stored run, of which some values are others, or are missing.
"""

import copy
import json
import math
import shutil
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from loadtest.dsn import Dsn
from loadtest.errors import LoadtestError, UsageError
from loadtest.fleet.real.function import function_of
from loadtest.manager import connection_string
from loadtest.report import stored_runs
from loadtest.report.budgets import grammar
from loadtest.report.render.terminal import run_text
from loadtest.report.run_summary import summarise_run
from loadtest.results.run_folder import RunFolder
from loadtest.settings import strategy
from loadtest.settings.durations import duration_s
from loadtest.settings.fault import parse_fault
from loadtest.settings.load_shape import shape_points
from loadtest.settings.scenario import plan_with

STORED = Path(__file__).parent / "report" / "stored" / "schema-1"
STRANGE = "\0\n\t \"'\\:=+@#%/.,;-_{}[]()<>é\U0001f600\u2028\ud7ff0159aeNI"
MANY = settings(max_examples=150, suppress_health_check=list(HealthCheck), deadline=None)
FEW = settings(max_examples=25, suppress_health_check=list(HealthCheck), deadline=None)


@st.composite
def changed(draw, *right):
    """One of ``right`` with up to six changes: a letter more, less or another, or a part of it twice."""
    text = draw(st.sampled_from(right))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(text)))
        until = draw(st.integers(at, min(len(text), at + 6)))
        put = draw(st.sampled_from(["", text[at:until] * 2, *STRANGE]) | st.text(max_size=3))
        text = text[:at] + put + text[until:]
    return text


def refused_or_answered(parse, text, error=UsageError):
    """Raises what is no answer and no sentence."""
    with suppress(error):
        return parse(text)


@MANY
@given(
    changed(
        "managed", "a=shop:New", "managed:0.3+cached:0.7", "x=lambda:python:./shop/app.handler:0.5+direct:0.5"
    )
)
def test_strategies(text):
    parts = refused_or_answered(strategy.parse, text)
    if parts is not None:
        assert math.isclose(sum(part.share for part in parts), 1.0)
        assert strategy.arm_name(text)


@MANY
@given(
    changed("kill@5+2", "connections:limit=30@10+5", "delay:ms=50@1.5+500ms", "kill-connections:share=0.3@1m")
)
def test_faults(text):
    fault = refused_or_answered(parse_fault, text)
    if fault is not None:
        assert fault.at_s >= 0
        assert fault.duration_s >= 0
        assert all(math.isfinite(value) for value in (fault.at_s, fault.duration_s, *fault.values.values()))


@MANY
@given(changed("30s", "500ms", "5m", "1.5h", "0", "12"))
@example("1e400s")
@example("nan")
def test_durations(text):
    seconds = refused_or_answered(duration_s, text)
    assert seconds is None or 0 <= seconds < math.inf


@MANY
@given(changed("0:0.2,3:1,5:0", "spike", "stairs", "0:1"))
def test_shapes(text):
    points = refused_or_answered(lambda given: shape_points(given, 30.0), text)
    for at_s, level in points or ():
        assert 0 <= at_s < math.inf
        assert 0 <= level < math.inf


@MANY
@given(
    changed(
        "managed.latency_ms.p99 <= 3 * ideal.latency_ms.p99",
        "a.errors.1040 == 0",
        '(a.errors."x" + 1) / 2 < 5%',
    )
)
@example("a.b < " + "(" * 500)
@example("a.b < 1 / 0")
def test_budgets(text):
    budget = refused_or_answered(grammar.parse, text)
    if budget is not None:
        assert refused_or_answered(grammar.parse, budget.text) is not None


@MANY
@given(changed("error_ratio == 0 and latency_ms.p99 <= 100"))
def test_objectives(text):
    refused_or_answered(grammar.parse_objective, text)


@MANY
@given(changed("mysql://me:secret@db.example:3307/shop", "mysql://m%40e@[::1]/a%2Fb"))
def test_dsns(text):
    dsn = refused_or_answered(Dsn.parse, text)
    if dsn is not None:
        assert dsn.host
        assert dsn.user
        assert dsn.database
        assert 1 <= dsn.port <= 65535
        assert Dsn.parse(dsn.url()) == dsn


@MANY
@given(
    changed(
        "mysql://me:pw@h:3306/d?connect_timeout=3&ssl-mode=VERIFY_CA&charset=utf8mb4", "mariadb://h?ssl=true"
    )
)
def test_connection_strings(text):
    refused_or_answered(connection_string.parse, text, ValueError)


SCENARIO = """description = "slow"
strategies = ["managed", "cached"]
rate = 50
duration = "5s"
work_ms = 20.0
faults = ["kill@1+1"]
"""
TEMPLATE = """Globals:
  Function:
    Timeout: 3
Resources:
  Shop:
    Type: AWS::Serverless::Function
    Properties:
      Handler: app.handler
      Runtime: python3.12
      CodeUri: .
      Environment:
        Variables: {A: !Ref Where, B: "2"}
"""
BESIDE = 'handler = "app.handler"\nmemory_mb = 128\ntimeout = "3s"\n\n[environment]\nA = "${MYSQL_HOST}"\n'


@MANY
@given(changed(SCENARIO))
def test_scenario_files(tmp_path_factory, text):
    file = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    file.write_bytes(text.encode("utf-8", "replace"))
    plan = refused_or_answered(lambda _: plan_with(str(file), {}), text)
    assert plan is None or (plan.rate > 0 and plan.duration_s > 0)


@MANY
@given(changed(TEMPLATE))
def test_sam_templates(tmp_path_factory, text):
    home = tmp_path_factory.getbasetemp()
    (home / "fuzzed.yaml").write_bytes(text.encode("utf-8", "replace"))
    (part,) = strategy.parse("x=lambda:sam:fuzzed.yaml#Shop")
    refused_or_answered(lambda _: function_of(part, str(home)), text)


@MANY
@given(changed(BESIDE))
def test_what_stands_beside_a_function(tmp_path_factory, text):
    home = tmp_path_factory.getbasetemp() / "beside"
    home.mkdir(exist_ok=True)
    (home / "function.toml").write_bytes(text.encode("utf-8", "replace"))
    (part,) = strategy.parse("x=lambda:python:./app.handler")
    refused_or_answered(lambda _: function_of(part, str(home)), text)


# Files of a run

VALUES = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        -1,
        1,
        1e308,
        -1e308,
        2**63,
        10**40,
        "",
        "x",
        "nan",
        "1e400",
        [],
        {},
        [[]],
        {"": None},
    ]
)


@st.composite
def altered(draw, tree):
    """``tree`` with up to four of its values replaced, or gone."""
    tree = copy.deepcopy(tree)
    for _ in range(draw(st.integers(1, 4))):
        at = tree
        while isinstance(at, dict | list) and at:
            keys = sorted(at) if isinstance(at, dict) else range(len(at))
            key = draw(st.sampled_from(keys))
            inner = at[key]
            if not isinstance(inner, dict | list) or not inner or draw(st.integers(0, 3)) == 0:
                if isinstance(at, dict) and draw(st.booleans()):
                    del at[key]
                else:
                    at[key] = draw(VALUES)
                break
            at = inner
    return tree


def small(folder):
    """Of the stored run, one arm with one repetition."""
    target = folder / "fuzzed-run"
    if not target.exists():
        shutil.copytree(STORED, target, ignore=lambda _, names: {"cached", "02", "03"} & set(names))
    return target


@FEW
@given(st.data())
def test_summaries(tmp_path_factory, data):
    file = tmp_path_factory.getbasetemp() / "fuzzed-summary.json"
    tree = json.loads((STORED / "summary.json").read_text())
    file.write_text(json.dumps(data.draw(altered(tree))))
    refused_or_answered(lambda _: stored_runs.read(file), "")


@FEW
@given(data=st.data())
@pytest.mark.parametrize("name", ["run.json", "arms/managed/01/repetition.json"])
def test_what_json_says_of_a_run(tmp_path_factory, name, data):
    run = small(tmp_path_factory.getbasetemp())
    original = (STORED / name).read_text()
    try:
        (run / name).write_text(json.dumps(data.draw(altered(json.loads(original)))))
        summary = refused_or_answered(lambda _: summarise_run(RunFolder.open(run)), "", LoadtestError)
        if summary is not None:
            assert run_text(summary, 100, color=False)
    finally:
        (run / name).write_text(original)


@FEW
@given(data=st.data())
@pytest.mark.parametrize("name", ["generator.csv", "samples.csv"])
def test_rows_as_text(tmp_path_factory, name, data):
    run = small(tmp_path_factory.getbasetemp())
    file = run / "arms" / "managed" / "01" / name
    original = (STORED / "arms" / "managed" / "01" / name).read_text()
    try:
        lines = original.splitlines()
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(lines) - 1))
            lines[at] = data.draw(changed(lines[at]))
        file.write_bytes("\n".join(lines).encode("utf-8", "replace"))
        refused_or_answered(lambda _: summarise_run(RunFolder.open(run)), "", LoadtestError)
    finally:
        file.write_text(original)
