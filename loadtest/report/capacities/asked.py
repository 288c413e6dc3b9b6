"""What a search for the capacity is asked for. Pure."""

from typing import Annotated

import msgspec

from loadtest.report.capacities.axis import Axis
from loadtest.report.capacities.search import Range
from loadtest.results.summary import Vary

Positive = Annotated[float, msgspec.Meta(gt=0, lt=1e12)]


class Asked(msgspec.Struct, frozen=True):
    """As ``run.json`` has it in ``capacity``.

    ``vary`` goes from ``low`` to ``high``, and ``slo`` is the objective. ``time_limit_s`` is for all arms
    together. ``precision`` and ``has_overload`` as :class:`Range` has them.
    """

    vary: Vary
    slo: str
    low: Positive
    high: Positive
    precision: Positive
    time_limit_s: float
    has_overload: bool = True

    @property
    def axis(self) -> Axis:
        return Axis(self.vary, self.low, self.high)

    @property
    def range(self) -> Range:
        """Where to look."""
        return self.axis.range(self.precision, has_overload=self.has_overload)
