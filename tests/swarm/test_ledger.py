"""The audit of the workload ``ledger``, on strategies that lie about their writes in each way there is."""

from pathlib import Path

import pytest

from loadtest.report.run_summary import summarise_run
from loadtest.server import ledger, reset
from tests.swarm.locusts import run

FUNCTIONS = Path(__file__).parent.parent / "fleet" / "real" / "functions"
LIARS = """
import pymysql

class Liar:
    def __init__(self, connect):
        self.connect = connect
        self.count = 0

    def write(self, work):
        connection = self.connect()
        with connection.cursor() as cursor:
            cursor.execute("INSERT INTO loadtest_ledger (invocation, amount) VALUES (%s, 1)", (work.id,))
        connection.close()

class Loses(Liar):
    def invoke(self, work, context):
        self.connect().close()

class Doubles(Liar):
    def invoke(self, work, context):
        self.write(work)
        self.write(work)

class Denies(Liar):
    def invoke(self, work, context):
        self.write(work)
        raise pymysql.OperationalError(1213, "Deadlock found")

class Forgets(Liar):
    def invoke(self, work, context):
        if work.group % 2:
            self.write(work)
        raise pymysql.OperationalError(2013, "Lost connection")
"""
NONE = {
    "acknowledged_count": 0, "lost_count": 0, "doubled_count": 0, "unknown_count": 0,
    "unknown_written_count": 0, "unexpected_count": 0,
}  # fmt: skip


@pytest.fixture
def audited(mariadb_target, tmp_path):
    """Runs a liar; the number of arrivals, what the audit found, and the warnings of the report."""
    (tmp_path / "liars.py").write_text(LIARS)
    locustfile = tmp_path / "clients.py"
    locustfile.write_text(
        f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nfrom loadtest.swarm.users import *\n"
    )

    def audit(name):
        reset.reset(mariadb_target)
        ran = run(
            mariadb_target, tmp_path / name, f"x=liars:{name}", 1, locustfile,
            workload="ledger", rate=15.0, duration_s=1.5, cold_start_ms=0.0, function_timeout_s=15.0,
        )  # fmt: skip
        found = ledger.audit([mariadb_target.admin], ran.repetition)
        ran.repetition.write_meta(ledger=found)
        return len(ran.invocations), found, summarise_run(ran.folder).warnings

    return audit


def test_who_says_done_and_has_not_written_has_lost_it(audited):
    count, found, warnings = audited("Loses")
    assert found == {**NONE, "acknowledged_count": count, "lost_count": count}
    assert f"x/01: of {count} acknowledged writes, {count} were lost and 0 doubled" in warnings


def test_who_writes_twice_has_doubled_it(audited):
    count, found, warnings = audited("Doubles")
    assert found == {**NONE, "acknowledged_count": count, "doubled_count": count}
    assert f"x/01: of {count} acknowledged writes, 0 were lost and {count} doubled" in warnings


def test_who_writes_and_says_that_it_failed_for_certain_is_found_out(audited):
    count, found, warnings = audited("Denies")
    assert found == {**NONE, "unexpected_count": count}
    assert f"x/01: writes that had failed for certain are there: {count}" in warnings


def test_of_what_nobody_could_know_the_written_ones_are_counted(audited):
    count, found, warnings = audited("Forgets")
    assert found["unknown_count"] == count
    assert 0 < found["unknown_written_count"] < count
    assert not any("writes" in text for text in warnings)


@pytest.mark.parametrize(("function", "lost_ratio"), [("writes", 0), ("direct", 1)])
def test_a_real_function_that_inserts_the_id_of_its_event_is_audited(
    mariadb_target, tmp_path, function, lost_ratio
):
    reset.reset(mariadb_target)
    ran = run(
        mariadb_target, tmp_path / "r", f"x=lambda:python:{FUNCTIONS}/app.{function}",
        workload="ledger", rate=5.0, duration_s=1.5, function_timeout_s=15.0,
    )  # fmt: skip
    found = ledger.audit([mariadb_target.admin], ran.repetition)
    count = len(ran.invocations)
    assert found == {**NONE, "acknowledged_count": count, "lost_count": count * lost_ratio}
    ran.repetition.write_meta(ledger=found)
    warnings = summarise_run(ran.folder).warnings
    assert any("has to insert its event's id into loadtest_ledger" in text for text in warnings) == lost_ratio


@pytest.mark.parametrize(
    "error",
    ["throttled", "1040 ER_CON_COUNT_ERROR", "1213 ER_LOCK_DEADLOCK", "1290 x", "2003 CR_CONN_HOST_ERROR"],
)
def test_after_these_nothing_can_have_been_written(error):
    assert ledger.is_certain(error)


@pytest.mark.parametrize(
    "error",
    [
        "timeout",
        "unfinished",
        "InterfaceError",
        "2006 CR_SERVER_GONE_ERROR",
        "2013 CR_SERVER_LOST",
        "1317 x",
        "1053 x",
    ],
)
def test_after_these_nobody_can_tell(error):
    assert not ledger.is_certain(error)
