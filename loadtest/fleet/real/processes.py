"""The runtime of real functions: each container is a process of its own, in a real runtime."""

import os
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore

from loadtest.fleet.book import Book
from loadtest.fleet.connection import Meter
from loadtest.fleet.container import Container, Reap
from loadtest.fleet.context import Context
from loadtest.fleet.real.environment import Environment, Failure
from loadtest.fleet.real.events import Events, content_of
from loadtest.fleet.real.launch_command import Launch
from loadtest.fleet.real.relay import HOST, Relay
from loadtest.fleet.real.runtime_api import Request
from loadtest.fleet.workload import Batch, Work
from loadtest.manager.errors import symbols
from loadtest.results.rows import THROTTLED, TIMEOUT, UNFINISHED
from loadtest.settings.plan import Settings
from loadtest.ways import Way

GOODBYES_S = 0.5
NOT_STARTED = "Sandbox.NotStarted"  # this machine could not
OURS = (THROTTLED, TIMEOUT, UNFINISHED)  # names that only the service may use
LONGEST_KIND = 80  # characters of a function's own error type
# What clients of MySQL raise: PEP 249's names in Python, a plain Error in Node.js, and our manager's own.
DRIVERS_ERRORS = {
    "DatabaseError", "DataError", "Error", "IntegrityError", "InternalError", "MySQLError", "NoConnection",
    "NotSupportedError", "OperationalError", "ProgrammingError",
}  # fmt: skip
PYTHONS_CODE = re.compile(r"\((\d{4}), ")  # the arguments of PyMySQL's, mysqlclient's and our own


class Instance:
    """What a container of a real function has: its process, and its way to the server."""

    __slots__ = ("environment", "relay", "requests")

    def __init__(self, environment: Environment, relay: Relay) -> None:
        self.environment = environment
        self.relay = relay
        self.requests: dict[int, str] = {}  # the newest of each container


class Processes:
    """A :class:`~loadtest.fleet.runtime.Runtime`. As many processes start at once as the settings say."""

    def __init__(
        self,
        launches: Mapping[str, Launch],
        events: Events,
        ways: Mapping[str, Way],
        book: Book,
        settings: Settings,
        logs: Path,
        secret: Callable[[], str] | None = None,
    ) -> None:
        """``launches`` and their ``ways`` are by the name of the part, ``events`` is what they are sent.

        Each container's log goes to the folder ``logs``. ``secret()`` is the account's password, where it may
        change: a container keeps the one with which it has started.
        """
        self._secret = secret
        self._events = events
        self._launches = launches
        self._ways = ways
        self._book = book
        self._settings = settings
        self._logs = logs
        self._starts = BoundedSemaphore(settings.starts_at_once or os.cpu_count() or 1)
        self._instances: set[Instance] = set()
        self._closed = False

    def timeout_s(self, part: str) -> float:
        """The function's own timeout, or else the run's. ``part`` is its name."""
        own = self._launches[part].function.timeout_s
        return self._settings.function_timeout_s if own is None else own

    def slots_count(self, part: str) -> int:
        """As many as an environment has processes, whatever the ``part``."""
        del part
        return self._settings.processes_per_environment

    def share(self, container: Container, other: Container) -> None:
        """``other`` gets the instance of ``container``."""
        other.function = container.function

    def finish(self, container: Container) -> None:
        """As :class:`~loadtest.fleet.runtime.Runtime` says."""
        instance: Instance | None = container.function
        if instance is None:
            return
        instance.environment.finish(instance.requests[container.number])
        if self._settings.processes_per_environment > 1:
            container.meter.cut = False  # nothing has stopped it

    def start(self, container: Container) -> float:
        """Starts the process and waits for the end of its init phase.

        Returns how many seconds that took, without those in which it connected: they are the database's.
        """
        began_s = time.monotonic()
        with self._starts:
            if not self._closed:
                self._start(container)
        connect_s: float = container.meter.connect_s
        return max(0.0, time.monotonic() - began_s - connect_s)

    def _start(self, container: Container) -> None:
        relay = None
        try:
            server = self._ways[container.part].dsn
            address = server.host, server.port
            concurrency = self._settings.processes_per_environment
            # Nobody can tell which of several processes has connected.
            meter = container.meter if concurrency == 1 else Meter(container.number)
            relay = Relay(self._book, meter, address, self._settings.rtt_ms / 1000)
            self._logs.mkdir(parents=True, exist_ok=True)
            environment = self._environment(container, relay)
        except BaseException as problem:
            if relay is not None:
                relay.close()
            if not isinstance(problem, OSError):
                raise
            return  # no descriptor, no process or no disk to be had: not the function's fault
        instance = container.function = Instance(environment, relay)
        self._instances.add(instance)
        environment.start()
        if environment.failure is not None:
            environment.kill()

    def _environment(self, container: Container, relay: Relay) -> Environment:
        """Made in a greenlet of its own: whoever waits may be killed while the process comes to be."""
        launch, log = self._launches[container.part], self._logs / f"{container.number}.log"
        concurrency = self._settings.processes_per_environment
        making = gevent.spawn(_made, launch, self._variables(container.part, relay.port), log, concurrency)
        try:
            environment: Environment | None
            environment, problem = making.get()
        except BaseException:
            making.link_value(_kill)
            raise
        if environment is None:
            raise problem
        relay.clock = environment.awake_s
        return environment

    def _start_again(self, container: Container, instance: Instance) -> None:
        """After an init phase that failed: once more, as part of the invocation, and within its timeout.

        Source: AWS Lambda developer guide, "Understanding the Lambda execution environment lifecycle".
        """
        with suppress(OSError):
            environment = self._environment(container, instance.relay)
            if container.meter.cut or self._closed:  # meanwhile
                environment.kill()
                return
            instance.environment = environment
            environment.start(is_limited=False)  # it is cut at its timeout

    def invoke(self, container: Container, work: Work | Batch, context: Context) -> str:
        """As :class:`~loadtest.fleet.runtime.Runtime` says.

        The error is a code of the server's with its name, if the server's newest error made the function
        fail; else an error type of the function's or of Lambda's.
        """
        instance: Instance | None = container.function
        if instance is None:
            return NOT_STARTED
        launch = self._launches[container.part]
        instance.relay.error_code = 0
        is_alone = self._settings.processes_per_environment == 1
        if instance.environment.failure is not None and container.invocations_count == 1 and is_alone:
            self._start_again(container, instance)
        left_s = context.get_remaining_time_in_millis() / 1000
        request = Request(
            f"{container.number:08x}-0000-4000-8000-{container.invocations_count:012x}",
            self._event(work),
            int(1000 * (time.time() + left_s)),
            launch.arn,
            f"Root=1-{int(time.time()):08x}-{container.number:024x};Parent={container.number:016x};Sampled=0",
        )
        instance.requests[container.number] = request.request_id
        failure, answer = instance.environment.invoke(request)
        if container.meter.cut:
            return TIMEOUT
        if failure is None:
            return self._problem(work, answer)
        return _label(failure, instance.relay.error_code if is_alone else 0)

    def _event(self, work: Work | Batch) -> bytes:
        if isinstance(work, Batch):
            return self._events.batch([(one.id, one.group) for one in work.works])
        return self._events.event(work.id, work.group)

    def _problem(self, work: Work | Batch, answer: bytes) -> str:
        if isinstance(work, Batch):
            work.judge(content_of(answer))
            return ""
        return self._events.problem(answer)

    def is_lost(self, container: Container) -> bool:
        """Whether its process has ended or its init phase has failed: the service makes a new environment."""
        return container.function is None or container.function.environment.failure is not None

    def discard(self, container: Container) -> None:
        """As :class:`~loadtest.fleet.runtime.Runtime` says."""
        instance, container.function = container.function, None
        if instance is not None:
            self._end(instance)

    def cut(self, container: Container, greenlet: Any, is_running: Callable[[], bool]) -> None:
        """Kills the process; its connections stay on the server or are closed, as ``timeout_leaves`` says.

        One of several in an environment goes on, and only its invocation ends.

        ``greenlet`` and ``is_running`` are of no use: the invocation ends when its process does.
        """
        del greenlet, is_running
        container.meter.cut = True
        instance: Instance = container.function
        if self._settings.processes_per_environment > 1:
            instance.environment.give_up(instance.requests[container.number])
            return
        if self._settings.timeout_leaves == "zombie":
            instance.relay.abandon()
        else:
            instance.relay.cut()
        self._end(instance)

    def reap(self, container: Container, how: Reap) -> None:
        """SIGKILL, after its connections were kept or closed, as ``how`` says.

        One that is told, and has registered an extension, gets SIGTERM and 500 ms before.
        """
        instance, container.function = container.function, None
        if instance is None:
            return
        if how is Reap.TOLD and instance.environment.is_told:
            gevent.spawn(self._let_go, instance)
            return
        if how is Reap.CLOSED:
            instance.relay.cut()
        else:
            instance.relay.abandon()
        self._end(instance)

    def cpu_s(self) -> float:
        """As :class:`~loadtest.fleet.runtime.Runtime` says; and kills who has outgrown its memory size."""
        ended = getrusage(RUSAGE_CHILDREN)
        return ended.ru_utime + ended.ru_stime + sum(one.environment.look() for one in list(self._instances))

    def close(self) -> None:
        """Kills what is left at the end of the run, and starts no more."""
        self._closed = True
        for instance in list(self._instances):
            self._end(instance)

    def _let_go(self, instance: Instance) -> None:
        if instance.environment.terminate():
            instance.relay.settle(GOODBYES_S)  # what it said at its end is under way
        instance.relay.abandon()
        self._end(instance)

    def _end(self, instance: Instance) -> None:
        instance.environment.kill()
        instance.relay.close()
        self._instances.discard(instance)

    def _variables(self, part: str, port: int) -> dict[str, str]:
        """Where the function finds its server; and how it is to connect and work, if it heeds that."""
        way = self._ways[part]
        account = way.dsn
        return {
            "MYSQL_HOST": HOST,
            "MYSQL_PORT": str(port),
            "MYSQL_USER": account.user,
            "MYSQL_PASSWORD": account.password if self._secret is None else self._secret(),
            "MYSQL_DATABASE": account.database,
            "MYSQL_TLS": way.tls,
            "WORK_MS": f"{self._settings.work_ms:g}",
        }


def _made(*arguments: Any) -> tuple[Environment | None, OSError | None]:
    try:
        return Environment(*arguments), None
    except OSError as problem:  # for whoever waits; the hub would print it
        return None, problem


def _kill(making: gevent.Greenlet) -> None:
    environment, _ = making.value
    if environment is not None:
        environment.kill()


def _label(failure: Failure, code: int) -> str:
    """The server's error if that is what the function failed with, as far as can be told; else the type.

    ``code`` is the error of the server's newest answer, 0 if that was a good one or could not be read (TLS).
    """
    if failure.kind in DRIVERS_ERRORS:
        said = PYTHONS_CODE.match(failure.message)
        code = int(said[1]) if said else code
        if code:
            return f"{code} {symbols().get(code, 'unknown')}"
    kind = failure.kind[:LONGEST_KIND].encode("utf-8", "replace").decode()
    return f"function's {kind}" if kind in OURS else kind
