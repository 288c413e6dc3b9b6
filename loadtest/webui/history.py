"""The tests that were run from the page, and the series of each."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from loadtest.settings.plan import Settings
from loadtest.webui.points import Points

SERIES = (
    "working_count", "idle_count", "zombies_count", "limit_count", "refused_count", "containers_count",
    "cold_starts_count", "p50_ms", "p99_ms", "arrivals_count", "kept_count", "closed_count", "expired_count",
    "killed_count", "lag_ms", "cpu_percent", "clients_count", "waiting_count", "pinned_count",
)  # fmt: skip
CODES = ("1040", "1203", "1226", "2006", "2013", "timeout", "throttled", "unfinished", "other")


def code_of(error: str) -> str:
    """``1040 ER_CON_COUNT_ERROR`` as 1040; an error without a series of its own is ``other``."""
    code = error.partition(" ")[0]
    return code if code in CODES else "other"


class PageTest:
    """One test from the page. ``number`` counts from 1; ``path`` is its run folder, ``arm`` its arm there."""

    def __init__(self, number: int, path: Path, arm: str, settings: Settings, start_s: float) -> None:
        self.number = number
        self.path = path
        self.arm = arm
        self.settings = settings
        self.start_s = start_s
        self.running = True
        self.trouble = ""
        self.points = Points((*SERIES, *CODES))
        self.error_counts: Counter[str] = Counter()
        self.arrivals_count = self.errors_count = 0
        self.peak_count = 0
        self.newest: dict[str, float | None] = {}
        self.workers: list[dict[str, Any]] = []

    def add(self, values: dict[str, float | None], error_counts: dict[str, int]) -> None:
        """Adds a second: ``values`` by the names of :data:`SERIES`; missing ones are unknown.

        ``error_counts`` has how often each came in this second.
        """
        self.newest = values
        self.error_counts.update(error_counts)
        self.errors_count += sum(error_counts.values())
        self.arrivals_count += int(values.get("arrivals_count") or 0)
        used = [values.get(name) for name in ("working_count", "idle_count", "zombies_count")]
        if None not in used:
            self.peak_count = max(self.peak_count, int(sum(value or 0 for value in used)))
        by_code = Counter[str]()
        for error, count in error_counts.items():
            by_code[code_of(error)] += count
        self.points.add({**values, **{code: float(by_code[code]) for code in CODES}})

    def close(self, rows: Iterable[dict[str, str]]) -> None:
        """Ends the test. The generators' last rows include what came after the last second.

        ``rows`` are some of the generators' CSV, oldest first, with the newest of each worker among them.
        """
        self.running = False
        newest = {row["worker"]: row for row in rows}.values()
        if newest:
            self.arrivals_count = sum(int(row["arrivals_count"]) for row in newest)
            self.errors_count = sum(int(row["errors_count"]) for row in newest)

    def line(self) -> dict[str, Any]:
        """The test's line in the list of tests."""
        return {
            "number": self.number,
            "name": self.path.name,
            "arm": self.arm,
            "running": self.running,
            "arrivals_count": self.arrivals_count,
            "errors_count": self.errors_count,
            "errors_percent": 100 * self.errors_count / self.arrivals_count if self.arrivals_count else None,
            "error_counts": dict(self.error_counts.most_common(5)),
            "peak_count": self.peak_count,
            "load": load(self.settings),
        }


def load(settings: Settings) -> str:
    """The load in a few words, to tell tests in the list apart."""
    closed = settings.model == "closed"
    words = f"{settings.containers:,} containers" if closed else f"{settings.rate:,g}/s"
    ramp = f", {settings.ramp_s:g} s ramp" if settings.ramp_s else ""
    changes = f", {settings.shape}" if settings.shape else ramp
    return f"{words}, {settings.duration_s:g} s{changes}, {settings.reap_probability:g} reaped"
