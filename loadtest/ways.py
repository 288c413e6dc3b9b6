"""The ways by which functions reach the server: its own address, and the proxies in front of it."""

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from loadtest.dsn import Dsn

ONE_FOR_ONE = "haproxy"  # each client of it has a connection of the server, and no statement is added
VARIABLE = "LOADTEST_PROXIES"  # what a bench tells the processes that make its load


class Way(NamedTuple):
    """``tls`` is on or off, for the functions that take this way.

    Of a proxy, ``kind`` is router, haproxy or given, and at ``status`` it tells how it is, "" if it does not.
    """

    dsn: Dsn
    tls: str
    kind: str = ""
    status: str = ""


NO_PROXIES: Mapping[str, Way] = MappingProxyType({})


def told(proxies: Mapping[str, Way]) -> dict[str, str]:
    """``proxies``, by name, as :data:`VARIABLE`, if there are any. It holds their passwords."""
    if not proxies:
        return {}
    return {VARIABLE: json.dumps({name: (way.dsn.url(), *way[1:]) for name, way in proxies.items()})}


def proxies_in(environment: Mapping[str, str]) -> dict[str, Way]:
    """The proxies of which an ``environment`` tells, by name."""
    named = json.loads(environment.get(VARIABLE) or "{}")
    return {name: Way(Dsn.parse(url), *others) for name, (url, *others) in named.items()}


class Taken(NamedTuple):
    """The proxy that a strategy goes through. ``alone``: all of its parts do."""

    name: str
    way: Way
    alone: bool


def taken(names: Iterable[str], proxies: Mapping[str, Way]) -> Taken | None:
    """The one of ``proxies`` that is among ``names``, by which a strategy's parts go; "" is the server."""
    names = set(names)
    name = next((name for name in proxies if name in names), None)
    return None if name is None else Taken(name, proxies[name], "" not in names)
