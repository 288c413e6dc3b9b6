"""Series with a bounded number of points: when they are full, neighbours are merged. Pure."""

from collections.abc import Mapping

AT_MOST = 600
Value = float | None  # None: unknown, drawn as a gap
LARGEST = {"limit_count", "p99_ms", "lag_ms"}  # of two neighbours; of all others their mean
AT = "at_s"


class Points:
    """A point covers ``step_s`` seconds and ends at ``at_s``.

    ``names`` are those of the series. There are fewer than ``at_most`` points.
    """

    def __init__(self, names: tuple[str, ...], at_most: int = AT_MOST) -> None:
        self.step_s = 1.0
        self.columns: dict[str, list[Value]] = {name: [] for name in (AT, *names)}
        self._at_most = at_most
        self._pending: list[dict[str, Value]] = []  # of a point that is not whole yet

    def __len__(self) -> int:
        return len(self.columns[AT])

    def add(self, values: Mapping[str, Value]) -> None:
        """Adds the values of a second; missing names are unknown."""
        self._pending.append({name: values.get(name) for name in self.columns})
        if len(self._pending) < self.step_s:
            return
        for name, column in self.columns.items():
            column.append(_one(name, [values[name] for values in self._pending]))
        self._pending = []
        if len(self) >= self._at_most:
            self._halve()

    def _halve(self) -> None:
        self.step_s *= 2
        for name, column in self.columns.items():
            column[:] = [_one(name, column[i : i + 2]) for i in range(0, len(column), 2)]

    def since(self, at_s: float, step_s: float) -> tuple[dict[str, list[Value]], bool]:
        """The points that are new to a client that has them up to ``at_s`` in steps of ``step_s``, and
        whether they are all points, which replace the client's."""
        if step_s != self.step_s:
            return self.columns, True
        times = self.columns[AT]
        first = next((i for i in range(len(times), 0, -1) if (times[i - 1] or 0.0) <= at_s), 0)
        return {name: column[first:] for name, column in self.columns.items()}, first == 0


def _one(name: str, values: list[Value]) -> Value:
    known = [value for value in values if value is not None]
    if not known:
        return None
    if name == AT:
        return known[-1]
    return max(known) if name in LARGEST else sum(known) / len(known)
