"""The search for the capacity, without a server: which trial comes next, and what the trials say."""

import json
import math
import random
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.errors import UsageError
from loadtest.report.budgets.grammar import parse, parse_objective
from loadtest.report.budgets.judgement import judge
from loadtest.report.capacities.asked import Asked
from loadtest.report.capacities.axis import Axis
from loadtest.report.capacities.objective import tell
from loadtest.report.capacities.reading import Done, capacity_of
from loadtest.report.capacities.search import MOST, Kind, Range, Trial, Verdict, edge_of, next_trial
from loadtest.report.capacities.theory import little_per_s, mdc_per_s, wait_s
from loadtest.report.comparisons.compare import compare
from loadtest.report.comparisons.comparison import Rules, Side
from loadtest.report.render.capacity_table import sentence
from loadtest.results.summary import CapacityTrial
from tests.report.summaries import arm, summary

HELD, BROKEN, UNTOLD = Verdict
WITHIN = Range(50, 4000, 0.05)
OBJECTIVE = "error_ratio == 0 and latency_ms.p99 <= 100"


def searched(verdict_at, within=WITHIN, recovers=lambda _hardness: True, axis=None):
    """All trials of a search in which ``verdict_at`` says what becomes of each."""
    trials = []
    while (wanted := next_trial(trials, within)) is not None:
        hardness, kind = wanted
        hardness = hardness if axis is None else axis.hardness(axis.value(hardness))
        asked = recovers(hardness) if kind is Kind.RECOVERY else verdict_at(hardness)
        verdict = asked if isinstance(asked, Verdict) else HELD if asked else BROKEN
        trials.append(Trial(hardness, kind, verdict))
        assert len(trials) < 24
    return trials


@given(st.floats(50, 3990))
def test_it_finds_the_edge_to_the_precision_that_was_asked_for_in_a_dozen_trials(edge):
    trials = searched(lambda rate: rate <= edge)
    found = edge_of(trials, WITHIN.precision)
    assert found.held <= edge < found.broken <= found.held * (1 + WITHIN.precision) * 1.001
    assert found.interval[0] < edge < found.interval[1]
    assert found.is_told
    assert found.recovers
    assert found.again is None
    assert len(trials) <= MOST


@pytest.mark.parametrize(
    ("noise", "near", "enclosed"), [(0.01, 0.95, 0.98), (0.03, 0.9, 0.95), (0.06, 0.75, 0.85)]
)
def test_where_trials_near_the_edge_go_either_way_most_searches_come_within_a_tenth(noise, near, enclosed):
    """``noise``: at this distance from the edge 73% of the trials go the right way."""
    rng, count = random.Random(1), 400
    near_count = enclosed_count = 0
    for _ in range(count):
        edge = exp(rng.uniform(log(60), log(3900)))
        holds = lambda rate, edge=edge: rng.random() < 1 / (1 + (rate / edge) ** (1 / noise))  # noqa: E731
        trials = searched(holds)
        found = edge_of(trials, WITHIN.precision)
        low, high = found.interval
        near_count += found.held is not None and abs(found.held / edge - 1) <= 0.1
        enclosed_count += (low or 50) <= edge <= (high or 4000)
        assert len(trials) <= MOST
    assert near_count >= near * count
    assert enclosed_count >= enclosed * count


def test_one_that_fails_at_500_and_holds_at_1000_is_said_to():
    trials = searched(lambda rate: rate < 350 or rate > 700)
    found = edge_of(trials, WITHIN.precision)
    assert found.held < 350 <= found.broken
    assert found.again == 800
    assert len(trials) <= MOST


def test_one_that_holds_only_beyond_the_easiest_is_said_to():
    found = edge_of(searched(lambda rate: rate > 60), WITHIN.precision)
    assert (found.held, found.broken) == (None, 50)
    assert found.again == 200


def test_a_load_that_does_not_hold_again_after_an_overload_is_not_held():
    trials = searched(lambda rate: rate <= 1000, recovers=lambda rate: rate < 700)
    found = edge_of(trials, WITHIN.precision)
    assert found.held < 700 < found.broken
    assert found.recovers
    tried = searched(lambda rate: rate <= 1000, recovers=lambda _: False)
    never = edge_of(tried, WITHIN.precision)
    assert (never.held, never.recovers, never.is_told) == (None, False, True)
    assert tried[-1].hardness == 50, "down to the easiest"
    unknown = edge_of(
        searched(lambda rate: rate <= 1000, recovers=lambda rate: rate < 800 and UNTOLD), WITHIN.precision
    )
    assert (unknown.held, unknown.is_told) == (None, False)


def test_what_the_generator_cannot_do_is_no_edge_of_the_server():
    trials = searched(lambda rate: rate <= 1000 or UNTOLD)
    found = edge_of(trials, WITHIN.precision)
    assert 900 < found.held <= 1000
    assert not found.is_told
    assert found.interval[1] is None
    assert next_trial([Trial(50, Kind.RISE, UNTOLD)], WITHIN) == (50, Kind.CONFIRM), "once more"
    nothing = searched(lambda _: UNTOLD)
    assert [trial.hardness for trial in nothing] == [50, 50, 50]


def test_the_end_of_the_range_is_tried_twice():
    trials = searched(lambda _: True)
    at_end = [trial.kind for trial in trials if trial.hardness == 4000]
    assert at_end == [Kind.RISE, Kind.CONFIRM, Kind.RECOVERY]
    between = [trial.hardness for trial in trials if trial.kind is Kind.BETWEEN]
    assert between, "it may break on the way"
    assert edge_of(trials, WITHIN.precision).broken is None


@given(st.integers(5, 500))
def test_connections_are_whole_and_fewer_are_harder(needed):
    axis = Axis.between("max-connections", None, None)
    trials = searched(lambda hardness: axis.value(hardness) >= needed, axis.range(0.05), axis=axis)
    found = edge_of(trials, 0.05)
    held = axis.value(found.held)
    assert held >= needed
    if found.broken is not None:
        lower = axis.value(found.broken)
        assert lower < needed
        assert held - lower <= max(1, 0.05 * held)


# One trial


@pytest.mark.parametrize(
    ("arm_of", "verdict", "broken"),
    [
        (arm(1000), HELD, ()),
        (arm(1000, {"timeout": 1}), BROKEN, ("error_ratio",)),
        (arm(1000, mean=150.0), BROKEN, ("latency_ms.p99",)),
        (arm(1000, {"timeout": 1}, mean=150.0), BROKEN, ("error_ratio", "latency_ms.p99")),
        (arm(1000, disturbed=["p99"]), UNTOLD, ()),
        (arm(1000, valid=False), UNTOLD, ()),
        (arm(1000, {"timeout": 1}, valid=False), BROKEN, ("error_ratio",)),
    ],
)
def test_a_trial_holds_breaks_or_cannot_tell(arm_of, verdict, broken):
    told = tell(parse_objective(OBJECTIVE), "managed", summary({"managed": arm_of}))
    assert (told.verdict, told.broken) == (verdict, broken)
    assert bool(told.reason) == (verdict is UNTOLD)


def test_where_a_generator_process_is_the_limit_nothing_else_counts():
    of_arm = arm(1000, {"timeout": 500}, valid=False)
    of_arm.median.generator.cpu_ratio = 0.97
    told = tell(parse_objective(OBJECTIVE), "managed", summary({"managed": of_arm}))
    assert told.verdict is UNTOLD
    assert "97% of a core" in told.reason


@pytest.mark.parametrize("text", ["error_ratio", "error_ratio == 0 and", "", "error_ratio == 0 or x == 1"])
def test_an_objective_that_makes_no_sense_is_refused(text):
    with pytest.raises(UsageError):
        parse_objective(text)


# What is said


def capacity(held, broken, *, limited_by_time=False, vary="rate", recovers=True):
    """Of a search whose edge lies between ``held`` and ``broken``."""
    low, high = (held * 0.5, held * 4) if broken is None else (held * 0.5, max(broken, held) * 4)
    asked = Asked(vary, OBJECTIVE, low, high, 0.05, 900.0)
    axis = asked.axis

    def says(hardness):
        value = axis.value(hardness)
        return broken is None or (value <= held if not axis.is_reversed else value >= held)

    trials = searched(says, axis.range(0.05), lambda _: recovers, axis)[: 3 if limited_by_time else None]
    done = [
        Done(t.hardness, CapacityTrial(
            value=axis.value(t.hardness), kind=t.kind, verdict=t.verdict,
            broken=[] if t.verdict is HELD else ["latency_ms.p99"], figures=arm(1000).median,
        ))
        for t in trials
    ]  # fmt: skip
    return capacity_of(done, asked)


def test_the_answer_is_a_sentence():
    found = capacity(1180, 1240)
    text = sentence("managed", found)
    assert text.startswith("managed holds up to 1,1")
    assert text.endswith("; beyond it latency_ms.p99 breaks first.")
    assert sentence("managed", capacity(12, 11, vary="max-connections")).startswith(
        "managed holds down to 12 connections"
    )
    assert "may carry more" in sentence("managed", capacity(1000, None))
    assert "that is a bound" in sentence("managed", capacity(1000, 1100, limited_by_time=True))
    assert sentence("managed", capacity(1000, 1100, recovers=False)).startswith(
        "managed does not hold the objective again after an overload, not even at 500/s"
    )


def test_where_the_time_was_over_after_an_overload_nothing_is_claimed():
    found = capacity(1000, 1100, recovers=False)
    found.limited_by = "time"
    assert sentence("managed", found).startswith("What managed holds is not known: 500/s does not hold again")


def run_with(**found):
    made = summary({name: arm(1000) for name in found})
    made.capacity = found
    return made


@pytest.mark.parametrize(
    ("found", "budget", "state"),
    [
        (capacity(1000, 1050), "managed.capacity_per_s >= 800", "passed"),
        (capacity(1000, 1050), "managed.capacity_per_s >= 1200", "missed"),
        (capacity(1000, None), "managed.capacity_per_s >= 800", "passed"),
        (capacity(1000, None), "managed.capacity_per_s >= 9000", "undecided"),
        (capacity(1000, None), "managed.capacity_per_s <= 9000", "undecided"),
        (capacity(1000, 1050, limited_by_time=True), "managed.capacity_per_s >= 1040", "undecided"),
        (capacity(1000, 1050, recovers=False), "managed.capacity_per_s >= 10", "missed"),
    ],
)
def test_a_budget_may_ask_for_a_capacity(found, budget, state):
    assert judge(parse(budget), run_with(managed=found), None).state == state


def test_a_budget_on_a_rate_that_was_not_varied_is_undecided():
    found = capacity(12, 11, vary="max-connections")
    judged = judge(parse("managed.capacity_per_s >= 1"), run_with(managed=found), None)
    assert judged.state == "undecided"
    assert "varied max-connections" in judged.reason


def test_a_budget_on_the_capacity_of_a_run_that_looked_for_none_is_undecided():
    assert judge(parse("managed.capacity_per_s > 1"), summary({"managed": arm(9)}), None).state == "undecided"


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (capacity(1000, 1050), capacity(1500, 1560), "better"),
        (capacity(1500, 1560), capacity(1000, 1050), "worse"),
        (capacity(1000, 1050), capacity(1040, 1090), "~"),
        (capacity(1000, 1050), capacity(1500, None), "better"),
        (capacity(1000, None), capacity(1000, None), "none"),
        (capacity(1000, 1050), capacity(1000, 1050, recovers=False), "worse"),
        (capacity(40, 39, vary="max-connections"), capacity(20, 19, vary="max-connections"), "better"),
    ],
)
def test_two_searches_are_compared_by_the_intervals_of_their_edges(before, after, verdict):
    sides = (Side("base", run_with(managed=before)), Side("candidate", run_with(managed=after)))
    found = compare(*sides, Rules())
    compared = found.arms["managed"]["capacity"]
    assert compared.verdict == verdict
    if compared.interval and compared.ratio:
        assert compared.interval[0] <= compared.ratio <= compared.interval[1]


def test_an_arm_that_was_lost_and_objectives_that_differ_are_said():
    both = run_with(a=capacity(1000, 1050), b=capacity(1000, 1050))
    one = run_with(a=capacity(1000, 1050))
    one.scenario = {"strategies": ["a", "b"]}
    found = compare(Side("base", both), Side("candidate", one), Rules())
    assert found.lost == ("b",)
    assert "b is in base only" in found.warnings
    other = run_with(a=capacity(2000, 2100))
    other.capacity["a"].objective = "error_ratio == 0"
    found = compare(Side("base", one), Side("candidate", other), Rules())
    assert found.arms["a"]["capacity"].verdict == "none"
    assert any("objectives differ" in text for text in found.all_warnings())


@pytest.mark.parametrize("needed", [11, 16, 17, 90, 131, 149, 170, 177])
def test_no_number_of_connections_is_tried_again_but_to_confirm(needed):
    axis = Axis.between("max-connections", None, None)
    trials = searched(lambda hardness: axis.value(hardness) >= needed, axis.range(0.05), axis=axis)
    new = [axis.value(trial.hardness) for trial in trials if trial.kind in (Kind.BEYOND, Kind.BETWEEN)]
    assert len(new) == len(set(new))


def test_a_wide_range_and_a_fine_precision_have_the_trials_that_they_need():
    within = Range(1, 90_000, 0.02)
    found = edge_of(searched(lambda rate: rate <= 30_000, within), within.precision)
    assert found.held <= 30_000 < found.broken <= found.held * 1.021


def test_a_search_is_compared_with_a_search_of_the_same_kind_only():
    searched_one = Side("a", run_with(managed=capacity(1000, 1050)))
    with pytest.raises(UsageError, match="b is no search for the capacity"):
        compare(searched_one, Side("b", summary({"managed": arm(10)})), Rules())
    other = Side("b", run_with(managed=capacity(20, 19, vary="max-connections")))
    with pytest.raises(UsageError, match="did not vary the same"):
        compare(searched_one, other, Rules())


# Theory


def test_littles_law_and_waits_of_a_queue_with_fixed_times_of_service():
    assert little_per_s(88, 0.025) == pytest.approx(3520)
    assert wait_s(100.0, 1, 0.01, 0.99) == math.inf
    assert wait_s(10.0, 88, 0.025, 0.99) == 0.0
    assert 0 < mdc_per_s(88, 0.025, 0.1) < little_per_s(88, 0.025)
    assert mdc_per_s(88, 0.025, 0.02) == 0.0


@pytest.mark.parametrize(("servers_count", "load"), [(1, 0.5), (1, 0.8), (10, 0.9), (88, 0.97)])
def test_the_waits_are_those_of_a_simulated_queue(servers_count, load):
    rng, hold_s, count = random.Random(7), 0.025, 60_000
    rate = load * servers_count / hold_s
    free_at, now, waits = [0.0] * servers_count, 0.0, []
    for number in range(count):
        now += rng.expovariate(rate)
        server = number % servers_count  # with a fixed time of service they become free in turn
        waits.append(max(0.0, free_at[server] - now))
        free_at[server] = max(free_at[server], now) + hold_s
    simulated_s = sorted(waits[count // 10 :])[int(0.99 * 0.9 * count)]
    assert wait_s(rate, servers_count, hold_s, 0.99) == pytest.approx(
        simulated_s, rel=0.35, abs=0.15 * hold_s
    )


def test_what_a_search_found_can_be_written_as_json():
    import msgspec

    text = msgspec.json.encode(run_with(managed=capacity(1180, 1240)))
    assert json.loads(text)["capacity"]["managed"]["limited_by"] == "server"
