"""The load generator's own health: how late its loop is, and how much CPU there is."""

from collections.abc import Callable
from math import isnan, nan

import psutil

from loadtest.fleet.clock import Clock
from loadtest.results.rows import GeneratorSecond, Lag

TICK_S = 0.005
LAG_S = 0.005  # a loop that is later than this disturbs what overlaps it


class Health:
    """Records lags as they happen, and one row per second, each with the number of its ``worker``."""

    def __init__(self, clock: Clock, worker: int, record_lag: Callable[[Lag], None]) -> None:
        self._clock = clock
        self._worker = worker
        self._record_lag = record_lag
        self._lag_max_s = 0.0
        self._lateness_s: list[float] = []
        self._process = psutil.Process()
        self._cpu_s, self._at_s, self._machine = self._process_cpu_s(), clock.now(), psutil.cpu_times()
        self._functions_cpu_s = 0.0
        self.due_count = 0  # arrivals handed to the fleet
        self.arrivals_count = 0
        self.errors_count = 0

    def late(self, lateness_s: float) -> None:
        """``lateness_s``: how long after its due time an arrival was started."""
        self._lateness_s.append(lateness_s)

    def ticked(self, wanted_s: float, now_s: float) -> None:
        """A tick that was due at ``wanted_s`` came at ``now_s``."""
        lag_s = now_s - wanted_s
        if lag_s > self._lag_max_s:
            self._lag_max_s = lag_s
        if lag_s > LAG_S:
            self._record_lag(Lag(self._worker, wanted_s, now_s))

    def second(
        self,
        in_flight_count: int,
        containers_count: int,
        connections_count: int,
        zombies_count: int,
        functions_cpu_s: float = nan,
        shortages_count: int = 0,
    ) -> GeneratorSecond:
        """The row of the second that has just ended. Takes about 0.2 ms, mostly in the kernel.

        ``functions_cpu_s`` is what real functions have used so far, in seconds of CPU, and
        ``shortages_count`` how many connects have failed on this machine so far.
        """
        now_s, cpu_s, machine = self._clock.now(), self._process_cpu_s(), psutil.cpu_times()
        elapsed_s = max(1e-9, now_s - self._at_s)
        total_s = max(1e-9, sum(machine) - sum(self._machine))
        idle_s = (machine.idle - self._machine.idle) + (
            getattr(machine, "iowait", 0.0) - getattr(self._machine, "iowait", 0.0)
        )
        steal_s = getattr(machine, "steal", 0.0) - getattr(self._machine, "steal", 0.0)
        functions_s = functions_cpu_s - self._functions_cpu_s
        lateness = sorted(self._lateness_s)
        row = GeneratorSecond(
            at_s=now_s,
            worker=self._worker,
            loop_lag_max_ms=self._lag_max_s * 1000,
            lateness_p99_ms=lateness[int(len(lateness) * 0.99)] * 1000 if lateness else nan,
            cpu_ratio=(cpu_s - self._cpu_s) / elapsed_s,
            machine_cpu_ratio=min(1.0, max(0.0, 1 - idle_s / total_s)),
            steal_ratio=max(0.0, steal_s / total_s),
            rss_bytes=self._process.memory_info().rss,
            arrivals_count=self.arrivals_count,
            errors_count=self.errors_count,
            in_flight_count=in_flight_count,
            containers_count=containers_count,
            connections_count=connections_count,
            zombies_count=zombies_count,
            functions_cpu_ratio=functions_s if isnan(functions_s) else max(0.0, functions_s) / elapsed_s,
            shortages_count=shortages_count,
            due_count=self.due_count,
        )
        self._functions_cpu_s = functions_cpu_s
        self._cpu_s, self._at_s, self._machine = cpu_s, now_s, machine
        self._lag_max_s, self._lateness_s = 0.0, []
        return row

    def _process_cpu_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)
