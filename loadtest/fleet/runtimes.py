"""The runtime of a fleet, by what its strategy names: functions of this process, real ones, or both."""

from collections.abc import Callable, Mapping
from math import isnan
from pathlib import Path
from typing import Any

from loadtest.dsn import Dsn
from loadtest.fleet.book import Book
from loadtest.fleet.container import Container, Reap
from loadtest.fleet.context import Context
from loadtest.fleet.real.dependencies import ready_launch
from loadtest.fleet.real.events import Events
from loadtest.fleet.real.processes import Processes
from loadtest.fleet.runtime import Runtime, in_process
from loadtest.fleet.workload import Batch, Work
from loadtest.settings.plan import Settings
from loadtest.settings.strategy import Part
from loadtest.ways import NO_PROXIES, Way


def runtime_of(
    settings: Settings, parts: list[Part], server: Dsn, book: Book, pool_size: int, home: str, logs: Path,
    secret: Callable[[], str] | None = None, proxies: Mapping[str, Way] = NO_PROXIES,
) -> Runtime:  # fmt: skip
    """``pool_size`` is the number of connections of ``ideal``'s pool.

    A user's modules and real functions are looked up in the folder ``home``; what real functions print goes
    to the folder ``logs``. ``secret()`` is the account's password, where it may change; ``proxies`` are those
    in front of the ``server``, by name. Raises what :func:`in_process`, :func:`ready_launch` and
    :class:`Events` raise.
    """
    real = [part for part in parts if part.is_real]
    launches = {part.name: ready_launch(part, home) for part in real}
    emulated = [part for part in parts if not part.is_real]
    if not launches:
        return in_process(settings, emulated, server, book, pool_size, home, secret, proxies)
    ways = {**proxies, "": Way(server, settings.tls)}
    servers = {part.name: ways[part.via] for part in real}
    processes = Processes(launches, Events(settings.event, home), servers, book, settings, logs, secret)
    if not emulated:
        return processes
    functions = in_process(settings, emulated, server, book, pool_size, home, secret, proxies)
    return ByPart({part.name: processes if part.is_real else functions for part in parts})


class ByPart:
    """A mixed fleet's: each container has the runtime of its part."""

    def __init__(self, runtimes: Mapping[str, Runtime]) -> None:
        self._runtimes = runtimes

    def timeout_s(self, part: str) -> float:
        """``part`` as :class:`Runtime` says."""
        return self._runtimes[part].timeout_s(part)

    def slots_count(self, part: str) -> int:
        """``part`` as :class:`Runtime` says."""
        return self._runtimes[part].slots_count(part)

    def share(self, container: Container, other: Container) -> None:
        """``other`` as :class:`Runtime` says."""
        self._runtimes[container.part].share(container, other)

    def finish(self, container: Container) -> None:
        self._runtimes[container.part].finish(container)

    def start(self, container: Container) -> float:
        return self._runtimes[container.part].start(container)

    def invoke(self, container: Container, work: Work | Batch, context: Context) -> str:
        return self._runtimes[container.part].invoke(container, work, context)

    def is_lost(self, container: Container) -> bool:
        return self._runtimes[container.part].is_lost(container)

    def discard(self, container: Container) -> None:
        self._runtimes[container.part].discard(container)

    def cut(self, container: Container, greenlet: Any, is_running: Callable[[], bool]) -> None:
        """``greenlet`` and ``is_running`` as :class:`Runtime` says."""
        self._runtimes[container.part].cut(container, greenlet, is_running)

    def reap(self, container: Container, how: Reap) -> None:
        """``how`` as :class:`Runtime` says."""
        self._runtimes[container.part].reap(container, how)

    def cpu_s(self) -> float:
        known = (runtime.cpu_s() for runtime in set(self._runtimes.values()))
        return sum(seconds for seconds in known if not isnan(seconds))

    def close(self) -> None:
        for runtime in set(self._runtimes.values()):
            runtime.close()
