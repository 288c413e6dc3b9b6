"""The grammar of strategies in options, scenario files, the web page and run folders. Pure.

::

    strategy = part | part { "+" part }        a mixed fleet, whose shares add up to 1
    part     = [ name "=" ] spec [ "@" via ] [ ":" share ]
    spec     = direct | cached | classic | managed | ideal | package.module:attribute
             | lambda:python:path/file.function | lambda:node:path/file.function | lambda:provided:path
             | lambda:sam:template#name

The last four are real functions, each container a process; they need a name. ``via`` is the name of a proxy
in front of the server (:mod:`loadtest.settings.via`).
"""

import re
from typing import NamedTuple

from loadtest.errors import UsageError
from loadtest.settings.nearest import nearest

STRATEGIES = ("direct", "cached", "classic", "managed", "ideal")
ARM_NAME = re.compile(r"[A-Za-z0-9._:+=@-]+")
NAME_LENGTH = 200  # a folder is called so, and file systems take 255 bytes
PART_NAME = re.compile(r"[A-Za-z0-9._@-]+")
VIA_NAME = r"[A-Za-z][A-Za-z0-9_-]{0,30}"
THROUGH = re.compile(rf"(?P<spec>.+)@(?P<via>{VIA_NAME})")
SHARED = re.compile(r"(?P<spec>.+):(?P<share>\d*\.?\d+)")
USERS_OWN = re.compile(r"[\w.]+:\w+")
REAL = re.compile(r"lambda:(?P<runtime>\w+):(?P<path>[^\s:=+,@]+)")
RUNTIMES = ("python", "node", "provided", "sam")


class Part(NamedTuple):
    """One function of a fleet. ``spec`` and ``via``, "" for no proxy, are as in the grammar above."""

    name: str
    spec: str
    share: float  # of the arrivals, from 0 to 1
    via: str = ""

    @property
    def is_real(self) -> bool:
        """Whether its containers are processes of a real runtime."""
        return REAL.fullmatch(self.spec) is not None


def real_function(spec: str) -> tuple[str, str]:
    """The runtime and the path of a real function's ``spec``."""
    match = REAL.fullmatch(spec)
    assert match is not None, spec  # noqa: S101 - the caller asks `is_real` first
    return match["runtime"], match["path"]


def arm_name(text: str) -> str:
    """The name of the arm of a strategy's ``text``: ``base`` of ``base=pkg:a``, otherwise the whole text.

    In a mixed fleet real functions are named without their paths, which no folder's name can have.
    """
    if "+" in text:
        return "+".join(map(_piece_name, text.split("+")))
    name, equals, _ = text.partition("=")
    return name if equals else text


def _piece_name(piece: str) -> str:
    name, equals, spec = piece.partition("=")
    if not equals or not spec.startswith("lambda:"):
        return piece
    match = SHARED.fullmatch(spec)
    return f"{name}:{match['share']}" if match else name


def parse(text: str) -> list[Part]:
    """The parts of a strategy. Raises :class:`UsageError` with the text and what is wrong with it."""
    for piece in text.split("+"):
        if piece.startswith("lambda:"):
            raise UsageError(f"strategy {piece!r} is a real function, and needs a name, as in shop={piece}")
    if not ARM_NAME.fullmatch(arm_name(text)) or not arm_name(text).strip("."):
        raise UsageError(f"strategy {text!r}: a name may have letters, digits and . _ : + = @ - only")
    if len(arm_name(text)) > NAME_LENGTH:
        raise UsageError(
            f"strategy {text[:40]!r}…: a name may have {NAME_LENGTH} characters; name it, as in a=…"
        )
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
    """The names of a mixed fleet's parts, by its text or its arm's name.

    Empty for a single strategy or an invalid text.
    """
    try:
        parts = parse(text)
    except UsageError:
        pieces = [SHARED.fullmatch(piece) for piece in text.split("+")]
        # An arm's name does not say what its real functions are.
        names = [match["spec"] for match in pieces if match]
        return names if all(pieces) and all(PART_NAME.fullmatch(name) for name in names) else []
    return [part.name for part in parts] if len(parts) > 1 else []


def _part(piece: str, *, single: bool) -> Part:
    match = SHARED.fullmatch(piece)
    if match is None and not single:
        raise UsageError(f"strategy part {piece!r} has no share; write e.g. managed:0.3+cached:0.7")
    spec, share = (match["spec"], float(match["share"])) if match else (piece, 1.0)
    through = THROUGH.fullmatch(spec)
    spec, via = (through["spec"], through["via"]) if through else (spec, "")
    name, _, named = spec.rpartition("=")
    if named.startswith("lambda:"):
        return Part(*_real(piece, name, named), share, via)
    if named not in STRATEGIES and not USERS_OWN.fullmatch(named):
        raise UsageError(
            f"unknown strategy {named!r}{nearest(named, STRATEGIES)}; there are {', '.join(STRATEGIES)}, "
            "or package.module:attribute for one of your own"
        )
    return Part(name or (f"{named}@{via}" if via else named), named, share, via)


def _real(piece: str, name: str, spec: str) -> tuple[str, str]:
    match = REAL.fullmatch(spec)
    if match is None or match["runtime"] not in RUNTIMES:
        raise UsageError(
            f"strategy {piece!r}: write lambda:RUNTIME:PATH, with {', '.join(RUNTIMES)} as RUNTIME, such as "
            "shop=lambda:python:./shop/app.handler; a path has no space and none of : = + , @"
        )
    return name, spec
