"""Whatever a reader is given, it says a clear sentence (an error of ours) or what is right, and nothing else.

Each function below takes what hypothesis draws. A few examples run here, far more of them in `make nightly`.
"""

import json
import math
import operator
import shutil
import string
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from loadtest.dsn import Dsn
from loadtest.errors import LoadtestError, UsageError
from loadtest.fleet.real.function import function_of
from loadtest.manager.connection_string import parse as parse_connection_string
from loadtest.report.budgets import grammar, judgement
from loadtest.report.render.terminal import run_text
from loadtest.report.run_summary import summarise_run
from loadtest.report.stored_runs import read as read_stored
from loadtest.results.run_folder import RunFolder
from loadtest.results.summary import as_json
from loadtest.settings import load_shape, strategy
from loadtest.settings.durations import duration_s, duration_text
from loadtest.settings.fault import KINDS, parse_fault
from loadtest.settings.plan import Plan
from loadtest.settings.plan_options import options
from loadtest.settings.scenario import plan_with
from loadtest.webui import form
from tests.places import ROOT
from tests.report.summaries import arm, summary

STORED = ROOT / "tests" / "report" / "stored" / "schema-1"
TEMPLATE = ROOT / "examples" / "template.yaml"
WORDS = st.text(max_size=20)
NUMBERS = st.floats() | st.integers(-(10**6), 10**6)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)
FUZZERS = []


def fuzzed(count, *drawn, **named):
    """The test takes what is drawn; ``count`` examples of it cost about a second at most."""

    def kept(function):
        FUZZERS.append(pytest.param(given(*drawn, **named)(function), count, id=function.__name__))
        FUZZERS.append(
            pytest.param(
                given(*drawn, **named)(function), 30 * count,
                id=f"{function.__name__}-long", marks=pytest.mark.nightly,
            )
        )  # fmt: skip
        return function

    return kept


@pytest.mark.parametrize(("fuzz", "count"), FUZZERS)
def test_whatever_is_read_is_right_or_refused(fuzz, count):
    settings(max_examples=count, suppress_health_check=list(HealthCheck), database=None)(fuzz)()


def pieces(*known):
    """Texts of pieces that the grammar knows, and of some that it does not."""
    return st.lists(st.sampled_from(known) | st.text(max_size=3), max_size=8).map("".join)


# Settings


@fuzzed(300, st.floats(0, 1e9, allow_nan=False) | st.integers(0, 10**9))
def a_duration_is_read_as_it_is_written(seconds):
    assert duration_s(duration_text(seconds)) == seconds


@fuzzed(200, pieces("1", "30", ".", "5", "ms", "s", "m", "h", " ", "e", "-"))
def a_duration_is_a_number_of_seconds(text):
    with suppress(UsageError):
        assert duration_s(text) >= 0


@fuzzed(200, pieces("0", "1", ":", ",", ".5", "nan", "inf", "-1", "spike", "wave"), st.floats(0.1, 100))
def a_shape_rises_in_time_and_stays_within_the_load(text, duration):
    with suppress(UsageError):
        points = load_shape.shape_points(text, duration)
        times = [at_s for at_s, _ in points]
        assert times == sorted(times)
        assert all(math.isfinite(at_s) and 0 <= level <= 1 for at_s, level in points)


OPTIONS = list(options(Plan))
VALUE = JSON | st.sampled_from(["5", "5s", "on", "open", "1e9", "-1", "nan"])


@fuzzed(
    200,
    st.dictionaries(
        st.sampled_from([*(o.name for o in OPTIONS), "strategies", "faults"]) | WORDS, VALUE, max_size=4
    ),
)
def a_plan_has_the_values_that_it_was_given(values):
    try:
        plan = plan_with("burst", values)
    except UsageError as error:
        assert str(error)
        return
    for option in OPTIONS:
        if option.kind == "duration":
            assert math.isfinite(getattr(plan, option.field))
        elif option.name in values and isinstance(values[option.name], int | float):
            assert getattr(plan, option.field) == values[option.name]
    # What a run folder keeps is read back as the same.
    assert msgspec.convert(json.loads(json.dumps(msgspec.to_builtins(plan))), Plan) == plan


@fuzzed(
    100,
    pieces(
        "rate", " = ", "5", "\n", "[", "]", "'", '"', "strategies", "{", "}", "duration", "1979-05-27", "="
    ),
)
def a_scenario_file_is_a_plan_or_refused(text):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mine.toml")
        path.write_text(text, "utf-8", errors="surrogatepass")
        with suppress(UsageError):
            assert isinstance(plan_with(str(path), {}), Plan)


# Strategies and faults

NAME = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=8)
SPEC = st.sampled_from(
    ["direct", "cached", "classic", "managed", "shop:Mine", "a.b:c", "lambda:node:./x/y.handler"]
)


@fuzzed(300, st.lists(st.tuples(NAME, SPEC), min_size=1, max_size=4, unique_by=lambda one: one[0]), st.data())
def a_fleet_is_taken_apart_into_what_it_was_made_of(named, data):
    cuts = sorted(
        data.draw(st.lists(st.integers(1, 99), min_size=len(named) - 1, max_size=len(named) - 1, unique=True))
    )
    shares = [b - a for a, b in zip([0, *cuts], [*cuts, 100], strict=True)]
    text = "+".join(
        f"{name}={spec}" + (f":{share / 100:g}" if len(named) > 1 else "")
        for (name, spec), share in zip(named, shares, strict=True)
    )
    try:
        parts = strategy.parse(text)
    except UsageError:
        assert not strategy.arm_name(text).strip(".")  # the only ones that a folder cannot have
        return
    assert [(one.name, one.spec) for one in parts] == named
    assert [round(one.share * 100) for one in parts] == shares
    assert strategy.part_names(text) == ([name for name, _ in named] if len(named) > 1 else [])


@fuzzed(
    500, pieces("direct", "ideal", ":", "0.5", "+", "=", "lambda:", "node:", "./a.b", "x", "1", ".", "/", "#")
)
def a_strategy_has_a_name_for_a_folder_and_shares_that_add_up(text):
    try:
        parts = strategy.parse(text)
    except UsageError as error:
        assert str(error)
        return
    assert sum(one.share for one in parts) == pytest.approx(1)
    name = strategy.arm_name(text)
    assert "/" not in name
    assert name.strip(".")
    assert name.isprintable()


@fuzzed(200, st.sampled_from(sorted(KINDS)), st.integers(0, 999), st.integers(0, 99), st.data())
def a_fault_has_the_values_that_are_written(name, at, lasts, data):
    values = {
        key: data.draw(
            st.integers(math.ceil(one.least), int(one.most)) if one.most >= 1 else st.just(one.default)
        )
        for key, one in KINDS[name].values.items()
    }
    keys = "".join(f":{key}={value}" for key, value in values.items())
    fault = parse_fault(f"{name}{keys}@{at}+{lasts}s")
    assert (fault.name, fault.at_s, fault.duration_s, fault.values) == (name, at, lasts, values)


@fuzzed(400, pieces("kill", "delay", ":", "ms", "=", "5", "@", "+", "1s", "nan", "limit", "connections", "-"))
def a_fault_is_within_its_bounds(text):
    with suppress(UsageError):
        fault = parse_fault(text)
        assert 0 <= fault.at_s <= fault.until_s < math.inf
        for key, value in fault.values.items():
            assert fault.kind.values[key].least <= value <= fault.kind.values[key].most


# Accounts

HOST = st.sampled_from(["h", "db.example", "127.0.0.1", "::1", "2001:db8::7"])
SOMETHING = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@fuzzed(300, HOST, st.integers(1, 65535), SOMETHING, SOMETHING | st.just(""), SOMETHING)
def a_dsn_is_read_as_it_is_written(host, port, user, password, database):
    dsn = Dsn(host, port, user, password, database)
    try:
        assert Dsn.parse(dsn.url()) == dsn
    except UsageError as error:
        assert "/" in database, error  # the one thing that a name of a database cannot have


@fuzzed(
    500, pieces("mysql://", "a", ":", "@", "h", "/", "d", "3306", "[", "]", "::1", "?", "#", "%2", "%00", " ")
)
def a_dsn_is_an_account_or_refused_without_its_password(text):
    secret = "gEh3im"
    for whole in (text, text.replace("@", f":{secret}@", 1)):
        try:
            dsn = Dsn.parse(whole)
        except UsageError as error:
            assert secret not in str(error)
            continue
        assert dsn.host
        assert dsn.user
        assert dsn.database
        assert 0 < dsn.port < 65536
        assert (
            not dsn.password
            or dsn.password == dsn.user
            or dsn.password not in str(dsn)
            or len(dsn.password) < 6
        )
        assert Dsn.parse(dsn.url()) == dsn


@fuzzed(
    400,
    pieces("mysql://", "mariadb://", "a", ":", "@", "h", "/", "d", "3306", "[", "]", "?", "x=1", "&", "%zz"),
)
def a_connection_string_is_arguments_or_refused(text):
    try:
        found = parse_connection_string(text)
    except ValueError as error:
        assert str(error).startswith("connection string: ")
        return
    assert found["host"]


@fuzzed(
    200, st.sampled_from(["h", "db.example", "[::1]"]), st.integers(1, 65535), SOMETHING, SOMETHING, SOMETHING
)
def a_connection_string_is_read_as_it_is_written(host, port, user, password, database):
    user, password, database = (quote(text, safe="") for text in (user, password, database))
    found = parse_connection_string(f"mysql://{user}:{password}@{host}:{port}/{database}")
    assert found == {
        "host": host.strip("[]"), "port": port,
        "user": unquote(user), "password": unquote(password), "database": unquote(database),
    }  # fmt: skip


# Budgets

NUMBER = st.integers(0, 1000).map(str) | st.floats(0, 1e6, allow_nan=False, width=32).map(repr)
SUM = st.recursive(
    NUMBER | st.just("managed.latency_ms.p99"),
    lambda one: (
        st.tuples(one, st.sampled_from("+-*/"), one).map("{0[0]} {0[1]} {0[2]}".format)
        | one.map("({})".format)
        | one.map("-{}".format)
    ),
    max_leaves=8,
)
SUMMARY = summary({"managed": arm(1000, mean=36.5)})
COMPARED = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
    "==": operator.eq,
    "!=": operator.ne,
}


@fuzzed(300, SUM, st.sampled_from(sorted(COMPARED)), SUM)
def a_budget_is_judged_as_python_would(left, sign, right):
    judged = judgement.judge(grammar.parse(f"{left} {sign} {right}"), SUMMARY, None)

    def value(text):
        return eval(text.replace("managed.latency_ms.p99", "36.5"), {"__builtins__": {}})  # noqa: S307

    try:
        expected = COMPARED[sign](value(left), value(right))
    except (ZeroDivisionError, OverflowError):
        assert judged.state == judgement.UNDECIDED
        return
    assert judged.state in ((judgement.PASSED if expected else judgement.MISSED), judgement.UNDECIDED)
    if judged.state == judgement.UNDECIDED:
        assert not all(math.isfinite(value(text)) for text in (left, right))


@fuzzed(
    500,
    pieces("managed", ".", "error_ratio", "latency_ms", "p99", " ", "<=", "==", "0", "1e999", "%", "*", "(",
           ")", "-", '"', "errors", "baseline", "and"),
)  # fmt: skip
def a_budget_is_judged_or_refused(text):
    for parse in (
        lambda: [grammar.parse(text)],
        lambda: [one.of("managed") for one in grammar.parse_objective(text)],
    ):
        try:
            budgets = parse()
        except UsageError as error:
            assert str(error)
            continue
        for budget in budgets:
            found = judgement.judge(budget, SUMMARY, SUMMARY)
            assert found.line().isprintable()


# Functions


@st.composite
def changed(draw, document):
    """A document of which one or two places are something else."""
    document = json.loads(json.dumps(document))
    for _ in range(draw(st.integers(1, 2))):
        at = document
        while isinstance(at, dict | list) and at:
            key = draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
            if not isinstance(at[key], dict | list) or not at[key] or draw(st.integers(0, 3)) == 0:
                if isinstance(at, dict) and draw(st.booleans()):
                    del at[key]
                else:
                    at[key] = draw(JSON)
                break
            at = at[key]
    return document


SAM = {
    "Parameters": {"Db": {"Type": "String", "Default": "shop"}},
    "Globals": {
        "Function": {"Runtime": "python3.13", "Timeout": 5, "Environment": {"Variables": {"A": "1"}}}
    },
    "Resources": {
        "Shop": {
            "Type": "AWS::Serverless::Function",
            "Properties": {
                "Handler": "app.handler", "CodeUri": ".", "MemorySize": 256,
                "Environment": {"Variables": {"DB": {"Ref": "Db"}, "URL": {"Fn::Sub": "x-${Db}"}, "N": 5}},
            },
        }
    },
}  # fmt: skip


def function_from(name, text, spec):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, name).write_text(text, "utf-8", errors="surrogatepass")
        (part,) = strategy.parse(f"shop=lambda:{spec}")
        try:
            found = function_of(part, folder)
        except UsageError as error:
            assert str(error)
            return
        assert found.memory_mb > 0
        assert found.timeout_s is None or 0 < found.timeout_s < math.inf
        assert all(isinstance(value, str) for pair in found.environment.items() for value in pair)


@fuzzed(60, changed(SAM))
def a_template_is_a_function_or_refused(document):
    function_from("t.yaml", yaml.safe_dump(document, allow_unicode=True), "sam:t.yaml#Shop")


ODD = [
    "!!int ''", "!!int x", "!!float x", "!!timestamp x", "2001-99-99", "0x_", ".inf", "-.inf", ".nan",
    "1e400", "9" * 400, "9" * 5000,
    "2.7", "true", "'5'", "'5.5'", "5", "99999999999999999999", "!Ref Db", "!Sub '${Db}x'", "!GetAtt A.B",
    "!Sub [a, {}]", "&a [*a]", "{? [a] : b}", "{Ref: [a]}", "{Fn::Sub: {}}", '"\\0"', "../..", "!!binary x",
    "!!set {a}", "!!python/name:os.x ''", "~", "''", "[]", "{}", "!Foo bar", "{<<: 5}", "{<<: [5]}",
    "!!omap [a]", "!!pairs x", "=", "<<",
]  # fmt: skip
PROPERTIES = (
    "Handler",
    "CodeUri",
    "MemorySize",
    "Timeout",
    "Runtime",
    "Environment",
    "PackageType",
    "Environment: {Variables",
)


@fuzzed(
    100,
    st.sampled_from(PROPERTIES),
    st.sampled_from(ODD) | pieces("!Ref ", "&a ", "*a", "- ", "{", "[", "x", ": ", "\n"),
)
def a_template_of_any_text_is_a_function_or_refused(name, value):
    written = f"{{X: {value}}}}}" if "{" in name else value
    function_from(
        "t.yaml",
        "Resources:\n  Shop:\n    Type: AWS::Serverless::Function\n    Properties:\n"
        "      Handler: app.handler\n      Runtime: python3.13\n      MemorySize: 256\n      Timeout: 7\n"
        f"      {name}: {written}\n",
        "sam:t.yaml#Shop",
    )


@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("name", ["CodeUri", "MemorySize", "Timeout"])
def test_every_odd_value_of_a_template_is_right_or_refused(name, value):
    a_template_of_any_text_is_a_function_or_refused(name, value)


def test_a_number_of_a_template_is_never_another_one():
    for value in ("2.7", "true", ".inf", "'5.5'", "0"):
        with pytest.raises(UsageError, match="cannot be"), tempfile.TemporaryDirectory() as folder:
            Path(folder, "t.yaml").write_text(
                "Resources: {Shop: {Type: 'AWS::Serverless::Function', Properties: {Handler: a.b, "
                f"Runtime: python3.13, Timeout: {value}}}}}}}"
            )
            function_of(strategy.parse("shop=lambda:sam:t.yaml#Shop")[0], folder)


@fuzzed(
    60,
    pieces(
        "handler",
        "memory_mb",
        "timeout",
        " = ",
        "'a.b'",
        "256",
        "\n",
        "[environment]\n",
        "X",
        "'$A'",
        "1e400",
        "inf",
        "nan",
    ),
)
def a_file_beside_a_function_is_understood_or_refused(text):
    function_from("function.toml", text, "python:./app.handler")


# The form of the page

OURS = [option for option in options() if option.name not in ("model", "rate", "containers")]
BEFORE = {"strategy": "managed", **{option.name: option.default for option in OURS}}
FIELDS = [*(option.name for option in OURS), "strategy", "user_count", "spawn_rate", "run_time"]


@fuzzed(200, st.dictionaries(st.sampled_from(FIELDS) | WORDS, WORDS | NUMBERS.map(str), max_size=4))
def a_form_is_what_it_asks_for_or_refused(posted):
    good = {"user_count": "20", "spawn_rate": "2000000", "run_time": ""}
    with suppress(UsageError):
        wanted = form.read({**good, **posted}, OURS, BEFORE, strategy.STRATEGIES)
        assert wanted.users_count == int(posted.get("user_count", 20)) > 0
        assert wanted.run_time_s is None or wanted.run_time_s >= 0


# Run folders

RUN = json.loads((STORED / "run.json").read_text("utf-8"))
SUMMARY_JSON = json.loads((STORED / "summary.json").read_text("utf-8"))
META = json.loads((STORED / "arms" / "cached" / "01" / "repetition.json").read_text("utf-8"))
CSV = (STORED / "arms" / "cached" / "01" / "samples.csv").read_text("utf-8")
GENERATOR = (STORED / "arms" / "cached" / "01" / "generator.csv").read_text("utf-8")


@fuzzed(60, changed(SUMMARY_JSON))
def a_summary_json_is_read_or_refused(document):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "summary.json")
        path.write_text(json.dumps(document), "utf-8")
        try:
            found = read_stored(path).summary
        except UsageError as error:
            assert str(path) in str(error)
            return
        assert run_text(found, 80, False)
        for name, one in found.arms.items():
            for figures, stored in zip(one.repetitions, document["arms"][name]["repetitions"], strict=True):
                assert figures.arrivals_count == stored.get("arrivals_count")


@st.composite
def changed_text(draw, text):
    at = draw(st.integers(0, len(text)))
    until = draw(st.integers(at, min(len(text), at + 30)))
    return (
        text[:at]
        + draw(st.sampled_from(["", ",", "\n", '"', "nan", "-1", "1e999", "x"]) | WORDS)
        + text[until:]
    )


@fuzzed(
    6,
    st.sampled_from(["run.json", "arms/cached/01/repetition.json", "arms/cached/01/samples.csv",
                     "arms/cached/01/generator.csv"]),
    st.data(),
)  # fmt: skip
def a_run_folder_is_reported_or_refused(name, data):
    document = {"run.json": RUN, "arms/cached/01/repetition.json": META}.get(name)
    text = CSV if "samples" in name else GENERATOR
    content = json.dumps(data.draw(changed(document))) if document else data.draw(changed_text(text))
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home, "run")
        folder.mkdir()
        shutil.copytree(STORED / "arms" / "cached" / "01", folder / "arms" / "cached" / "01")
        shutil.copy(STORED / "run.json", folder)
        (folder / name).write_text(content, "utf-8", errors="surrogatepass")
        try:
            found = summarise_run(RunFolder.open(folder))
        except LoadtestError as error:
            assert str(error)
            return
        assert run_text(found, 80, False)
        assert json.dumps(as_json(found), allow_nan=False)
        assert list(found.arms) == ["cached"]
