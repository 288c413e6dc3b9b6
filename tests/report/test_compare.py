"""What two summaries say of each other."""

import msgspec
import pytest

from loadtest.errors import UsageError
from loadtest.report.comparisons.compare import compare
from loadtest.report.comparisons.comparison import Rules, Side
from loadtest.report.comparisons.measures import MEASURES
from loadtest.results.summary import Arm, ArmFigures, Summary

STATISTICS = ("mean", "p50", "p90", "p95", "p99")


def repetition(ms=25.0, errors_ratio=0.0, *, valid=True, disturbed=(), arrivals=15_000):
    return {
        "valid": valid,
        "arrivals_count": arrivals,
        "good_ratio": 1 - errors_ratio,
        "error_ratio": errors_ratio,
        "latency_ms": {**dict.fromkeys(STATISTICS, ms), "disturbed": list(disturbed)},
    }


def side(name, /, more=(), **arms):
    found = {}
    for arm, values in arms.items():
        repetitions = [r if isinstance(r, dict) else repetition(r) for r in values]
        found[arm] = Arm(msgspec.convert(repetitions, list[ArmFigures]), ArmFigures(valid=True))
    return Side(name, Summary(arms=found, **dict(more)))


def verdicts(comparison, arm="managed"):
    return {name: c.verdict for name, c in comparison.arms[arm].items()}


QUIET, SLOWER = (25.0, 25.1, 24.9, 25.0, 25.05), (30.0, 30.2, 29.8, 30.1, 30.0)


def test_a_run_that_is_clearly_slower_is_worse_and_the_other_way_round_better():
    worse = compare(side("a", managed=QUIET), side("b", managed=SLOWER), Rules())
    assert verdicts(worse)["latency_ms.mean"] == worse.verdict == "worse"
    better = compare(side("a", managed=SLOWER), side("b", managed=QUIET), Rules())
    assert verdicts(better)["latency_ms.mean"] == better.verdict == "better"
    mean, inverse = worse.arms["managed"]["latency_ms.mean"], better.arms["managed"]["latency_ms.mean"]
    assert mean.ratio == pytest.approx(mean.candidate / mean.base) == pytest.approx(1 / inverse.ratio)
    assert mean.interval == pytest.approx((1 / inverse.interval[1], 1 / inverse.interval[0]))
    assert 1.15 < mean.interval[0] < mean.ratio < mean.interval[1] < 1.25


def test_a_run_against_itself_has_changed_in_nothing():
    same = compare(side("a", managed=QUIET), side("a", managed=QUIET), Rules())
    assert set(verdicts(same).values()) == {"~"}
    assert all(c.ratio == 1 for c in same.arms["managed"].values() if c.measure.is_time)


def test_a_change_below_what_matters_gets_no_verdict_however_sure_it_is():
    tiny = [value * 1.02 for value in QUIET]
    found = compare(side("a", managed=QUIET), side("b", managed=tiny), Rules()).arms["managed"][
        "latency_ms.p50"
    ]
    assert (found.verdict, found.is_small, found.needed_repetitions) == ("~", True, None)
    strict = Rules(threshold=0.01)
    assert (
        verdicts(compare(side("a", managed=QUIET), side("b", managed=tiny), strict))["latency_ms.p50"]
        == "worse"
    )


def test_noise_says_how_many_repetitions_would_tell():
    found = compare(side("a", managed=(20, 25, 30)), side("b", managed=(22, 28, 34)), Rules())
    mean = found.arms["managed"]["latency_ms.mean"]
    assert mean.verdict == "~"
    assert mean.needed_repetitions > 3
    assert mean.n == (3, 3)


def test_one_repetition_a_side_gives_figures_and_no_verdict():
    found = compare(side("a", managed=[25]), side("b", managed=[50]), Rules())
    mean = found.arms["managed"]["latency_ms.mean"]
    assert (mean.verdict, mean.ratio, mean.interval, mean.n) == ("none", pytest.approx(2), None, (1, 1))
    assert found.verdict == "none"


def test_no_error_against_no_error_has_a_bound_and_no_division():
    found = compare(side("a", managed=QUIET), side("b", managed=QUIET), Rules()).arms["managed"][
        "error_ratio"
    ]
    assert (found.base, found.candidate, found.ratio, found.difference) == (0, 0, None, 0)
    assert found.interval == pytest.approx((-9.8e-5, 9.8e-5), rel=0.01)  # 0 of 75,000 on both sides
    assert (found.verdict, found.is_small) == ("~", True)


def test_errors_that_appear_are_worse():
    failing = [repetition(errors_ratio=r) for r in (0.03, 0.032, 0.028, 0.03, 0.031)]
    found = compare(side("a", managed=QUIET), side("b", managed=failing), Rules())
    assert verdicts(found)["error_ratio"] == verdicts(found)["good_ratio"] == "worse"
    assert found.arms["managed"]["error_ratio"].difference == pytest.approx(0.0302)
    assert found.arms["managed"]["error_ratio"].ratio is None


def test_few_arrivals_without_an_error_prove_little():
    few = [repetition(arrivals=20) for _ in range(3)]
    found = compare(side("a", managed=few), side("b", managed=few), Rules()).arms["managed"]["error_ratio"]
    assert found.interval[1] > 0.05
    assert (found.verdict, found.is_small) == ("~", False)


def test_what_is_not_valid_is_left_out_of_times_and_said():
    base = [*QUIET[:3], repetition(90.0, valid=False), repetition(95.0, valid=False)]
    found = compare(side("a", managed=base), side("b", managed=QUIET), Rules()).arms["managed"]
    assert found["latency_ms.mean"].n == (3, 5)
    assert found["latency_ms.mean"].base == pytest.approx(25.0, rel=0.01)
    assert found["latency_ms.mean"].warnings == (
        "a, managed: 2 of 5 repetitions are not valid for times, and are left out",
    )
    assert found["error_ratio"].warnings == ()
    assert found["error_ratio"].n == (5, 5)  # errors do not depend on how well the generator kept time


def test_where_no_repetition_is_valid_errors_still_count_and_times_do_not():
    broken = [repetition(90.0, 0.5, valid=False) for _ in range(3)]
    found = compare(side("a", managed=broken), side("b", managed=QUIET), Rules()).arms["managed"]
    assert (found["error_ratio"].verdict, found["error_ratio"].base) == ("better", 0.5)
    assert (found["latency_ms.mean"].verdict, found["latency_ms.mean"].base) == ("none", None)
    assert found["good_ratio"].verdict == "none"


def test_a_disturbed_statistic_is_left_out_and_carries_nothing_where_most_are():
    some = [*QUIET[:4], repetition(400.0, disturbed=["p99"])]
    most = [*QUIET[:2], *(repetition(400.0, disturbed=["p99"]) for _ in range(3))]
    found = compare(side("a", managed=some), side("b", managed=QUIET), Rules()).arms["managed"]
    assert (found["latency_ms.p99"].n, found["latency_ms.p99"].verdict) == ((4, 5), "~")
    assert found["latency_ms.p50"].n == (5, 5)
    found = compare(side("a", managed=most), side("b", managed=QUIET), Rules()).arms["managed"]
    assert found["latency_ms.p99"].verdict == "none"
    assert "no verdict" in found["latency_ms.p99"].warnings[0]


def test_gating_measures_are_corrected_together():
    """What is told alone is not, where it is one of the gating measures of ten arms."""
    slower = [27.2, 29.6, 28.2, 31.0, 29.6]
    names = [f"arm{i}" for i in range(10)]
    alone = compare(side("a", arm0=QUIET), side("b", arm0=slower), Rules())
    many = compare(
        side("a", **dict.fromkeys(names, QUIET)),
        side("b", **dict.fromkeys(names[1:], QUIET), arm0=slower),
        Rules(),
    )
    p99, mean = (many.arms["arm0"][name] for name in ("latency_ms.p99", "latency_ms.mean"))
    assert verdicts(alone, "arm0")["latency_ms.mean"] == "worse"
    assert mean.verdict == "~"
    assert mean.interval == alone.arms["arm0"]["latency_ms.mean"].interval
    assert mean.needed_repetitions > 5
    assert p99.verdict == "worse"  # does not gate, so is not corrected


def test_an_arm_that_only_one_run_has_is_said():
    asked = {"scenario": {"strategies": ["managed", "ideal"]}}
    base = side("a", managed=QUIET, ideal=QUIET)
    lost = compare(base, side("b", asked.items(), ideal=QUIET), Rules())
    assert lost.warnings == ("managed is in a only",)
    assert lost.lost == ("managed",)
    assert compare(base, side("b", ideal=QUIET), Rules()).lost == ()  # nobody asked for it


def test_few_errors_of_few_arrivals_are_no_certainty_however_equal_they_are():
    base = [repetition(errors_ratio=0.01, arrivals=100) for _ in range(2)]
    candidate = [repetition(errors_ratio=0.02, arrivals=100) for _ in range(2)]
    found = compare(side("a", managed=base), side("b", managed=candidate), Rules())
    errors = found.arms["managed"]["error_ratio"]
    assert errors.verdict == "~"
    assert errors.interval[0] < 0 < errors.interval[1]


def test_within_one_run_the_reference_cancels_out_with_all_its_noise():
    run = side("a", cached=SLOWER, managed=QUIET, ideal=(10.0, 30.0, 15.0, 28.0, 12.0))
    plain = compare(run, run, Rules(), [("cached", "managed")]).arms["cached:managed"]["latency_ms.mean"]
    by_ideal = compare(run, run, Rules(reference="ideal"), [("cached", "managed")])
    found = by_ideal.arms["cached:managed"]["latency_ms.mean"]
    assert (found.verdict, found.interval) == ("better", pytest.approx(plain.interval))


def test_two_arms_of_one_run_are_compared_across():
    run = side("a", cached=SLOWER, managed=QUIET)
    found = compare(run, run, Rules(), [("cached", "managed")])
    assert list(found.arms) == ["cached:managed"]
    assert found.verdict == "better"
    assert found.warnings == ()


def test_runs_with_nothing_in_common_are_refused():
    with pytest.raises(UsageError, match=r"no arm in common: a has cached; b has managed"):
        compare(side("a", cached=QUIET), side("b", managed=QUIET), Rules())


def test_normalised_by_ideal_a_slower_hour_is_no_regression():
    base = side("a", managed=QUIET, ideal=[v * 0.9 for v in QUIET])
    slower_machine = side("b", managed=[v * 1.4 for v in QUIET], ideal=[v * 1.26 for v in QUIET])
    assert compare(base, slower_machine, Rules()).verdict == "worse"
    found = compare(base, slower_machine, Rules(reference="ideal"))
    assert list(found.arms) == ["managed"]
    mean = found.arms["managed"]["latency_ms.mean"]
    assert (mean.base, mean.candidate, mean.verdict) == (pytest.approx(1 / 0.9), pytest.approx(1 / 0.9), "~")
    slower_code = side("b", managed=[v * 1.6 for v in QUIET], ideal=[v * 1.26 for v in QUIET])
    assert compare(base, slower_code, Rules(reference="ideal")).verdict == "worse"
    with pytest.raises(UsageError, match="b has no ideal to normalise by"):
        compare(base, side("b", managed=QUIET), Rules(reference="ideal"))


SAME = {
    "scenario": {"scenario": "burst", "rate": 500.0, "seed": 1, "slo_ms": 1000.0, "repetitions": 5},
    "server": {"version": "9.7.0", "flavour": "mysql", "path": "host", "max_connections": 90},
    "environment": {
        "host": "one",
        "cpus_count": 2,
        "versions": {"connection-pressure": "0.1", "PyMySQL": "1.2"},
    },
}


@pytest.mark.parametrize(
    ("where", "name", "other", "said"),
    [
        ("scenario", "scenario", "ramp", "scenario differs: burst and ramp"),
        ("scenario", "rate", 250.0, "rate differs: 500 and 250"),
        ("scenario", "seed", 2, "seed differs: 1 and 2"),
        ("server", "version", "10.11", "the version of the server differs: 9.7.0 and 10.11"),
        ("server", "path", "published port", "the path to the server differs: host and published port"),
        ("server", "max_connections", 40, "max_connections of the server differs: 90 and 40"),
        ("environment", "host", "two", "the machine differs: one and two"),
        (
            "environment",
            "versions",
            {"connection-pressure": "0.2"},
            "the version of connection-pressure differs: 0.1 and 0.2",
        ),
    ],
)
def test_apples_and_oranges_are_said_at_every_figure(where, name, other, said):
    changed = {**SAME, where: {**SAME[where], name: other}}
    found = compare(
        side("a", SAME.items(), managed=QUIET), side("b", changed.items(), managed=QUIET), Rules()
    )
    assert found.warnings == (said,)
    assert all(c.warnings == (said,) for c in found.arms["managed"].values())


def test_another_objective_touches_only_what_is_good():
    changed = {**SAME, "scenario": {**SAME["scenario"], "slo_ms": 50.0, "repetitions": 3}}
    found = compare(
        side("a", SAME.items(), managed=QUIET), side("b", changed.items(), managed=QUIET), Rules()
    )
    touched = [name for name, c in found.arms["managed"].items() if c.warnings]
    assert touched == ["good_ratio"]


def test_what_a_summary_does_not_know_is_no_difference():
    found = compare(side("a", SAME.items(), managed=QUIET), side("b", managed=QUIET), Rules())
    assert found.warnings == ()


def test_figures_that_are_missing_give_no_verdict_and_no_error():
    unknown = [{"valid": True, "latency_ms": {"disturbed": []}} for _ in range(3)]
    found = compare(side("a", managed=unknown), side("b", managed=QUIET), Rules())
    assert set(verdicts(found).values()) == {"none"}
    assert all(c.base is None and c.ratio is None for c in found.arms["managed"].values())


def test_the_measures_are_those_of_the_design():
    assert [m.name for m in MEASURES if m.gates] == [
        "good_ratio",
        "error_ratio",
        "latency_ms.mean",
        "latency_ms.p50",
    ]
    assert [m.name for m in MEASURES if not m.gates] == ["latency_ms.p90", "latency_ms.p95", "latency_ms.p99"]
