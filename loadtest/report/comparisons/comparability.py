"""What else than the figures differs between two runs, so that they may not be comparable. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from loadtest.results.summary import Summary

# Settings that may differ: number and order of repetitions, names, and what the server says itself.
IGNORED = {"strategies", "repetitions", "reruns", "description", "scenario", "max_connections"}
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
MISMATCHES_COUNT = 20  # with more it is another benchmark
AFFECTS = {"slo_ms": frozenset({"good_ratio"})}


class Mismatch(NamedTuple):
    """Something that differs, and the measures that it affects (empty: all)."""

    text: str
    measures: frozenset[str] = frozenset()

    def affects(self, measure: str) -> bool:
        """Whether ``measure``, a name such as ``latency_ms.p50``, may differ because of this alone."""
        return not self.measures or measure in self.measures


def mismatches(base: Summary, candidate: Summary) -> list[Mismatch]:
    """The settings, server, machine and versions that differ. What one run does not know is no mismatch."""
    settings = _both(base.scenario, candidate.scenario)
    machines = _both(base.environment, candidate.environment)
    versions = _both(machines[0].get("versions"), machines[1].get("versions"))
    found = _fields(settings, {"scenario": "scenario"})
    same = sorted((settings[0].keys() & settings[1].keys()) - IGNORED)
    found += _fields(settings, {name: name for name in same})
    found += _fields(_both(base.server, candidate.server), SERVER)
    found += _fields(machines, MACHINE)
    found += _fields(versions, {name: f"the version of {name}" for name in sorted(versions[0])})
    found = list(dict.fromkeys(found))
    if len(found) > MISMATCHES_COUNT:
        rest_count = len(found) - MISMATCHES_COUNT
        return [*found[:MISMATCHES_COUNT], Mismatch(f"and {rest_count} more settings and versions differ")]
    return found


def _both(base: Any, candidate: Any) -> list[dict[str, Any]]:
    """What should be objects, and may be anything."""
    return [value if isinstance(value, dict) else {} for value in (base, candidate)]


def _fields(sides: list[dict[str, Any]], titles: Mapping[str, str]) -> list[Mismatch]:
    return [
        Mismatch(f"{title} differs: {_short(base)} and {_short(candidate)}", AFFECTS.get(name, frozenset()))
        for name, title in titles.items()
        if None not in (base := sides[0].get(name), candidate := sides[1].get(name)) and base != candidate
    ]


def _short(value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value) or "none"
    return text if len(text) <= 60 else text[:59] + "…"
