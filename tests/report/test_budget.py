"""Budgets: what is understood, what is refused, what is decided."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.errors import UsageError
from loadtest.report.budgets.grammar import parse
from loadtest.report.budgets.judgement import MISSED, PASSED, UNDECIDED, judge
from loadtest.report.budgets.names import check
from loadtest.results.summary import figure_names

from .summaries import arm, summary

RUN = summary(
    {
        "managed": arm(1000, mean=30.0),
        "ideal": arm(1000, mean=20.0),
        "cached": arm(1000, {"1040 ER_CON_COUNT_ERROR": 500, "timeout": 100}, mean=10.0),
        "managed:0.5+cached:0.5": arm(1000),
    }
)


def state(text, run=RUN, baseline=None):
    return judge(parse(text), run, baseline).state


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("managed.error_ratio == 0", PASSED),
        ("cached.error_ratio == 0", MISSED),
        ("cached.error_ratio <= 60%", PASSED),
        ("cached.error_ratio < 60 %", MISSED),
        ("managed.latency_ms.p99 <= 1.5 * ideal.latency_ms.p99", PASSED),
        ("managed.latency_ms.p99 < 1.5 * ideal.latency_ms.p99", MISSED),
        ("managed.latency_ms.mean - ideal.latency_ms.mean <= 5 + 2 * 2.5", PASSED),
        ("(managed.latency_ms.mean + ideal.latency_ms.mean) / 2 > 24", PASSED),
        ("managed.latency_ms.mean / 2 / 3 == 5", PASSED),
        ("10 - 4 - 3 == 3", PASSED),
        ("2 + 3 * 4 == 14", PASSED),
        ("-managed.latency_ms.mean < -29", PASSED),
        ("- (2 - 3) != 2e0", PASSED),
        ("cached.errors.1040 <= 500", PASSED),
        ("cached.errors.ER_CON_COUNT_ERROR == 500", PASSED),
        ('cached.errors."1040 ER_CON_COUNT_ERROR" == 500', PASSED),
        ("cached.errors.timeout == 100", PASSED),
        ("cached.errors.1205 == 0", PASSED),
        ('"managed:0.5+cached:0.5".good_ratio >= .99', PASSED),
    ],
)
def test_a_budget_is_arithmetic_over_the_arms_medians(text, expected):
    assert state(text) == expected


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "at its end; expected a number or an arm's figure"),
        ("managed.error_ratio", "at its end; expected one of <= >="),
        ("managed.error_ratio = 0", "at '='"),
        ("managed.error_ratio == 0 and 1 == 1", "at 'and'"),
        ("managed == 0", "a field of managed, as in managed.error_ratio"),
        ("managed. == 0", "at '=='; expected a field"),
        ("(1 + 2 == 3", "at '=='; expected )"),
        ("1 < 2 < 3", "at '<'"),
        ("__import__('os') == 0", "'os')"),
        ("managed.error_ratio == 0; 1", "at ';'"),
        ("1 == " + "(" * 60 + "1" + ")" * 60, "at most 50 levels"),
        ("1 == " + "-" * 60 + "1", "at most 50 levels"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_place(text, where):
    with pytest.raises(UsageError, match="makes no sense") as refused:
        parse(text)
    assert where in str(refused.value)


def test_a_budget_without_end_is_refused():
    with pytest.raises(UsageError, match="at most 300"):
        parse("1 == " + "1 + " * 5000 + "1")


@given(st.text(alphabet='am.0123()+-*/<>=!% "e_', max_size=30))
def test_any_text_is_a_budget_or_refused(text):
    try:
        parsed = parse(text)
    except UsageError:
        return
    assert parsed.comparison in text


ARMS = ["managed", "ideal"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("managd.error_ratio == 0", "no arm is called 'managd' (did you mean managed?)"),
        ("managed.eror_ratio == 0", "no figure is called 'eror_ratio' (did you mean error_ratio?)"),
        ("managed.latency_ms.p98 == 0", "(did you mean latency_ms.p"),
        ("managed.latency_ms == 0", "no figure is called 'latency_ms'"),
        ("managed.valid == 1", "no figure is called 'valid'"),
        ("managed.parts.cashed.error_ratio == 0", "managed is a single strategy and has no parts"),
        ("managed.error_ratio <= baseline.managed.error_ratio", "needs a --baseline RUN"),
    ],
)
def test_unknown_names_are_refused_before_anything_runs(text, said):
    with pytest.raises(UsageError) as refused:
        check([parse(text)], ARMS, None)
    assert said in str(refused.value)


def test_every_figure_of_a_summary_can_be_asked_for():
    budgets = [parse(f"managed.{field} >= 0") for field in figure_names()]
    assert len(budgets) > 30
    check(budgets, ARMS, None)
    mixed = '"managed:0.5+cached:0.5".parts.cached'
    texts = [f"{mixed}.latency_ms.p99 >= 0", f"{mixed}.errors.1040 == 0", "managed.errors.1040 == 0"]
    check([parse(text) for text in texts], [*ARMS, "managed:0.5+cached:0.5"], None)
    named = "a=managed:0.5+b=cached:0.5"
    check([parse(f'"{named}".parts.b.latency_ms.p99 >= 0')], [named], None)
    check([parse("managed.error_ratio <= baseline.old.error_ratio")], ARMS, ["old"])


def test_against_a_baseline():
    before = summary({"managed": arm(1000, mean=28.0)})
    assert state("managed.latency_ms.mean <= 1.1 * baseline.managed.latency_ms.mean", RUN, before) == PASSED
    assert state("managed.latency_ms.mean <= 1.05 * baseline.managed.latency_ms.mean", RUN, before) == MISSED


@pytest.mark.parametrize(
    ("run", "text", "reason"),
    [
        ({"managed": arm(1000, valid=False)}, "managed.latency_ms.p99 < 99", "used 93% of a core"),
        (
            {"managed": arm(1000, disturbed=["p99"])},
            "managed.latency_ms.p99 < 99",
            "disturbed by the load generator",
        ),
        ({"managed": arm(0)}, "managed.error_ratio == 0", "nothing was counted in managed"),
        ({"managed": arm(0)}, "managed.errors.1040 == 0", "nothing was counted in managed"),
        ({"managed": arm(1000, valid=False)}, "managed.good_ratio > 0.9", "no repetition is valid for times"),
        ({"ideal": arm(1000)}, "managed.error_ratio == 0", "managed was not run"),
        ({"managed": arm(1000)}, "1 / managed.error_ratio < 5", "it divides by zero"),
    ],
)
def test_a_figure_that_carries_nothing_decides_nothing(run, text, reason):
    found = judge(parse(text), summary(run), None)
    assert found.state == UNDECIDED
    assert reason in found.reason


def test_a_figure_that_some_repetitions_disturbed_is_the_median_of_the_others():
    run = summary({"managed": arm(1000, mean=30.0)})
    other = arm(1000, mean=400.0, disturbed=["p99"]).repetitions
    run.arms["managed"].repetitions += other
    assert state("managed.latency_ms.p99 <= 30", run) == PASSED
    run.arms["managed"].repetitions += other
    assert state("managed.latency_ms.p99 <= 30", run) == UNDECIDED


def test_errors_count_also_where_no_repetition_is_valid_for_times():
    broken = summary({"managed": arm(1000, {"timeout": 5}, valid=False)})
    assert state("managed.error_ratio == 0", broken) == MISSED
    assert state("managed.errors.timeout <= 5", broken) == PASSED
