"""Summaries made by hand, for what only reads them."""

import msgspec

from loadtest.report import medians
from loadtest.report.run_summary import summarise_run
from loadtest.results.summary import Arm, ArmFigures, Summary, as_json


def summary_of(folder):
    """What summary.json says of a run."""
    return as_json(summarise_run(folder))


def arm(arrivals, errors=None, *, mean=25.0, disturbed=(), valid=True):
    """One arm of one repetition."""
    errors = errors or {}
    failed = sum(errors.values())
    known = bool(arrivals)
    statistics = dict.fromkeys(("mean", "p50", "p90", "p95", "p99", "p999", "max"), mean if known else None)
    repetition = {
        "valid": valid,
        "reasons": [] if valid else ["a generator process used 93% of a core (limit: 80%)"],
        "arrivals_count": arrivals,
        "good_ratio": 1 - failed / arrivals if known else None,
        "error_ratio": failed / arrivals if known else None,
        "errors": errors,
        "throttled_count": errors.get("throttled", 0) if known else None,
        "unfinished_count": errors.get("unfinished", 0) if known else None,
        "throughput_per_s": 100.0 if known else None,
        "latency_ms": {**statistics, "disturbed": list(disturbed)},
        "duration_ms": {**statistics, "disturbed": []},
        "cold_starts_count": 3 if known else None,
        "containers_peak_count": 200 if known else None,
        "connections": {"peak_count": 90, "opened_count": 100, "refused_count": 7, "expired_count": 1},
        "zombies": {"left_count": 3, "peak_count": 2, "reclaim_p50_s": 1.25 if known else None},
        "kills": {"zombie_count": 0, "idle_count": 0, "busy_count": 0},
        "overhead_queries_per_invocation": 0.123 if known else None,
        "generator": dict.fromkeys(("lateness_p99_ms", "loop_lag_p99_ms", "cpu_ratio", "disturbed_ratio")),
        "integrity": None,
    }
    figures = msgspec.convert(repetition, ArmFigures)
    return Arm([figures], medians.of_repetitions([figures]))


def summary(arms, warnings=()):
    return Summary(valid=True, warnings=list(warnings), arms=arms)
