"""The proxies of ``--via``: ``router``, ``haproxy``, or ``NAME=mysql://user@host:port/database``. Pure."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from loadtest.dsn import Dsn
from loadtest.errors import UsageError
from loadtest.settings.nearest import nearest
from loadtest.settings.strategy import VIA_NAME, parse

OURS = ("router", "haproxy")
GIVEN = "given"
WRITE = "write router, haproxy, or NAME=mysql://user@host:port/database for one of your own"


class Via(NamedTuple):
    """``kind`` is one of :data:`OURS`, which we start, or :data:`GIVEN`, which answers at ``address``."""

    name: str
    kind: str
    address: str = ""


def via_in(text: str) -> Via:
    """The proxy that ``text``, a value of ``--via``, stands for. Raises :class:`UsageError`."""
    name, equals, address = text.partition("=")
    if not equals:
        if text not in OURS:
            raise UsageError(f"unknown proxy {shown(text)!r}{nearest(text, OURS)}; {WRITE}")
        return Via(text, text)
    if "://" in name:
        raise UsageError(f"unknown proxy {shown(text)!r}; {WRITE}")
    if not re.fullmatch(VIA_NAME, name) or name in OURS:
        raise UsageError(
            f"a proxy of your own cannot be called {name!r}: take letters, digits, _ and -, and neither of "
            f"{', '.join(OURS)}"
        )
    if Dsn.parse(address).password:
        raise UsageError(f"proxy {name!r}: leave the password out, and set LOADTEST_PASSWORD")
    return Via(name, GIVEN, address)


def shown(text: str) -> str:
    """``text`` for a message, without what may be a password."""
    return re.sub(r"://.*", "://…", text, flags=re.S)


def vias_in(texts: Sequence[str], strategies: Sequence[str]) -> list[Via]:
    """The proxies of ``texts``, once it is sure that ``strategies`` take these ways and no others.

    Raises :class:`UsageError`.
    """
    found = [via_in(text) for text in texts]
    names = [via.name for via in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(f"two proxies are called {twice!r}: give it once")
    ways = {text: {part.via for part in parse(text)} - {""} for text in strategies}
    for text, several in ways.items():
        if len(several) > 1:
            raise UsageError(f"strategy {text!r} goes through {' and '.join(sorted(several))}: take one")
    taken = set().union(*ways.values())
    unknown = next(iter(sorted(taken - set(names))), None)
    if unknown:
        near = nearest(unknown, [*names, *OURS])
        own = f"--via {unknown}" if unknown in OURS else f"--via {unknown}=mysql://user@host:port/database"
        advice = f"{near}" if near and unknown not in OURS else f": give {own}"
        raise UsageError(f"a strategy goes through {unknown!r}, which no --via names{advice}")
    idle = next((name for name in names if name not in taken), None)
    if idle:
        raise UsageError(f"no strategy goes through {idle!r}: write one as in cached@{idle}")
    return found


def alone(strategy: str, texts: Sequence[str]) -> dict[str, list[str]]:
    """What a run of ``strategy`` alone has of a plan's strategies, and of its proxies ``texts``."""
    taken = {part.via for part in parse(strategy)}
    return {"strategies": [strategy], "via": [text for text in texts if via_in(text).name in taken]}
