"""A load that was not the one that was asked for: nothing of the repetition counts, and why is said."""

from loadtest.report.budgets import grammar, judgement
from loadtest.report.render.terminal import run_text
from loadtest.report.run_summary import summarise_run
from loadtest.results.rows import ConnectionLife, Invocation

from .conftest import generator_second
from .summaries import summary_of

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


def judged(folder):
    return judgement.judge(grammar.parse("x.error_ratio <= 0.5"), summarise_run(folder), None)


def test_neither_its_times_nor_its_counts_are_figures(writer):
    writer.repetition("x", {**WHOLE, "wrong_load": [LOST]}, **ROWS)
    summary = summary_of(writer.folder)
    (found,) = summary["arms"]["x"]["repetitions"]
    assert (found["valid"], found["reasons"]) == (False, [LOST])
    for figures in (found, found["parts"]["a"], found["parts"]["b"], summary["arms"]["x"]["median"]):
        assert figures["good_ratio"] is figures["error_ratio"] is figures["throughput_per_s"] is None
    assert found["arrivals_count"] is None
    assert f"x/01 is not valid: {LOST}" in summary["warnings"]
    assert judged(writer.folder).state == judgement.UNDECIDED
    assert LOST in " ".join(run_text(summarise_run(writer.folder), width=200, color=False).split())


def test_the_other_repetitions_of_its_arm_count(writer):
    writer.repetition("x", {**WHOLE, "wrong_load": [LOST]}, **ROWS)
    writer.repetition("x", WHOLE, **ROWS)
    summary = summary_of(writer.folder)
    assert summary["arms"]["x"]["median"]["error_ratio"] == 0.5
    assert judged(writer.folder).state == judgement.PASSED


def test_what_is_no_list_of_reasons_is_none(writer):
    writer.repetition("x", {**WHOLE, "wrong_load": "yes"}, **ROWS)
    assert summary_of(writer.folder)["arms"]["x"]["repetitions"][0]["valid"] is True
