"""The tests that were run from the page, and the series of each."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from loadtest.settings.plan import Settings
from loadtest.webui.points import Points

SERIES = (
    "working", "idle", "zombie", "limit", "refused", "containers", "cold_starts", "p50_ms", "p99_ms",
    "arrivals", "kept", "closed", "expired", "killed", "lag_ms", "cpu_percent",
)  # fmt: skip
CODES = ("1040", "1203", "1226", "2006", "2013", "timeout", "throttled", "unfinished", "other")


def code_of(error: str) -> str:
    """``1040 ER_CON_COUNT_ERROR`` as 1040; an error without a series of its own is ``other``."""
    code = error.partition(" ")[0]
    return code if code in CODES else "other"


class PageTest:
    """One test from the page. ``number`` counts from 1; ``path`` is its run folder."""

    def __init__(self, number: int, path: Path, arm: str, settings: Settings, start_s: float) -> None:
        self.number = number
        self.path = path
        self.arm = arm
        self.settings = settings
        self.start_s = start_s
        self.running = True
        self.trouble = ""
        self.points = Points((*SERIES, *CODES))
        self.errors: Counter[str] = Counter()
        self.arrivals_count = self.errors_count = 0
        self.peak_count = 0
        self.newest: dict[str, float | None] = {}
        self.workers: list[dict[str, Any]] = []

    def add(self, values: dict[str, float | None], errors: dict[str, int]) -> None:
        """Adds a second; missing values are unknown."""
        self.newest = values
        self.errors.update(errors)
        self.errors_count += sum(errors.values())
        self.arrivals_count += int(values.get("arrivals") or 0)
        used = [values.get(name) for name in ("working", "idle", "zombie")]
        if None not in used:
            self.peak_count = max(self.peak_count, int(sum(value or 0 for value in used)))
        by_code = Counter[str]()
        for error, count in errors.items():
            by_code[code_of(error)] += count
        self.points.add({**values, **{code: float(by_code[code]) for code in CODES}})

    def close(self, seconds: Iterable[dict[str, str]]) -> None:
        """Ends the test. The generators' last rows include what came after the last second."""
        self.running = False
        newest = {row["worker"]: row for row in seconds}.values()
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
            "arrivals": self.arrivals_count,
            "errors": self.errors_count,
            "errors_percent": 100 * self.errors_count / self.arrivals_count if self.arrivals_count else None,
            "codes": dict(self.errors.most_common(5)),
            "peak": self.peak_count,
            "load": load(self.settings),
        }


def load(settings: Settings) -> str:
    """The load in a few words, to tell tests in the list apart."""
    closed = settings.model == "closed"
    words = f"{settings.containers:,} containers" if closed else f"{settings.rate:,g}/s"
    ramp = f", {settings.ramp_s:g} s ramp" if settings.ramp_s else ""
    changes = f", {settings.shape}" if settings.shape else ramp
    return f"{words}, {settings.duration_s:g} s{changes}, {settings.reap_probability:g} reaped"
