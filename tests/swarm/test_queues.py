"""Events that come to their functions by a queue, on real servers: a remedy, its limits, what it doubles."""

from collections import Counter

import pytest

from loadtest.report.run_summary import summarise_run
from loadtest.server import ledger, reset
from tests.swarm.locusts import run

FEW = {"rate": 60.0, "duration_s": 2.0, "reap_probability": 0.0, "function_timeout_s": 3.0}


def median(ran):
    (arm,) = summarise_run(ran.folder).arms.values()
    return arm.median


def test_as_many_connections_as_the_queue_makes_invocations_and_nobody_is_refused(target, tmp_path):
    ran = run(
        target, tmp_path / "r", "direct", invoke="queue", maximum_concurrency=2, batch_size=1, work_ms=60.0,
        **FEW,
    )  # fmt: skip
    assert ran.errors() == {""}
    found = median(ran)
    assert found.connections.peak_count <= 2
    assert found.queue.deliveries_count == found.arrivals_count
    assert (found.queue.retries_count, found.queue.duplicates_count, found.queue.dead_letters_count) == (
        0,
        0,
        0,
    )
    # Two at once with 60 ms of work each carry half of 60 a second, so that events have to wait.
    assert found.queue.waiting_peak_count > 10
    assert found.queue.oldest_peak_s > 0.3
    longest_s = max(row["finished_s"] - row["due_s"] for row in ran.invocations)
    assert longest_s > 0.3, "from the event's own time"


def test_without_that_limit_a_small_server_refuses_and_retries_bring_the_answer(target, tmp_path):
    ran = run(
        target, tmp_path / "r", "direct", invoke="async", retry_delay_s=0.5, work_ms=800.0,
        **{**FEW, "rate": 180.0, "duration_s": 1.0},
    )  # fmt: skip
    found = median(ran)
    assert found.connections.refused_count > 0
    assert found.queue.retries_count > 0
    attempts = Counter((row["client"], row["arrival"]) for row in ran.rows("attempts"))
    assert max(attempts.values()) <= 3
    tried = {(row["client"], row["arrival"]): row["error"] for row in ran.invocations}
    answered = [event for event, error in tried.items() if not error]
    assert any(attempts[event] > 1 for event in answered), "a retry that was answered"
    assert found.queue.dead_letters_count == sum(error not in ("", "unfinished") for error in tried.values())


@pytest.mark.parametrize("invoke", ["async", "queue"])
def test_what_comes_twice_is_written_twice_and_the_audit_says_so(mariadb_target, tmp_path, invoke):
    reset.reset(mariadb_target)
    ran = run(
        mariadb_target,
        tmp_path / "r",
        "managed",
        invoke=invoke,
        duplicate_ratio=0.2,
        workload="ledger",
        **FEW,
    )
    found = ledger.audit([mariadb_target.admin], ran.repetition)
    attempts = Counter((row["client"], row["arrival"]) for row in ran.rows("attempts"))
    assert found["acknowledged_count"] == len(ran.invocations)
    assert found["lost_count"] == found["unexpected_count"] == 0
    assert found["doubled_count"] == sum(count == 2 for count in attempts.values()) > 5
    assert median(ran).queue.duplicates_count == found["doubled_count"]


def test_a_real_function_gets_batches_and_names_what_it_has_not_done(mariadb_target, tmp_path):
    (tmp_path / "app.py").write_text(
        "import json\n"
        "seen = set()\n"
        "def handler(event, context):\n"
        "    ids = [json.loads(one['body'])['id'] for one in event['Records']]\n"
        "    new = [name for name in ids if name.endswith('/1') and name not in seen]\n"
        "    seen.update(new)\n"
        "    return {'batchItemFailures': [{'itemIdentifier': name} for name in new]}\n"
    )
    ran = run(
        mariadb_target, tmp_path / "r", f"shop=lambda:python:{tmp_path}/app.handler", invoke="queue",
        maximum_concurrency=1, batch_size=5, batch_window_s=0.5, rate=30.0, rate_per_user=3.0, duration_s=1.5,
        function_timeout_s=4.0, visibility_timeout_s=4.0, reap_probability=0.0,
    )  # fmt: skip
    assert ran.errors() == {""}
    again = {(row["client"], row["arrival"]) for row in ran.rows("attempts") if row["error"]}
    assert {error for row in ran.rows("attempts") if (error := row["error"])} == {"batchItemFailures"}
    assert again == {(row["client"], 1) for row in ran.invocations if row["arrival"] == 1}
    batches = Counter(row["invocation"] for row in ran.rows("attempts"))
    assert max(batches.values()) == 5
    assert median(ran).queue.retries_count == len(again)
