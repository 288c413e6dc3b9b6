"""What varies in a search for the capacity, and in which direction it is harder. Pure."""

from typing import NamedTuple, get_args

from loadtest.errors import UsageError
from loadtest.report.capacities.search import Range
from loadtest.results.summary import Vary

VARIED: tuple[Vary, ...] = get_args(Vary)
# Where nothing is said.
DEFAULTS: dict[Vary, tuple[float, float]] = {
    "rate": (50.0, 4000.0), "max-connections": (5.0, 500.0), "work-ms": (1.0, 1000.0),
    "maximum-concurrency": (2.0, 1000.0),  # as far as AWS lets one choose
}  # fmt: skip
OBJECTIVE = "error_ratio == 0 and latency_ms.p99 <= 100"
# Behind a queue whoever is refused comes again, and nobody waits for an answer.
OBJECTIVES: dict[Vary, str] = {
    "maximum-concurrency": "connections.refused_count == 0 and queue.dead_letters_count == 0"
}
FEWER_IS_HARDER = ("max-connections",)
WHOLE = ("max-connections", "maximum-concurrency")
UNITS: dict[Vary, str] = {
    "rate": "/s", "max-connections": " connections", "work-ms": " ms of work",
    "maximum-concurrency": " invocations at once",
}  # fmt: skip


class Axis(NamedTuple):
    """``vary`` is one of :data:`VARIED`, looked at from ``low`` to ``high``."""

    vary: Vary
    low: float
    high: float

    @classmethod
    def between(cls, vary: Vary, low: float | None, high: float | None) -> "Axis":
        """``vary`` from ``low`` to ``high``, each None for its default. Raises :class:`UsageError`."""
        defaults = DEFAULTS[vary]
        made = cls(vary, defaults[0] if low is None else low, defaults[1] if high is None else high)
        if not 0 < made.low < made.high:
            raise UsageError(f"--from {made.low:g} --to {made.high:g}: the first has to be below the second")
        if vary in WHOLE and (made.low % 1 or made.high % 1):
            raise UsageError(f"--from {made.low:g} --to {made.high:g}: {vary} has to be a whole number")
        return made

    @property
    def option(self) -> str:
        """The option of a plan that varies."""
        return self.vary.replace("-", "_")

    @property
    def needs(self) -> dict[str, str]:
        """What a plan has to have for that, by option."""
        return {"invoke": "queue"} if self.vary == "maximum-concurrency" else {}

    @property
    def unit(self) -> str:
        return UNITS[self.vary]

    @property
    def is_reversed(self) -> bool:
        """Whether less of it is harder."""
        return self.vary in FEWER_IS_HARDER

    def range(self, precision: float, *, has_overload: bool = True) -> Range:
        """Where to look, in terms of hardness.

        ``precision`` and ``has_overload`` as :class:`Range` has them.
        """
        if not self.is_reversed:
            is_whole = self.vary in WHOLE
            return Range(self.low, self.high, precision, has_overload=has_overload, is_whole=is_whole)
        return Range(1.0, self.high / self.low, precision, whole=self.high, has_overload=has_overload)

    def value(self, hardness: float) -> float:
        """What is tried at a ``hardness``."""
        if not self.is_reversed:
            return hardness
        return float(round(self.high / hardness))

    def hardness(self, value: float) -> float:
        """How hard a ``value`` is: the inverse of :meth:`value`."""
        return self.high / value if self.is_reversed else value

    def text(self, value: float) -> str:
        """``value`` with its unit: ``1,180/s``, ``12 connections``."""
        return f"{value:,.4g}{self.unit}" if value < 1000 else f"{value:,.0f}{self.unit}"
