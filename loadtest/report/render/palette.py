"""One colour and one dash for each strategy, the same on every page. Pure.

The colours are those of M. Okabe and K. Ito, "Color Universal Design" (2008), which most colour-blind
people can tell apart. The dashes help the others, and in print without colours.
"""

from collections.abc import Iterable

STRATEGIES = {
    "direct": ("#E69F00", "dashed"),
    "cached": ("#D55E00", "dotted"),
    "classic": ("#CC79A7", "dotdash"),
    "managed": ("#0072B2", "solid"),
    "ideal": ("#009E73", "dashdot"),
}
OTHERS = (
    ("#56B4E9", "solid"),
    ("#8C6D00", "dashed"),
    ("#7F7F7F", "dotted"),
    ("#5A3FA0", "dotdash"),
    ("#A6761D", "dashdot"),
)
WORKING, IDLE, ZOMBIE, LIMIT, REFUSED = "#0072B2", "#9CCBEB", "#D55E00", "#767676", "#CC79A7"
PROXY = {"clients": "#5A3FA0", "waiting": "#E69F00", "pinned": "#8C6D00"}
FAULT = "#8C6D00"
SHARES = {"connect": "#E69F00", "query": "#0072B2", "manage": "#CC79A7", "work": "#B3B3B3"}
CODES = ("#D55E00", "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#7F7F7F")


def styles(arms: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The colour and dash of each of ``arms``; a user's own strategies take the remaining ones in turn."""
    found: dict[str, tuple[str, str]] = {}
    others = 0
    for arm in arms:
        if arm in STRATEGIES:
            found[arm] = STRATEGIES[arm]
        else:
            found[arm] = OTHERS[others % len(OTHERS)]
            others += 1
    return found
