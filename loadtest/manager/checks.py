"""What a setting may be. Pure. Checks raise :class:`ValueError` with the name, the value and the range."""

import math
from typing import Any

LONGEST_LEASE_S = 31_536_000  # the greatest wait_timeout of MySQL and MariaDB


def number(of: Any, name: str, least: float, most: float = math.inf) -> None:
    """The attribute ``name`` of ``of`` must be a finite number from ``least`` to ``most``."""
    value = getattr(of, name)
    right = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not right or not least <= value <= most:
        raise wrong(of, name, f"a number {_range(least, most)}")


def whole(of: Any, name: str, least: int, most: float = math.inf) -> None:
    """The attribute ``name`` of ``of`` must be a whole number from ``least`` to ``most``."""
    value = getattr(of, name)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise wrong(of, name, f"a whole number {_range(least, most)}")


def in_order(of: Any, *names: str) -> None:
    """None of the attributes ``names`` of ``of`` may be greater than the next. Raises :class:`ValueError`."""
    values = [getattr(of, name) for name in names]
    if values != sorted(values):
        told = ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
        raise ValueError(f"{type(of).__name__}: {told} are out of order: none may be greater than the next")


def wrong(of: Any, name: str, expected: str) -> ValueError:
    """The error itself, for a check of the caller's own to raise: attribute ``name`` is not ``expected``.

    ``expected`` ends the sentence, as "a number of 0 or more" does.
    """
    return ValueError(f"{type(of).__name__}: {name} is {getattr(of, name)!r}, not {expected}")


def _range(least: float, most: float) -> str:
    if least == -math.inf:
        return f"up to {most:g}"
    return f"of {least:g} or more" if most == math.inf else f"from {least:g} to {most:g}"
