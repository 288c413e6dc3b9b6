"""What a setting may be. Pure. Each raises :class:`ValueError` with the name, the value and what may be."""

import math
from typing import Any


def number(of: Any, name: str, least: float, most: float = math.inf) -> None:
    """A finite number from ``least`` to ``most``."""
    value = getattr(of, name)
    right = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not right or not least <= value <= most:
        raise wrong(of, name, f"a number {_range(least, most)}")


def whole(of: Any, name: str, least: int, most: float = math.inf) -> None:
    """A whole number from ``least`` to ``most``."""
    value = getattr(of, name)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise wrong(of, name, f"a whole number {_range(least, most)}")


def in_order(of: Any, *names: str) -> None:
    """None of them greater than the next."""
    values = [getattr(of, name) for name in names]
    if values != sorted(values):
        told = ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
        raise ValueError(f"{type(of).__name__}: {told} are out of order: none may be greater than the next")


def wrong(of: Any, name: str, expected: str) -> ValueError:
    """For a caller's own ``raise``."""
    return ValueError(f"{type(of).__name__}: {name} is {getattr(of, name)!r}, not {expected}")


def _range(least: float, most: float) -> str:
    if least == -math.inf:
        return f"up to {most:g}"
    return f"from {least:g} on" if most == math.inf else f"from {least:g} to {most:g}"
