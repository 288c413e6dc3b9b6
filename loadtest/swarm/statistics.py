"""Invocations in Locust's own statistics."""

from typing import Any

from locust import stats

from loadtest.results.rows import UNFINISHED, Invocation


def keep_three_digits() -> None:
    """Keeps three digits of response times instead of Locust's two. Its histogram has whole milliseconds."""
    stats.bucket_response_time = _bucket


def _bucket(response_time_ms: float) -> int:
    digits = 3 - len(str(int(response_time_ms)))
    return int(round(response_time_ms, min(0, digits)))


class _Failed(Exception):
    """An arrival's error as Locust's statistics need it: one object for each text."""


_failures: dict[str, _Failed] = {}


def tell(environment: Any, row: Invocation) -> None:
    """Reports a row as one of Locust's requests, with its latency in ms."""
    failure = None
    if row.error:
        failure = _failures.setdefault(row.error, _Failed(row.error))
    answered = row.finished_s == row.finished_s and row.error != UNFINISHED
    environment.events.request.fire(
        request_type=environment.parsed_options.workload,
        name=row.part,
        # None counts without a time: an arrival that nobody served did not take 0 ms.
        response_time=row.latency_s * 1000 if answered else None,
        response_length=0,
        exception=failure,
        context={},
    )
