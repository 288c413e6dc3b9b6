"""When arrivals are due. Pure.

A client is a Poisson process whose rate follows a profile. It is sampled by time rescaling: the steps
of a unit-rate process in the integral of the rate are mapped back to time (Cinlar, "Introduction to
Stochastic Processes", 1975, theorem 4.7.4). So due times depend on the seed alone.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import inf, sqrt
from random import Random
from typing import NamedTuple

Points = Sequence[tuple[float, float]]


class Arrival(NamedTuple):
    """One arrival of a client. The draws are in [0, 1) and do not depend on anything that happens before."""

    number: int
    due_s: float  # since the start of the load
    part_draw: float
    reap_draw: float
    zombie_draw: float


class Profile:
    """A piecewise linear level between 0 and 1 over time, which keeps its last value.

    ``points`` are (seconds, level) in the order of time, from 0 s on; without any the level is 1.
    """

    def __init__(self, points: Points = ()) -> None:
        self._points = list(points) or [(0.0, 1.0)]
        self._areas = [0.0]
        for (t0, level0), (t1, level1) in pairwise(self._points):
            self._areas.append(self._areas[-1] + (t1 - t0) * (level0 + level1) / 2)

    def level(self, elapsed_s: float) -> float:
        i = max(0, bisect_right(self._points, (elapsed_s, inf)) - 1)
        t0, level0 = self._points[i]
        if i + 1 == len(self._points):
            return level0
        t1, level1 = self._points[i + 1]
        return level0 + (level1 - level0) * (elapsed_s - t0) / (t1 - t0)

    def when_level(self, level: float) -> float:
        """Seconds until the level is first reached; infinity if it never is."""
        for (t0, level0), (t1, level1) in pairwise(self._points):
            if level0 >= level:
                return t0
            if level1 >= level:
                return t0 + (level - level0) / (level1 - level0) * (t1 - t0)
        return self._points[-1][0] if self._points[-1][1] >= level else inf

    def when(self, area: float) -> float:
        """Seconds until the integral of the level reaches ``area``; infinity if it never does."""
        i = max(0, min(bisect_right(self._areas, area), len(self._areas)) - 1)
        t0, level0 = self._points[i]
        rest = area - self._areas[i]
        if i + 1 == len(self._points):
            return t0 + rest / level0 if level0 > 0 else inf
        t1, level1 = self._points[i + 1]
        slope = (level1 - level0) / (t1 - t0)
        root = sqrt(max(0.0, level0 * level0 + 2 * slope * rest))
        # Of the two forms of the root, the one without cancellation, also for slope 0.
        return t0 + (2 * rest / (level0 + root) if level0 + root > 0 else 0.0)


def profile(shape: Points, ramp_s: float) -> Profile:
    """The profile of the shape, or without one of a linear ramp."""
    return Profile(shape or ([(0.0, 0.0), (ramp_s, 1.0)] if ramp_s > 0 else ()))


def client_arrivals(seed: int, client: int, rate: float, even: bool, over: Profile) -> Iterator[Arrival]:
    """The endless arrivals of one client, the same whenever ``seed`` and the client's number are.

    ``rate`` is in arrivals per second at level 1 of ``over``. ``even`` spaces them equally where the level is
    constant; else they are a Poisson process, as the module says.
    """
    rng = Random(f"{seed}/{client}")
    area = rng.random() / rate if even else 0.0
    number = 0
    while True:
        if even:
            due_s, area = over.when(area), area + 1.0 / rate
        else:
            area += rng.expovariate(rate)
            due_s = over.when(area)
        yield Arrival(number, due_s, rng.random(), rng.random(), rng.random())
        number += 1
