"""Real repetitions add up: their rows, the generator's own counts, and the counters of both servers.

By day each scenario runs on one of the servers with one of its strategies, its load cut to what a machine
carries that is busy with other tests; `make nightly` runs every strategy of each on both.
"""

import msgspec
import pyarrow.parquet as pq
import pytest

from loadtest.report.run_summary import summarise_run
from loadtest.settings.plan import Settings
from loadtest.settings.scenario import plan_with, scenario_names
from tests.swarm.locusts import run

SHORT = {"duration_s": 2.0, "ramp_s": 0.0, "shape": "", "deploy_at_s": 0.0, "function_timeout_s": 3.0}
RATE = 80.0


def cases():
    for number, name in enumerate(scenario_names()):
        for turn, strategy in enumerate(plan_with(name, {}).strategies):
            for server in ("mariadb", "mysql"):
                by_day = turn == number % len(plan_with(name, {}).strategies) and (
                    (server == "mysql") == bool(number % 2)
                )
                marks = () if by_day else pytest.mark.nightly
                yield pytest.param(name, strategy, server, marks=marks, id=f"{name}-{strategy}-{server}")


def short_form(name):
    """What makes the scenario what it is, at a load that lasts two seconds."""
    plan = plan_with(name, {})
    chosen = {f.name: getattr(plan, f.name) for f in msgspec.structs.fields(Settings)}
    short = {**SHORT, "rate": min(plan.rate, RATE)}
    if plan.rate < 1:  # a call now and then, of which two seconds would see none
        short |= {"rate": RATE, "rate_per_user": 1.0}
    if plan.deploy_at_s:
        short["deploy_at_s"] = 1.0
    if plan.shape:
        short["shape"] = "0:0.2,0.5:0.2,0.7:1,1.5:1,1.7:0.2"
    if plan.ramp_s:
        short["ramp_s"] = 1.0
    if plan.reap_probability > Settings().reap_probability:
        short["reap_probability"] = 0.3  # as many zombies in two seconds as it leaves in 30
    return {**chosen, **short}


def balances(ran):
    (arm,) = summarise_run(ran.folder).arms.values()
    return {one.name: one for one in arm.repetitions[0].reconciliation}


def assert_all_hold(ran):
    found = balances(ran)
    assert [one for one in found.values() if one.holds is not True] == []
    assert found["arrivals"].left == len(ran.invocations)
    return found


@pytest.mark.parametrize(("name", "strategy", "server"), list(cases()))
def test_a_scenario_reconciles(request, tmp_path, name, strategy, server):
    target = request.getfixturevalue(f"{server}_target")
    ran = run(target, tmp_path / "r", strategy, plan_with(name, {}).processes, **short_form(name))
    found = assert_all_hold(ran)
    assert found["statements"].right > 0
    assert found["connects"].right > 0


def test_a_collapse_reconciles_with_refusals_timeouts_and_kills(target, tmp_path):
    ran = run(
        target, tmp_path / "r", "classic:0.5+cached:0.5",
        rate=150.0, work_ms=1500.0, function_timeout_s=1.0, timeout_leaves="zombie", reap_probability=0.2,
    )  # fmt: skip
    found = assert_all_hold(ran)
    assert found["refusals"].right > 0
    assert found["aborted clients"].right > 0
    assert "timeout" in ran.errors()


def test_a_lease_that_expires_reconciles(target, tmp_path):
    ran = run(target, tmp_path / "r", "managed", rate=40.0, reap_probability=0.3, duration_s=4.0)
    assert_all_hold(ran)
    assert "expired" in {row["fate"] for row in ran.connections}


def test_the_closed_model_reconciles(mariadb_target, tmp_path):
    ran = run(
        mariadb_target, tmp_path / "r", "direct", model="closed", containers=10, think_time_ms=50.0,
    )  # fmt: skip
    assert_all_hold(ran)


def test_a_run_with_rows_removed_does_not_reconcile_and_says_which(mariadb_target, tmp_path):
    ran = run(mariadb_target, tmp_path / "r", "direct", rate=30.0)
    assert_all_hold(ran)
    for kind in ("invocations", "connections"):
        (file,) = ran.repetition.row_files(kind)
        pq.write_table(pq.read_table(file).slice(2), file)
    count = len(ran.invocations) + 2
    (text,) = [text for text in summarise_run(ran.folder).warnings if "reconcile" in text]
    assert text == (
        f"direct/01 does not reconcile: {count} arrivals, {count - 2} accounted for (2 missing); "
        f"{count} connections opened, {count - 2} accounted for (2 missing)"
    )


def test_a_connection_that_nobody_knew_of_is_seen_in_the_servers_counters(mariadb_target, tmp_path):
    home = tmp_path / "strategy.py"
    home.write_text(
        "import pymysql\n"
        "class Secret:\n"
        "    def __init__(self, connect): self.connect = connect\n"
        "    def invoke(self, work, context):\n"
        f"        pymysql.connect(**{mariadb_target.functions.connect_arguments()!r}).close()\n"
        "        self.connect().close()\n"
    )
    locustfile = tmp_path / "clients.py"
    locustfile.write_text(
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nfrom loadtest.swarm.users import *\n"
    )
    ran = run(mariadb_target, tmp_path / "r", "secret=strategy:Secret", 1, locustfile, rate=20.0)
    found = balances(ran)
    assert found["connects"].difference >= 0.9 * len(ran.invocations)
    assert [name for name, one in found.items() if one.holds is False] == ["connects", "statements"]
