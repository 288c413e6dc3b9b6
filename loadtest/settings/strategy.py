"""The grammar of strategies in options, scenario files, the web page and run folders. Pure.

::

    strategy = part | part { "+" part }        a mixed fleet, whose shares add up to 1
    part     = [ name "=" ] spec [ ":" share ]
    spec     = direct | cached | classic | managed | ideal | package.module:attribute
"""

import re
from typing import NamedTuple

from loadtest.errors import UsageError
from loadtest.settings.nearest import nearest

STRATEGIES = ("direct", "cached", "classic", "managed", "ideal")
ARM_NAME = re.compile(r"[A-Za-z0-9._:+=-]+")
SHARED = re.compile(r"(?P<spec>.+):(?P<share>\d*\.?\d+)")
USERS_OWN = re.compile(r"[\w.]+:\w+")


class Part(NamedTuple):
    """One function of a fleet. ``spec`` is a built-in name or ``package.module:attribute``."""

    name: str
    spec: str
    share: float  # of the arrivals, from 0 to 1


def arm_name(text: str) -> str:
    """The name of a strategy's arm: ``base`` of ``base=pkg:a``, otherwise the whole text."""
    name, equals, _ = text.partition("=")
    return name if equals and "+" not in text else text


def parse(text: str) -> list[Part]:
    """The parts of a strategy. Raises :class:`UsageError` with the text and what is wrong with it."""
    if not ARM_NAME.fullmatch(arm_name(text)):
        raise UsageError(f"strategy {text!r}: a name may have letters, digits and . _ : + = - only")
    parts = [_part(piece, single="+" not in text) for piece in text.split("+")]
    total = sum(part.share for part in parts)
    if abs(total - 1.0) > 1e-6:
        raise UsageError(f"strategy {text!r}: the shares add up to {total:g}, not to 1")
    if len(parts) > 1 and any(part.spec == "ideal" for part in parts):
        raise UsageError(f"strategy {text!r}: ideal is a pool of the whole server and cannot share it")
    if len({part.name for part in parts}) < len(parts):
        raise UsageError(
            f"strategy {text!r}: a part is named twice; name them, as in a=managed:0.5+b=managed:0.5"
        )
    return parts


def part_names(text: str) -> list[str]:
    """The names of a mixed fleet's parts; empty for a single strategy or an invalid text."""
    try:
        parts = parse(text)
    except UsageError:
        return []
    return [part.name for part in parts] if len(parts) > 1 else []


def _part(piece: str, *, single: bool) -> Part:
    match = SHARED.fullmatch(piece)
    if match is None and not single:
        raise UsageError(f"strategy part {piece!r} has no share; write e.g. managed:0.3+cached:0.7")
    spec, share = (match["spec"], float(match["share"])) if match else (piece, 1.0)
    name, _, named = spec.rpartition("=")
    if named not in STRATEGIES and not USERS_OWN.fullmatch(named):
        raise UsageError(
            f"unknown strategy {named!r}{nearest(named, STRATEGIES)}; there are {', '.join(STRATEGIES)}, "
            "or package.module:attribute for one of your own"
        )
    return Part(name or named, named, share)
