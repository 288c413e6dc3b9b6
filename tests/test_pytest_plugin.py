"""`loadtest_mysql` and `loadtest_fleet` in a team's own tests, as pytester runs them."""

import json
import re
import textwrap
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
REAL = Path(__file__).parent / "fleet" / "real" / "functions"
DOCS = Path(__file__).parent.parent / "docs" / "ci.md"

SHOP = """
from loadtest.manager import ConnectionManager

def make_handler(connect):
    db = ConnectionManager(library=connect)

    def handler(event, context):
        with db.invocation(context):
            return db.query("SELECT id, payload FROM loadtest_rows WHERE group_id = %s", (event["group"],))

    return handler

def hoarding(connect):
    connection = connect()

    def handler(event, context):
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    return handler

def handler(event, context):
    return "not a factory"
"""
# Not more: where other tests take the CPU, a cold burst sinks the manager.
LOAD = (
    'rate=100, duration="3s", work_ms=0, cold_start_ms=200, reap_probability=0.3, reruns=0, '
    'function_timeout="20s"'  # a busy machine may stand still
)


@pytest.fixture
def project(pytester, mariadb_target):
    """A project with a module of handlers, on the server of this session."""
    server = mariadb_target.functions
    pytester.makepyfile(shop=SHOP)
    pytester.makeini(f"[pytest]\nloadtest_server = {server.url()}\npythonpath = .\n")
    return pytester


def run(project, body, *, name="test_shop"):
    project.makepyfile(**{name: textwrap.dedent(body)})
    return project.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:xdist")


@pytest.mark.nightly
def test_a_handler_that_survives_passes(project):
    ran = run(
        project,
        f"""
        from shop import make_handler

        def test_survives(loadtest_fleet):
            seen = loadtest_fleet(make_handler, {LOAD})
            assert seen.error_ratio == 0
            assert seen.arrivals_count > 200
            assert 0 < seen.connections.peak_count <= 90
            assert "make_handler" in repr(seen)

        def test_a_real_function_survives_too(loadtest_fleet):
            few = {{"rate": 20, "duration": "1s", "work_ms": 0, "reruns": 0, "function_timeout": "20s"}}
            seen = loadtest_fleet("lambda:python:{REAL}/app.cached", **few)
            assert seen.error_ratio == 0
            assert seen.starts.count > 0
        """,
    )
    ran.assert_outcomes(passed=2)


@pytest.mark.nightly
def test_a_handler_that_hoards_fails_and_says_why(project):
    ran = run(
        project,
        f"""
        from shop import hoarding

        def test_survives(loadtest_fleet):
            assert loadtest_fleet(hoarding, {LOAD.replace("rate=100", "rate=200")}).error_ratio == 0
        """,
    )
    ran.assert_outcomes(failed=1)
    ran.stdout.fnmatch_lines(["*hoarding: * arrivals, *1040 ER_CON_COUNT_ERROR*"])


@pytest.mark.nightly
def test_a_handler_may_stand_in_the_test_file_itself(project):
    ran = run(
        project,
        f"{SHOP}\n\ndef test_it(loadtest_fleet):\n"
        f"    assert loadtest_fleet(make_handler, {LOAD}).error_ratio == 0\n",
    )
    ran.assert_outcomes(passed=1)


@pytest.mark.nightly
def test_strategies_by_name_and_scenarios_work_too(project):
    ran = run(
        project,
        """
        def test_it(loadtest_fleet):
            seen = loadtest_fleet("direct", scenario="quick", rate=50, duration="2s", repetitions=1)
            assert seen.good_ratio == 1
            assert seen.throughput_per_s > 10
        """,
    )
    ran.assert_outcomes(passed=1)


def test_the_server_can_be_used_directly(project):
    ran = run(
        project,
        """
        import pymysql

        def test_it(loadtest_mysql):
            with pymysql.connect(**loadtest_mysql.functions.connect_arguments()) as connection:
                with connection.cursor() as cursor:
                    cursor.execute("SELECT @@max_connections")
                    assert cursor.fetchone() == (loadtest_mysql.max_connections,)
        """,
    )
    ran.assert_outcomes(passed=1)


IMPOSSIBLE = [
    ("loadtest_fleet(shop.handler)", "handler has to take `connect` alone and return the handler"),
    ("loadtest_fleet(lambda connect: None)", "write it at the top of a module"),
    ("loadtest_fleet('managd')", "did you mean managed?"),
    ("loadtest_fleet('direct', rat=5)", "unknown option 'rat' (did you mean rate?)"),
    ("loadtest_fleet('direct', duration='soon')", "not a duration: 'soon'"),
    ("loadtest_fleet('direct', scenario='bursd')", "did you mean burst?"),
    (
        "loadtest_fleet('direct', rate=20, duration='1s', reruns=0).zombies.reclaim_p50_s",
        "reclaim_p50_s is not known",
    ),
]


def test_what_cannot_be_is_said_in_one_sentence(project):
    tests = [f"def test_{n}(loadtest_fleet):\n    {call}\n" for n, (call, _) in enumerate(IMPOSSIBLE)]
    ran = run(project, "import shop\n\n" + "\n".join(tests))
    ran.assert_outcomes(failed=len(IMPOSSIBLE))
    for call, said in IMPOSSIBLE:
        assert said in ran.stdout.str(), call
    assert "Traceback" not in ran.stdout.str()


def test_without_a_server_the_fixture_says_what_to_do(pytester):
    pytester.makeini("[pytest]\nloadtest_server = mysql://nobody@127.0.0.1:1/nowhere\n")
    ran = run(pytester, "def test_it(loadtest_mysql):\n    pass\n")
    ran.assert_outcomes(errors=1)
    assert "127.0.0.1:1" in ran.stdout.str()


def test_nothing_heavy_is_imported_for_tests_that_do_not_ask(pytester):
    ran = run(
        pytester,
        """
        import sys

        def test_it():
            assert not {"pandas", "pymysql", "locust", "docker"} & set(sys.modules)
        """,
    )
    ran.assert_outcomes(passed=1)


@pytest.mark.nightly
def test_workers_of_xdist_load_one_after_the_other(project):
    """On one given server at that, whose tables each of them drops at its end."""
    text = """
        import json
        from pathlib import Path

        def test_it(loadtest_fleet):
            seen = loadtest_fleet("direct", rate=50, duration="1s", work_ms=0, cold_start_ms=0, reruns=0)
            assert seen.error_ratio == 0
            (meta,) = seen.path.glob("arms/*/01/repetition.json")
            times, t0 = json.loads(meta.read_text()), json.loads((seen.path / "run.json").read_text())["t0"]
            Path(__file__).with_suffix(".json").write_text(json.dumps([t0, t0 + times["ended_s"]]))
    """
    names = ("test_one", "test_two")
    project.makepyfile(**dict.fromkeys(names, textwrap.dedent(text)))
    ran = project.runpytest_subprocess("-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile")
    ran.assert_outcomes(passed=2)
    spans = sorted(json.loads((project.path / f"{name}.json").read_text()) for name in names)
    assert spans[0][1] < spans[1][0]


def test_the_example_of_the_docs_passes(project):
    (block,) = re.findall(r"^```python\n(.*?)^```$", DOCS.read_text("utf-8"), re.M | re.S)
    run(project, block).assert_outcomes(passed=1)
