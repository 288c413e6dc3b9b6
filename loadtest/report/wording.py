"""Numbers and texts as people read them: the only place that rounds numbers. Pure."""

TIMES_SIGN = "×"  # noqa: RUF001  a multiplication sign
NOTHING = "–"  # noqa: RUF001  an unknown figure


def count(value: float | None) -> str:
    """A ``value`` of 15000 as ``15,000``; one decimal where a median lies between two counts."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def number(value: float | None) -> str:
    """``value`` in three significant digits, never an exponent: 9.53, 23.4, 104, 19,700."""
    if value is None:
        return NOTHING
    if value == 0:
        return "0"
    rounded = float(f"{value:.3g}")
    for limit, decimals in ((100, 0), (10, 1), (1, 2)):
        if abs(rounded) >= limit:
            return f"{rounded:,.{decimals}f}"
    return f"{rounded:.3f}" if abs(rounded) >= 0.001 else ("<0.001" if value > 0 else ">-0.001")


def percent(ratio: float | None) -> str:
    """A ratio from 0 to 1. ``0%`` and ``100%`` are exact: next to them are ``<0.1%`` and ``>99.9%``."""
    if ratio is None:
        return NOTHING
    if ratio in (0, 1):
        return f"{ratio:.0%}"
    if ratio < 0.001:
        return "<0.1%"
    if ratio > 0.999:
        return ">99.9%"
    # Rounding must not turn 99.6% into 100%, or 9.96% into 10.0%.
    return f"{ratio:.1%}" if ratio < 0.0995 or ratio >= 0.995 else f"{ratio:.0%}"


def seconds(value: float | None) -> str:
    """A ``value`` in s in three significant digits, with the unit."""
    return NOTHING if value is None else f"{number(value)} s"


def multiple(ratio: float) -> str:
    """``ratio`` in two significant digits, with the sign: 1.2 and :data:`TIMES_SIGN` for 1.234."""
    rounded = float(f"{ratio:.2g}")
    decimals = 0 if rounded >= 10 else 1 if rounded >= 1 else 2
    return f"{rounded:,.{decimals}f} {TIMES_SIGN}"


def code(error: str) -> str:
    """The short name of an error: ``1040`` of ``1040 ER_CON_COUNT_ERROR``."""
    first = plain(error).split(" ")[0]
    return first if first.isdigit() else shortened(plain(error), 24)


def plain(text: str) -> str:
    """``text`` on one line, without the control characters that a server or a user's function may send."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def shortened(text: str, length: int) -> str:
    """``text`` in at most ``length`` characters, with an ellipsis at the end if it was longer."""
    return text if len(text) <= length else text[: length - 1] + "…"
