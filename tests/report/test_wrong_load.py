"""A load that was not the one that was asked for: nothing of the repetition counts, and why is said."""

from loadtest.report import budget, grammar
from loadtest.report.recompute import summarise_run
from loadtest.report.render.terminal import text
from loadtest.results.rows import ConnectionLife, Invocation

from .conftest import generator_second

WHOLE = {"start_s": 10.0, "deadline_s": 20.0, "ended_s": 21.0, "cut_off": False}
LOST = "worker 1 (on alpha) was lost before the end, and with it its clients"
ROWS = {
    "invocations": [
        Invocation(0, i, 0, 0, part, 10 + i / 10, 10 + i / 10, 10.02 + i / 10, error=error)
        for i in range(90)
        for part, error in (("a", ""), ("b", "1040 ER_CON_COUNT_ERROR"))
    ],
    "connections": [ConnectionLife(0, 0, 1, 10.0)],
    "generator": [generator_second(float(at)) for at in range(11, 21)],
}


def judged(summary):
    return budget.judge(grammar.parse("x.error_ratio <= 0.5"), summary, None)


def test_neither_its_times_nor_its_counts_are_figures(writer):
    writer.repetition("x", {**WHOLE, "wrong_load": [LOST]}, **ROWS)
    summary = summarise_run(writer.folder)
    (found,) = summary["arms"]["x"]["repetitions"]
    assert (found["valid"], found["reasons"]) == (False, [LOST])
    for figures in (found, found["parts"]["a"], found["parts"]["b"], summary["arms"]["x"]["median"]):
        assert figures["good_ratio"] is figures["error_ratio"] is figures["throughput_per_s"] is None
    assert found["arrivals_count"] is None
    assert f"x/01 is not valid: {LOST}" in summary["warnings"]
    assert judged(summary).state == budget.UNDECIDED
    assert LOST in " ".join(text(summary, width=200, color=False).split())


def test_the_other_repetitions_of_its_arm_count(writer):
    writer.repetition("x", {**WHOLE, "wrong_load": [LOST]}, **ROWS)
    writer.repetition("x", WHOLE, **ROWS)
    summary = summarise_run(writer.folder)
    assert summary["arms"]["x"]["median"]["error_ratio"] == 0.5
    assert judged(summary).state == budget.PASSED


def test_what_is_no_list_of_reasons_is_none(writer):
    writer.repetition("x", {**WHOLE, "wrong_load": "yes"}, **ROWS)
    assert summarise_run(writer.folder)["arms"]["x"]["repetitions"][0]["valid"] is True
