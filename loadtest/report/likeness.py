"""Whether two runs may be compared at all: what differs beside the figures. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

# Settings that may differ: they say how often and in what order, are words, or are told by the server.
FREE = {"strategies", "repetitions", "reruns", "description", "scenario", "max_connections"}
SERVER = {
    "flavour": "the kind of server",
    "version": "the version of the server",
    "path": "the path to the server",
    "max_connections": "max_connections of the server",
}
MACHINE = {
    "host": "the machine",
    "architecture": "the machine's architecture",
    "cpus_count": "the machine's number of CPUs",
    "python": "the version of Python",
}
MOST = 20  # more are another benchmark
TOUCHES = {"slo_ms": frozenset({"good_ratio"})}


class Unlike(NamedTuple):
    """Something that differs, and the measures that it touches (empty: all)."""

    text: str
    touches: frozenset[str] = frozenset()

    def touches_measure(self, name: str) -> bool:
        return not self.touches or name in self.touches


def unlike(base: Mapping[str, Any], candidate: Mapping[str, Any]) -> list[Unlike]:
    """Of two summaries. What one of them does not know is no difference."""
    settings, servers, machines = (
        _pair(base, candidate, key) for key in ("scenario", "server", "environment")
    )
    found = _fields(settings, {"scenario": "scenario"})
    same = sorted((settings[0].keys() & settings[1].keys()) - FREE)
    found += _fields(settings, {name: name for name in same})
    found += _fields(servers, SERVER)
    found += _fields(machines, MACHINE)
    versions = _pair(machines[0], machines[1], "versions")
    found += _fields(versions, {name: f"the version of {name}" for name in sorted(versions[0])})
    found = list(dict.fromkeys(found))
    if len(found) > MOST:
        return [*found[:MOST], Unlike(f"and {len(found) - MOST} more settings and versions differ")]
    return found


def _pair(base: Mapping[str, Any], candidate: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    return [found if isinstance(found := side.get(key), dict) else {} for side in (base, candidate)]


def _fields(sides: list[dict[str, Any]], called: Mapping[str, str]) -> list[Unlike]:
    return [
        Unlike(f"{text} differs: {_short(base)} and {_short(candidate)}", TOUCHES.get(name, frozenset()))
        for name, text in called.items()
        if None not in (base := sides[0].get(name), candidate := sides[1].get(name)) and base != candidate
    ]


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value) or "none"
    return text if len(text) <= 60 else text[:59] + "…"
