"""The ways by which functions reach the server: its own address, and the proxies in front of it."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from loadtest.dsn import Dsn

VARIABLE = "LOADTEST_PROXIES"  # what a bench tells the processes that make its load


class Way(NamedTuple):
    """``tls`` is on or off, for the functions that take this way."""

    dsn: Dsn
    tls: str


NO_PROXIES: Mapping[str, Way] = MappingProxyType({})


def told(proxies: Mapping[str, Way]) -> str:
    """``proxies``, by name, as the value of :data:`VARIABLE`. It holds their passwords."""
    return json.dumps({name: (way.dsn.url(), way.tls) for name, way in proxies.items()})


def proxies_in(environment: Mapping[str, str]) -> dict[str, Way]:
    """The proxies of which an ``environment`` tells, by name."""
    named = json.loads(environment.get(VARIABLE) or "{}")
    return {name: Way(Dsn.parse(url), tls) for name, (url, tls) in named.items()}
