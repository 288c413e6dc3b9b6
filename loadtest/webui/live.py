"""What the page shows, collected once a second from the workers and the monitor's newest sample."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import gevent
import numpy as np

from loadtest.errors import LoadtestError
from loadtest.results.csv_rows import last_rows
from loadtest.results.rows import GeneratorSecond, Sample
from loadtest.results.run_folder import Repetition
from loadtest.settings.plan import Settings
from loadtest.settings.strategy import arm_name
from loadtest.swarm.run import Run
from loadtest.swarm.tally import CELLS_AT_MOST, Tally
from loadtest.webui.history import PageTest

LOOK, SEEN = "loadtest_look", "loadtest_seen"
SILENT_S = 2.0  # a monitor that has not sampled for so long is lost
FRESH_S = 0.9
WATCHED_S = 3.0  # containers are counted one by one only while somebody looks
SUMMED = (
    "arrivals_count", "containers_count", "cold_starts_count", "kept_count", "closed_count", "expired_count",
    "killed_count",
)  # fmt: skip
OF_WORKER = (
    "worker", "arrivals_count", "containers_count", "connections_count", "zombies_count", "lag_ms",
    "cpu_percent",
)  # fmt: skip


def answer_looks(run: Run) -> None:
    """On a worker: reports to the master when it asks."""
    tally = Tally()
    run.listeners.append(tally.hear)

    def look(environment: Any, msg: Any, **_: Any) -> None:
        if run.generator is not None:
            seen = tally.taken(run.generator, with_cells=msg.data["cells"])
            environment.runner.send_message(SEEN, seen)

    run.environment.runner.register_message(LOOK, look)


class Live:
    """``tests`` has all tests, the newest last, which may be running."""

    def __init__(self, run: Run, settings_now: Callable[[], tuple[str, Settings]]) -> None:
        self.tests: list[PageTest] = []
        self.cells: list[list[float]] = []
        self._run = run
        self._settings_now = settings_now
        self._watched_until = 0.0
        self._told_cells_at_s, self._told_cells = 0.0, b"[]"
        self._seen: dict[int, dict[str, Any]] = {}  # by worker, since the last second
        self._refused_count: float | None = None
        self._sampled_s = 0.0
        self._tally: Tally | None = None
        self._repetition: Repetition | None = None  # of the newest test
        if run.is_master:
            run.environment.runner.register_message(SEEN, self._told)
        else:
            self._tally = Tally()
            run.listeners.append(self._tally.hear)

    @property
    def running(self) -> PageTest | None:
        return self.tests[-1] if self.tests and self.tests[-1].running else None

    def watch(self) -> bytes:
        """The containers in this second as JSON, made once for all open pages; see :meth:`Tally.cells`."""
        now_s = time.monotonic()
        self._watched_until = now_s + WATCHED_S
        if now_s - self._told_cells_at_s > FRESH_S:
            self._told_cells_at_s = now_s
            if self._tally is not None and self._run.generator is not None:
                self.cells = self._tally.cells(self._run.generator)
            self._told_cells = json.dumps(self.cells, separators=(",", ":")).encode()
        return self._told_cells

    # A test

    def begin(self) -> None:
        run = self._run
        if run.repetition is None or run.folder is None:
            return
        self._repetition = run.repetition
        strategy, settings = self._settings_now()
        start_s = float(run.repetition.read_meta().get("start_s", 0.0))
        test = PageTest(
            len(self.tests) + 1, run.folder.path.absolute(), arm_name(strategy), settings, start_s
        )
        self.tests.append(test)
        self._seen, self.cells, self._refused_count, self._sampled_s = {}, [], None, 0.0
        if self._tally is not None:
            self._tally.forget()
        gevent.spawn(self._every_second, test)

    def end(self) -> None:
        test = self.running
        if test is not None and self._repetition is not None:
            test.close(last_rows(self._repetition.generator, GeneratorSecond._fields))
            test.trouble, self.cells = self._run.trouble, []

    def _every_second(self, test: PageTest) -> None:
        samples = self._repetition.samples if self._repetition else None
        next_s = time.monotonic()
        while test.running:
            next_s += 1.0
            gevent.sleep(max(0.0, next_s - time.monotonic()))
            if not test.running:
                return
            with suppress(LoadtestError):
                self._look()
            sampled = list(last_rows(samples, Sample._fields)) if samples else []
            self._add(test, sampled)

    def _look(self) -> None:
        run, with_cells = self._run, time.monotonic() < self._watched_until
        if run.is_master:
            run.environment.runner.send_message(LOOK, {"cells": with_cells})
        elif self._tally is not None and run.generator is not None:
            self._seen[0] = self._tally.taken(run.generator, with_cells=False)

    def _told(self, msg: Any, **_: Any) -> None:
        self._seen[int(msg.data["worker"])] = msg.data

    def _add(self, test: PageTest, sampled: list[dict[str, str]]) -> None:
        seen, self._seen = self._seen, {}
        if any("cells" in one for one in seen.values()):
            cells = [cell for _, one in sorted(seen.items()) for cell in one.get("cells", ())]
            self.cells = cells[:CELLS_AT_MOST]
        now_s = time.monotonic() - self._run.t0_monotonic_s
        if not seen and now_s > test.start_s + test.settings.duration_s:
            return  # whoever could say something is done
        values: dict[str, float | None] = {"at_s": round(now_s - test.start_s, 2)}
        values |= _of_workers(list(seen.values()))
        values |= self._of_server(sampled, now_s, list(seen.values()))
        test.trouble = self._run.trouble or _complaint(sampled, now_s)
        error_counts: dict[str, int] = {}
        for one in seen.values():
            for error, count in one["error_counts"].items():
                error_counts[error] = error_counts.get(error, 0) + count
        test.workers = [
            {name: one[name] for name in OF_WORKER} | {"errors_count": sum(one["error_counts"].values())}
            for _, one in sorted(seen.items())
        ]
        test.add(values, error_counts)

    def _of_server(
        self, sampled: list[dict[str, str]], now_s: float, seen: list[dict[str, Any]]
    ) -> dict[str, float | None]:
        newest = sampled[-1] if sampled else None
        if newest is None or newest["error"] or now_s - float(newest["at_s"]) > SILENT_S:
            self._refused_count = None
            return {}
        used, refused = float(newest["connections_count"]), _number(newest["refused_count"])
        zombies = min(used, float(sum(one["zombies_count"] for one in seen)))
        working = min(used - zombies, float(sum(one["working_count"] for one in seen)))
        before, self._refused_count = self._refused_count, refused
        return {
            "working_count": working,
            "idle_count": used - zombies - working,
            "zombies_count": zombies,
            "limit_count": _number(newest["max_connections"]),
            **{name: _number(newest[name]) for name in ("clients_count", "waiting_count", "pinned_count")},
            "refused_count": None if refused is None or before is None else max(0.0, refused - before),
        }


def _of_workers(seen: list[dict[str, Any]]) -> dict[str, float | None]:
    """Sums over the workers; unknown if none has answered."""
    if not seen:
        return {"arrivals_count": None}
    latencies = np.concatenate([one["latencies_ms"] for one in seen])
    p50, p99 = np.percentile(latencies, (50, 99)) if len(latencies) else (None, None)
    return {
        **{name: float(sum(one[name] for one in seen)) for name in SUMMED},
        "p50_ms": None if p50 is None else float(p50),
        "p99_ms": None if p99 is None else float(p99),
        "lag_ms": max(one["lag_ms"] for one in seen),
        "cpu_percent": max(one["cpu_percent"] for one in seen),
    }


def _complaint(sampled: list[dict[str, str]], now_s: float) -> str:
    if not sampled:
        return "" if now_s < SILENT_S else "the monitor has not sampled the server yet"
    newest = sampled[-1]
    if newest["error"]:
        return f"the server cannot be sampled: {newest['error']}"
    silent_s = now_s - float(newest["at_s"])
    return f"the monitor is lost: no sample for {silent_s:.0f} s" if silent_s > SILENT_S else ""


def _number(text: str) -> float | None:
    return float(text) if text else None
