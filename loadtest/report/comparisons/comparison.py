"""A comparison of two runs, as a value. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from loadtest.report.comparisons.measures import Measure
from loadtest.report.series import ArmSeries
from loadtest.results.summary import ArmFigures, Summary

BETTER, WORSE, NOISE, NONE = "better", "worse", "~", "none"


class Side(NamedTuple):
    """One of the two runs.

    ``name`` is what the user called it, ``warnings`` are about reading it, ``series`` are for its plots, by
    arm, where they were asked for.
    """

    name: str
    summary: Summary
    warnings: tuple[str, ...] = ()
    series: Mapping[str, ArmSeries] = {}

    def repetitions(self, arm: str) -> list[ArmFigures]:
        """The figures of each repetition of ``arm``, which the run must have."""
        return self.summary.arms[arm].repetitions


class Rules(NamedTuple):
    """The smallest changes that matter: ``threshold`` of times, as a share of themselves, and
    ``threshold_ratio`` of ratios, in absolute terms.

    ``reference`` is an arm of each run by which its times are divided first, or None.
    """

    threshold: float = 0.05
    threshold_ratio: float = 0.005
    reference: str | None = None


class Compared(NamedTuple):
    """One measure of one arm.

    For times, ``base`` and ``candidate`` are geometric means over the repetitions, in ms (or multiples of the
    reference), and ``interval`` is of ``ratio``. For ratios they are arithmetic means, and ``interval`` is of
    ``difference``. ``n`` counts the repetitions of each side. ``is_small``: the whole interval lies within
    what does not matter.
    """

    measure: Measure
    base: float | None
    candidate: float | None
    ratio: float | None
    difference: float | None
    interval: tuple[float, float] | None
    n: tuple[int, int]
    verdict: str
    needed_repetitions: int | None
    warnings: tuple[str, ...]
    is_small: bool = False


class Comparison(NamedTuple):
    """All measures of all arms that were compared.

    ``arms`` are by arm and by measure; two arms of different names are called ``cached:managed``. ``pairs``
    has the arms of base and candidate by the same keys. ``lost`` are arms of the base that the candidate was
    to run, and did not.
    """

    base: str
    candidate: str
    rules: Rules
    warnings: tuple[str, ...]
    arms: Mapping[str, Mapping[str, Compared]]
    pairs: Mapping[str, tuple[str, str]]
    lost: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """Of the gating measures together: if one is worse, the whole is worse."""
        found = {c.verdict for arm in self.arms.values() for c in arm.values() if c.measure.gates}
        return next((v for v in (WORSE, BETTER, NOISE) if v in found), NONE)

    def all_warnings(self) -> tuple[str, ...]:
        """Those of the runs and of the measures, each once."""
        of_measures = (text for arm in self.arms.values() for c in arm.values() for text in c.warnings)
        return tuple(dict.fromkeys((*self.warnings, *of_measures)))
