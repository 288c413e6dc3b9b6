"""Numbers as people read them: the only place that rounds or scales. Pure."""

TIMES = "×"  # noqa: RUF001  a multiplication sign
NOTHING = "–"  # noqa: RUF001  an unknown figure


def count(value: float | None) -> str:
    """15000 as ``15,000``; a median may lie between two counts."""
    if value is None:
        return NOTHING
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def number(value: float | None) -> str:
    """Three significant digits, never an exponent: 9.53, 23.4, 104, 19,700."""
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
    """``0%`` and ``100%`` only when exactly so: ``<0.1%`` and ``>99.9%`` beside them."""
    if ratio is None:
        return NOTHING
    if ratio in (0, 1):
        return f"{ratio:.0%}"
    if ratio < 0.001:
        return "<0.1%"
    if ratio > 0.999:
        return ">99.9%"
    # Rounding up to the next power of ten must not make a false 100%.
    return f"{ratio:.1%}" if ratio < 0.0995 or ratio >= 0.995 else f"{ratio:.0%}"


def seconds(value: float | None) -> str:
    return NOTHING if value is None else f"{number(value)} s"


def times(ratio: float) -> str:
    """A multiple with two significant digits: 1.2 times."""
    rounded = float(f"{ratio:.2g}")
    decimals = 0 if rounded >= 10 else 1 if rounded >= 1 else 2
    return f"{rounded:,.{decimals}f} {TIMES}"


def code(error: str) -> str:
    """The short name of an error: ``1040`` of ``1040 ER_CON_COUNT_ERROR``."""
    first = plain(error).split(" ")[0]
    return first if first.isdigit() else shortened(plain(error), 24)


def plain(text: str) -> str:
    """One line without control characters, which a server or a user's function may have put in."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
