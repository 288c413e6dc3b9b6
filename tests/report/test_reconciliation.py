"""Whether a repetition adds up, by tables; tests/swarm/test_reconciles.py has real ones."""

import pytest

from loadtest.report.reconciliation import reconcile, said
from loadtest.report.render.markdown import run_markdown
from loadtest.report.render.terminal import run_text
from loadtest.report.run_summary import summarise_run
from loadtest.results.rows import ConnectionLife, Invocation, Sample

from .conftest import frames_of, generator_second
from .summaries import summary_of

META = {"start_s": 10.0, "deadline_s": 12.0, "ended_s": 13.0, "cut_off": False, "workers_count": 1}
NAMES = ["arrivals", "connections", "connects", "refusals", "aborted clients", "statements"]
INVOCATIONS = [
    Invocation(0, number, 0, 1, "x", 10 + number / 10, 10.5, finished_s, error=error)
    for number, (finished_s, error) in enumerate(
        [(11.0, ""), (11.0, ""), (11.0, "timeout"), (float("nan"), "throttled"), (12.9, "unfinished")]
    )
]
CONNECTIONS = [
    ConnectionLife(0, 1, 1, 10.1, 10.2, "closed", gone_s=10.2),
    ConnectionLife(0, 1, 2, 10.1, 10.2, "lost", gone_s=10.2),
    ConnectionLife(0, 1, 3, 10.1, gone_s=10.9, fate="expired"),
    ConnectionLife(0, 1, 4, 10.1, gone_s=10.9, fate="killed", killed_by=2),
    ConnectionLife(0, 2, 5, 10.1, fate="zombie", reaped_s=11.0),
    ConnectionLife(0, 3, 6, 10.1),
]
# 10 connects: 6 became connections, one of which said goodbye, and 3 were refused; one ended otherwise
COUNTS = {
    "due_count": 5, "connects_count": 10, "opened_count": 6, "refused_count": 3, "quits_count": 1,
    "statements_count": 40,
}  # fmt: skip
BEFORE = Sample(9.0, 0, 0, 0, None, 7, 20, 1000, 90, opened_count=50, uptime_s=3)
AFTER = Sample(13.5, 0, 0, 0, None, 7 + 3, 20 + 5, 1000 + 41, 90, opened_count=50 + 6, uptime_s=8)


def balances(is_shared=False, **changes):
    tables = {
        "invocations": INVOCATIONS,
        "connections": CONNECTIONS,
        "samples": [BEFORE, AFTER],
        "generator": [generator_second(11.0), generator_second(13.0, **COUNTS)],
        **changes,
    }
    meta = {**META, **tables.pop("meta", {})}
    return {one.name: one for one in reconcile(frames_of(meta, **tables), is_shared=is_shared)}


def verdicts(**changes):
    return [one.holds for one in balances(**changes).values()]


def reasons(**changes):
    return {name: one.reason for name, one in balances(**changes).items() if one.holds is None}


def counted(**changes):
    return [generator_second(11.0), generator_second(13.0, **{**COUNTS, **changes})]


def test_a_whole_repetition_adds_up():
    found = balances()
    assert list(found) == NAMES
    assert [(one.left, one.right, one.difference) for one in found.values()] == [
        (5, 5, 0), (6, 6, 0), (6, 6, 0), (3, 3, 0), (5, 5, 0), (41, 41, 0),
    ]  # fmt: skip
    # One connect ended otherwise; of two connections the last answer may be missing.
    assert [one.tolerance for one in found.values()] == [0, 0, 1, 1, 0, 2]
    assert verdicts() == [True] * 6


@pytest.mark.parametrize(
    ("changes", "name", "text"),
    [
        (
            {"invocations": INVOCATIONS[1:]},
            "arrivals",
            "5 arrivals, 4 accounted for (1 missing)",
        ),
        (
            {"invocations": [*INVOCATIONS, *INVOCATIONS[:2]]},
            "arrivals",
            "5 arrivals, 7 accounted for (2 more)",
        ),
        (
            {"connections": CONNECTIONS[1:]},
            "connections",
            "6 connections opened, 5 accounted for (1 missing)",
        ),
        (  # that has closed at no time
            {"connections": [CONNECTIONS[0]._replace(closed_s=float("nan")), *CONNECTIONS[1:]]},
            "connections",
            "6 connections opened, 5 accounted for (1 missing)",
        ),
        (
            {"samples": [BEFORE, AFTER._replace(opened_count=1056)]},
            "connects",
            "6 connections opened, 1,006 by the server (1,000 more)",
        ),
        (
            {"samples": [BEFORE, AFTER._replace(refused_count=8)]},
            "refusals",
            "3 connects refused, 1 by the server (2 missing)",
        ),
        (
            {"samples": [BEFORE, AFTER._replace(aborted_clients_count=24)]},
            "aborted clients",
            "5 connections ended without a goodbye, 4 by the server (1 missing)",
        ),
        (
            {"samples": [BEFORE, AFTER._replace(questions_count=1038)]},
            "statements",
            "41 statements sent, 38 by the server (3 missing)",
        ),
    ],
)
def test_what_does_not_add_up_is_named_with_the_difference(changes, name, text):
    wrong = [one for one in balances(**changes).values() if one.holds is False]
    assert [one.name for one in wrong] == [name]
    assert said(wrong[0]) == text


def test_a_connect_that_ended_otherwise_is_a_login_or_a_refusal_to_the_server_but_not_both():
    login = AFTER._replace(opened_count=57, aborted_clients_count=26)
    assert verdicts(samples=[BEFORE, login]) == [True] * 6
    assert verdicts(samples=[BEFORE, AFTER._replace(refused_count=11)]) == [True] * 6
    found = balances(samples=[BEFORE, login._replace(refused_count=11)])
    assert [one.name for one in found.values() if one.holds is False] == ["refusals"]


def test_a_connection_that_is_still_there_has_not_been_aborted_yet():
    assert verdicts(samples=[BEFORE, AFTER._replace(connections_count=2, aborted_clients_count=23)]) == (
        [True] * 6
    )


def test_a_sample_that_failed_may_have_been_a_connect_and_statements_of_the_monitors():
    failed = Sample(11.0, error="2013 CR_SERVER_LOST")
    more = AFTER._replace(aborted_clients_count=26, questions_count=1041 + 9, opened_count=57)
    assert verdicts(samples=[BEFORE, failed, more]) == [True] * 6


def test_what_the_workers_count_is_added_up():
    rows = [generator_second(13.0, 0, **{**COUNTS, "due_count": 2}), generator_second(12.9, 1, **COUNTS)]
    nothing = dict.fromkeys(COUNTS, 0)
    rows[1] = generator_second(12.9, 1, **{**nothing, "due_count": 3})
    assert verdicts(generator=rows, meta={"workers_count": 2}) == [True] * 6
    why = reasons(generator=rows[:1], meta={"workers_count": 2})
    assert why == dict.fromkeys(NAMES, "the figures of a worker are missing")


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        ({"cut_off": True}, "it was cut off before its end"),
        ({"ended_s": None}, "it was cut off before its end"),
        ({"wrong_load": ["a worker was lost"]}, "its load was not what was asked for"),
    ],
)
def test_half_a_repetition_is_not_judged(meta, reason):
    assert reasons(meta=meta) == dict.fromkeys(NAMES, reason)


def test_what_an_older_version_did_not_count_is_unknown():
    why = reasons(generator=[generator_second(13.0)], samples=[BEFORE, AFTER])
    assert why == dict.fromkeys(NAMES, "the version that made this run did not count them")
    why = reasons(samples=[sample._replace(opened_count=None) for sample in (BEFORE, AFTER)])
    assert why == {"connects": "the version that made this run did not count them"}


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        ([], "did not see"),
        ([BEFORE], "did not see"),
        ([BEFORE._replace(at_s=10.15), AFTER], "did not see"),
        ([BEFORE, AFTER._replace(at_s=12.9)], "did not see"),
        ([BEFORE, AFTER._replace(at_s=12.0, uptime_s=1), AFTER], "restarted"),
        ([BEFORE, AFTER._replace(at_s=60.0, uptime_s=40)], "restarted"),
        (  # an older version's
            [BEFORE._replace(uptime_s=None), AFTER._replace(questions_count=3, uptime_s=None)],
            "restarted",
        ),
    ],
)
def test_without_the_server_before_and_after_its_counters_tell_nothing(samples, reason):
    why = reasons(samples=samples)
    assert list(why) == NAMES[2:]
    assert all(reason in text for text in why.values())


def test_a_server_that_forgets_the_ending_for_a_moment_was_not_restarted():
    ending = AFTER._replace(at_s=13.2, questions_count=980)
    assert verdicts(samples=[BEFORE, AFTER._replace(at_s=13.1), ending, AFTER]) == [True] * 6


def test_encrypted_statements_and_several_in_one_are_unknown():
    unknown = "what its functions send cannot be read"
    assert reasons(generator=counted(statements_count=None)) == {"statements": unknown}
    opaque = counted(statements_count=None, quits_count=None, refused_count=None)
    assert reasons(generator=opaque) == dict.fromkeys(NAMES[2:], unknown)


def test_on_a_server_that_others_use_a_difference_from_its_counters_says_nothing():
    busy = AFTER._replace(opened_count=99, questions_count=5000)
    why = reasons(is_shared=True, samples=[BEFORE, busy])
    assert why == dict.fromkeys(("connects", "statements"), "others may use this server")
    assert verdicts(is_shared=True, invocations=[])[0] is False


def test_a_difference_is_a_warning_in_every_report_and_leaves_the_repetition_valid(writer):
    rows = [Invocation(0, i, 0, 1, "x", 10 + i / 99, 10 + i / 99, 10.02 + i / 99) for i in range(50)]
    seconds = [generator_second(float(at), due_count=at * 3, opened_count=1) for at in range(11, 22)]
    meta = {**META, "deadline_s": 20.0, "ended_s": 22.0}
    writer.repetition(
        "x", meta, generator=seconds, invocations=rows, connections=[ConnectionLife(0, 1, 1, 10.0)]
    )
    summary = summarise_run(writer.folder)
    text = "x/01 does not reconcile: 63 arrivals, 50 accounted for (13 missing)"
    assert text in summary.warnings
    assert text in run_markdown(summary, [])
    assert text in " ".join(run_text(summary, width=200, color=False).split())
    assert summary.arms["x"].repetitions[0].valid
    assert "reconciliation" not in summary_of(writer.folder)["arms"]["x"]["median"]
