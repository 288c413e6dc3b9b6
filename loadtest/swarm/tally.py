"""What a worker did since it was last asked, and the state of its containers, for the web page."""

from collections import Counter
from typing import Any

from loadtest.fleet.container import Container, State
from loadtest.fleet.generator import Generator
from loadtest.results.rows import Invocation

COLD, BUSY, FROZEN, ZOMBIE = range(4)  # states of a cell
CELLS_AT_MOST = 1000
_STATES = {State.COLD: COLD, State.BUSY: BUSY, State.IDLE: FROZEN}


class Tally:
    """Counts every row; :meth:`taken` returns the counts and resets them. Latencies in ms."""

    def __init__(self) -> None:
        self._born_s: dict[int, float] = {}
        self._ended_counts: dict[str, int] = {}
        self._begin()

    def _begin(self) -> None:
        self._arrivals_count = self._cold_starts_count = self._kept_count = 0
        self._latencies_ms: list[float] = []
        self._errors: Counter[str] = Counter()

    def forget(self) -> None:
        """Resets everything for a new test."""
        self._born_s, self._ended_counts = {}, {}
        self._begin()

    def hear(self, row: Invocation, generator: Generator) -> None:
        """Counts an invocation.

        To be called right after it, to see whether its container keeps a connection.
        """
        self._arrivals_count += 1
        if row.error:
            self._errors[row.error] += 1
        else:
            self._latencies_ms.append(row.latency_s * 1000)
        if row.cold:
            self._cold_starts_count += 1
            self._born_s[row.container] = row.due_s
        self._kept_count += generator.book.held_by(row.container) != 0

    def taken(self, generator: Generator, *, with_cells: bool) -> dict[str, Any]:
        """The counts as plain values that can be sent to a master; with :meth:`cells` if ``with_cells``."""
        book, fleet, newest = generator.book, generator.fleet, generator.newest
        ended, before = dict(book.ended_counts), self._ended_counts
        self._ended_counts = ended
        found = {
            "worker": generator.assignment.worker,
            "arrivals_count": self._arrivals_count,
            "error_counts": dict(self._errors),
            "latencies_ms": self._latencies_ms,
            "cold_starts_count": self._cold_starts_count,
            "kept_count": self._kept_count,
            **{f"{fate}_count": count - before.get(fate, 0) for fate, count in ended.items()},
            "containers_count": fleet.containers_count,
            "working_count": fleet.busy_count,
            "connections_count": book.open_count,
            "zombies_count": book.zombies_count,
            "lag_ms": newest.loop_lag_max_ms if newest else 0.0,
            "cpu_percent": 100 * newest.cpu_ratio if newest else 0.0,
        }
        self._begin()
        if len(self._born_s) > 2 * fleet.containers_count + CELLS_AT_MOST:
            numbers = {one.number for one in fleet.containers()}
            self._born_s = {number: born for number, born in self._born_s.items() if number in numbers}
        if with_cells:
            found["cells"] = self.cells(generator)
        return found

    def cells(self, generator: Generator) -> list[list[float]]:
        """``[number, state, connection or 0, invocations, age in s or -1]`` of each container, zombies
        first. A zombie's age counts from when its container was reaped. At most :data:`CELLS_AT_MOST`."""
        book, now_s = generator.book, generator.clock.now()
        cells: list[list[float]] = [
            [container, ZOMBIE, server_id, 0, round(now_s - reaped_s, 1)]
            for container, server_id, reaped_s in book.zombies()
        ]
        alive = list(generator.fleet.containers())
        cells += [self._cell(one, book.held_by(one.number), now_s) for one in alive]
        return cells[:CELLS_AT_MOST]

    def _cell(self, container: Container, server_id: int, now_s: float) -> list[float]:
        born_s = self._born_s.get(container.number)
        age_s = round(now_s - born_s, 1) if born_s is not None else -1
        state = _STATES.get(container.state, COLD)
        return [container.number, state, server_id, container.invocations_count, age_s]
