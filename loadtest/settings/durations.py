"""Durations as people write them. Pure."""

import re
from decimal import Decimal

from loadtest.errors import UsageError

UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}


def duration_s(text: str | float) -> float:
    """The seconds of ``text``: "30s", "500ms", "5m", "1h" or a number of them. Raises :class:`UsageError`."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|h|)\s*", str(text))
    if match is None:
        raise UsageError(f"not a duration: {str(text)!r}; write 30s, 500ms, 5m or a number of seconds")
    return float(match[1]) * UNITS_S[match[2]]


def duration_text(seconds: float) -> str:
    """The inverse of :func:`duration_s`, exactly and without an exponent, for a number of ``seconds``."""
    return f"{format(Decimal(repr(float(seconds))).normalize(), 'f')}s"
