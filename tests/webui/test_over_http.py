"""The page without a browser: what it answers, whom it refuses, and what it never says."""

import csv
import io
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from loadtest.results.run_folder import RunFolder
from tests.waiting import wait_until

from .pages import FORM, page


@pytest.fixture(scope="module")
def opened(mariadb_target, tmp_path_factory):
    with page(mariadb_target, tmp_path_factory.mktemp("page")) as found:
        yield found


@pytest.fixture(scope="module")
def tested(opened):
    """After one test with ``cached`` and one with ``managed``."""
    assert opened.swarm(reap_probability="0.2")["success"]
    opened.ended(1)
    assert opened.swarm(strategy="managed")["success"]
    opened.ended(2)
    return opened


def test_the_page_has_our_tab_and_no_password(opened, mariadb_target):
    _, _, text = opened.get("/")
    assert b'"title": "Connections"' in text
    assert b"loadtest-panel" in text
    assert mariadb_target.functions.password.encode() not in text


def test_two_pages_that_are_opened_at_once_get_their_plots(opened):
    with ThreadPoolExecutor() as pool:
        got = list(pool.map(lambda _: opened.get("/loadtest/plots.json"), range(3)))
    assert [status for status, _, _ in got] == [200] * 3
    assert len({text for _, _, text in got}) == 1
    assert set(json.loads(got[0][2])["places"]) >= {"connections", "latency", "errors"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"work_ms": "fast"}, "work_ms cannot be 'fast'"),
        ({"work_ms": "-1"}, "work-ms cannot be -1.0"),
        ({"strategy": "os:system"}, "strategy cannot be 'os:system'"),
        ({"shape": "hill"}, "not a shape: 'hill'"),
        ({"duration": "soon"}, "not a duration: 'soon'"),
        ({"tls": "maybe"}, "tls cannot be 'maybe'"),
        ({"stop_timeout": "1"}, "unknown option 'stop_timeout'"),
    ],
)
def test_a_wrong_value_is_answered_with_the_reason_and_starts_nothing(opened, wrong, said):
    before = opened.live()
    answer = opened.swarm(**wrong)
    assert answer["success"] is False
    assert said in answer["message"]
    assert opened.live()["tests"] == before["tests"]
    assert opened.live()["state"] == before["state"]


@pytest.mark.parametrize("path", ["/", "/swarm", "/stop", "/loadtest/live", "/stats/requests"])
@pytest.mark.parametrize("headers", [{"Origin": "http://evil.example"}, {"Host": "evil.example"}])
def test_what_comes_from_another_site_is_refused(opened, path, headers):
    form = FORM if path in ("/swarm", "/stop") else None
    status, _, text = opened.get(path, form, **headers)
    assert status == 403
    assert text.count(b"\n") == 1, "the reason and nothing else"
    assert opened.live()["state"] not in ("spawning", "running")


def test_each_test_leaves_a_run_folder_that_the_other_commands_read(tested):
    names = [test["name"] for test in tested.live()["tests"]]
    assert [name.rsplit("-", 1)[1] for name in names] == ["cached", "managed"]
    for name, strategy in zip(names, ("cached", "managed"), strict=True):
        run = RunFolder.open(tested.folder / "results" / name)
        assert run.read_run()["settings"]["strategies"] == [strategy]
        assert run.read_run()["settings"]["rate"] == 60.0


def test_the_series_say_what_happened(tested):
    seen = tested.json("/loadtest/live?live=1")["live"]
    points = seen["points"]
    assert len(points["at_s"]) >= 2  # one a second, where the machine does not stand still
    assert max(filter(None, points["zombies_count"])) > 10
    assert max(filter(None, points["limit_count"])) == 90
    rows = tested.live()["tests"][0]
    assert 150 < rows["arrivals_count"] < 350
    assert max(filter(None, points["cold_starts_count"])) > 0
    known_ms = [ms for ms in points["p50_ms"] if ms is not None]
    assert min(known_ms) > 5
    assert min(known_ms) < 2000, "some second in which the machine did not stand still"


def test_the_report_of_a_test_is_downloaded(tested):
    status, headers, text = tested.get("/loadtest/tests/1/report")
    assert (status, headers.get_content_type()) == (200, "text/html")
    assert b"cached" in text


def test_the_rows_of_a_test_are_downloaded_as_csv_and_parquet(tested):
    status, headers, text = tested.get("/loadtest/tests/1/rows.csv")
    assert status == 200
    assert headers["Content-Disposition"].endswith('-cached.csv"')
    rows = list(csv.DictReader(io.StringIO(text.decode())))
    _, _, binary = tested.get("/loadtest/tests/1/rows.parquet")
    table = pq.read_table(pa.BufferReader(binary))
    assert len(table) == len(rows) > 100
    assert table.column("part").unique().to_pylist() == ["cached"]
    told = tested.live()["tests"][0]
    assert (told["arrivals_count"], told["errors_count"]) == (
        len(rows),
        sum(row["error"] != "" for row in rows),
    )


def test_locusts_own_downloads_have_ours_beside_them(tested):
    _, _, text = tested.get("/")
    for kind in ("report", "rows.csv", "rows.parquet"):
        assert f"./loadtest/tests/newest/{kind}".encode() in text
        assert tested.get(f"/loadtest/tests/newest/{kind}")[0] == 200


def test_two_tests_are_compared_in_full(tested):
    status, headers, text = tested.get("/loadtest/compare/1/2")
    assert (status, headers.get_content_type()) == (200, "text/html"), text
    assert b"cached" in text
    assert b"managed" in text


@pytest.mark.parametrize(
    "path",
    [
        "tests/3/report", "tests/0/report", "tests/-1/report", "tests/1/run.json", "tests/1/../../log",
        "tests/1/..%2f..%2flog", "tests/..%2f1/report", "assets/..%2fpage.py", "assets/../page.py",
        "assets/%2fetc%2fpasswd", "compare/1/9", "compare/x/1",
    ],
)  # fmt: skip
def test_nothing_but_tests_of_this_page_can_be_asked_for(tested, path):
    status, _, _ = tested.get(f"/loadtest/{path}")
    assert status == 404


def test_no_answer_holds_a_secret(tested, mariadb_target):
    secrets = {mariadb_target.functions.password, mariadb_target.admin.password}
    for path in (
        "/", "/stats/requests", "/tasks", "/logs", "/exceptions", "/loadtest/live?live=1",
        "/loadtest/fleet", "/loadtest/form.json", "/loadtest/plots.json", "/loadtest/tests/1/report",
    ):  # fmt: skip
        status, _, text = tested.get(path)
        assert status == 200, path
        assert not any(secret.encode() in text for secret in secrets), path


def test_locusts_own_tables_name_strategies_and_errors_by_code(tested):
    rows = tested.json("/stats/requests")
    assert "managed" in {row["name"] for row in rows["stats"]}
    assert {row["method"] for row in rows["stats"]} >= {"few-rows"}


@pytest.mark.usefixtures("tested")
def test_a_second_start_while_a_test_runs_is_refused_and_the_test_goes_on(opened):
    assert opened.swarm(strategy="direct", duration="60s")["success"]
    wait_until(lambda: opened.live()["tests"][-1]["running"], 40)
    again = opened.swarm(strategy="cached")
    assert again["success"] is False
    assert "a test is running" in again["message"]
    assert opened.get("/loadtest/tests/1/report")[0] == 409
    wait_until(lambda: len(opened.json("/loadtest/fleet")) > 0, 40)
    number, state, _, invocations, _ = opened.json("/loadtest/fleet")[0]
    assert number > 0
    assert state in range(4)
    assert invocations >= 0
    opened.get("/stop", {})
    state = opened.ended(len(opened.live()["tests"]))
    assert state["tests"][-1]["arm"] == "direct"


@pytest.mark.usefixtures("tested")
def test_a_run_time_of_one_test_is_not_that_of_the_next(opened):
    number = len(opened.live()["tests"])
    for run_time in ("2s", ""):
        assert opened.swarm(strategy="direct", duration="3s", run_time=run_time)["success"]
        number += 1
        opened.ended(number)
    run = RunFolder.open(opened.folder / "results" / opened.live()["tests"][-1]["name"])
    assert run.read_run()["settings"]["duration_s"] == 3.0


def test_a_port_that_is_taken_is_said_before_anything_starts(opened, tmp_path):
    port = opened.address.rsplit(":", 1)[1]
    done = subprocess.run(
        [sys.executable, "-m", "loadtest", "web", "--port", port, "--server", "local"], cwd=tmp_path,
        capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert done.stderr.count("\n") == 1
