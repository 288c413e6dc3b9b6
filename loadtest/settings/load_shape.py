"""The load over time as a user writes it: a name or points. Pure."""

from itertools import pairwise

from loadtest.errors import UsageError

STEADY = "steady"
# Levels over the fraction of the duration that has passed, linear between.
NAMED: dict[str, tuple[tuple[float, float], ...]] = {
    STEADY: (),
    "spike": ((0.0, 0.1), (0.39, 0.1), (0.4, 1.0), (0.6, 1.0), (0.61, 0.1)),
    "stairs": (
        (0.0, 0.25), (0.24, 0.25), (0.25, 0.5), (0.49, 0.5), (0.5, 0.75), (0.74, 0.75), (0.75, 1.0),
    ),
    "fan-out": (
        (0.0, 0.02), (0.19, 0.02), (0.2, 1.0), (0.25, 1.0), (0.26, 0.02),
        (0.59, 0.02), (0.6, 1.0), (0.65, 1.0), (0.66, 0.02),
    ),
    "wave": ((0.0, 0.2), (0.25, 1.0), (0.5, 0.2), (0.75, 1.0), (1.0, 0.2)),
}  # fmt: skip


def shape_points(text: str, duration_s: float) -> list[tuple[float, float]]:
    """``text`` such as "0:0.1,10:1" as [(0.0, 0.1), (10.0, 1.0)]: seconds and fractions of the load.

    A shape of :data:`NAMED` is stretched over the duration. Raises :class:`UsageError`.
    """
    if text in NAMED:
        return [(part * duration_s, level) for part, level in NAMED[text]]
    try:
        points = [(float(at), float(level)) for at, level in (p.split(":") for p in text.split(",") if p)]
    except ValueError:
        raise UsageError(
            f'not a shape: {text!r}; take {", ".join(NAMED)}, or write "seconds:fraction,…", '
            'e.g. "0:0.1,10:0.1,10:1"'
        ) from None
    in_order = all(a[0] <= b[0] for a, b in pairwise(points))
    if points and not (in_order and points[0][0] == 0 and all(0 <= level <= 1 for _, level in points)):
        raise UsageError(f"not a shape: {text!r}; seconds rise from 0, fractions are between 0 and 1")
    return points
