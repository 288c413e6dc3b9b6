"""One execution environment as a real process: what its runtime asks, and what the fleet wants of it.

It is frozen as soon as its runtime asks for the next invocation and there is none; the next one thaws it.
"""

import errno
import signal
import time
from pathlib import Path
from typing import Any, NamedTuple

import gevent
from gevent.event import AsyncResult, Event
from gevent.queue import Queue

from loadtest.fleet.real.extensions import Extensions
from loadtest.fleet.real.function import with_values
from loadtest.fleet.real.launch_command import Launch
from loadtest.fleet.real.process import Process
from loadtest.fleet.real.runtime_api import Refused, Request, RuntimeApi

INIT_S = 10.0  # AWS Lambda developer guide: the init phase is limited to 10 seconds
GRACE_S = 0.5  # and a function that an extension has registered has 500 ms after SIGTERM
THIS_MACHINES = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)


class Failure(NamedTuple):
    """Why an invocation has no answer: an error type of the function's or of Lambda's, and its message."""

    kind: str
    message: str = ""


class Outcome(NamedTuple):
    """Of one invocation: its answer, or why there is none."""

    failure: Failure | None
    answer: bytes = b""


class Environment:
    """A process with a runtime and a function in it.

    ``failure`` says why it cannot be used any more, None while it can. One with a ``concurrency`` over 1 is
    of AWS's Managed Instances: its runtime forks as many processes, each of which serves an invocation at a
    time, and nothing freezes or stops them. Source: AWS Lambda developer guide, "Understanding the Lambda
    Managed Instances execution environment".
    """

    def __init__(self, launch: Launch, variables: dict[str, str], log: Path, concurrency: int = 1) -> None:
        """``variables`` go over the launch's own; ``log`` takes what is printed, up to a megabyte."""
        self._concurrency = concurrency
        self.failure: Failure | None = None
        self._asked = Event()  # the runtime has asked for an invocation: its init phase is over
        self._is_waiting = False  # it has asked for one, and there is none
        self._ready = Event()  # it can take an invocation, or never will
        self._extensions = Extensions()
        self._name = launch.function.name, launch.function.handler
        self._requests: Queue[Request | None] = Queue()  # None: none for who waits
        self._current: dict[str, tuple[Request, AsyncResult[Outcome]]] = {}  # by request id
        self._given_up: dict[str, Event] = {}  # set when they are answered after all
        self._leaving = False
        self._api = RuntimeApi(self)
        self._memory_mb = launch.function.memory_mb
        self._process: Process | None = None
        own = with_values(launch.function.environment, variables)
        environment = {**launch.defaults, **own, **launch.environment, **variables}
        environment["AWS_LAMBDA_RUNTIME_API"] = self._api.address
        if concurrency > 1:
            environment["AWS_LAMBDA_MAX_CONCURRENCY"] = str(concurrency)
            environment["AWS_LAMBDA_INITIALIZATION_TYPE"] = "lambda-managed-instances"
        try:
            self._process = Process(launch.command, launch.folder, environment, log, self._ended)
        except OSError as error:
            if error.errno in THIS_MACHINES:
                self._api.close()
                raise
            self._fail(Failure("Runtime.InvalidEntrypoint", f"{launch.command[0]}: {error.strerror}"))

    def __repr__(self) -> str:
        return f"<Environment: {self.failure.kind if self.failure else self._process!r}>"

    # For the fleet

    @property
    def is_frozen(self) -> bool:
        return self._process is not None and self._process.is_frozen

    @property
    def has_ended(self) -> bool:
        return self._process is None or self._process.has_ended

    @property
    def is_told(self) -> bool:
        """Whether it hears of its end beforehand: as on AWS, if an extension is registered."""
        return len(self._extensions) > 0

    def awake_s(self) -> float:
        """Seconds on a clock that stands still while it is frozen."""
        return time.monotonic() - (self._process.frozen_s() if self._process is not None else 0.0)

    def start(self, *, is_limited: bool = True) -> None:
        """Waits for the end of the init phase, for 10 s; :attr:`failure` says why it has failed.

        With ``is_limited`` False however long it takes.
        """
        if not self._asked.wait(INIT_S if is_limited else None) and self.failure is None:
            self._fail(Failure("Sandbox.Timedout", f"its init phase took more than {INIT_S:g} s"))
            self.kill()

    def invoke(self, request: Request) -> Outcome:
        """Thaws it for one invocation, once it can take one. As many at a time as its concurrency."""
        if self._concurrency == 1:
            self._ready.wait()
        if self.failure is not None:
            return Outcome(_told(self.failure, request))
        outcome: AsyncResult[Outcome] = AsyncResult()
        self._ready.clear()
        self._current[request.request_id] = request, outcome
        if self._process is not None:
            self._process.thaw()
        self._requests.put(request)
        self._extensions.tell(request.as_event())
        found: Outcome = outcome.get()
        if self._concurrency > 1:
            del self._current[request.request_id]
        return found

    def give_up(self, request_id: str) -> None:
        """The invoker of ``request_id`` waits no longer for the answer; whoever is at it goes on."""
        outcome = self._current[request_id][1]
        if not outcome.ready():
            self._given_up[request_id] = Event()
            outcome.set(Outcome(Failure("Sandbox.Timedout")))

    def finish(self, request_id: str) -> None:
        """Waits until it can take the next invocation after ``request_id``, or has failed.

        On AWS that is when its runtime and its extensions have asked for it. One of several at a time is
        over when it is answered, which it may be after it was given up.
        """
        if self._concurrency == 1:
            self._ready.wait()
        late = self._given_up.get(request_id)
        if late is not None:
            late.wait()
            del self._given_up[request_id]

    def kill(self) -> None:
        """Ends it at once, without a word to the function."""
        if self._process is not None:
            self._process.signal(signal.SIGKILL)
        self._api.close()
        self._fail(Failure("Runtime.ExitError", "the service has stopped it"))

    def terminate(self) -> bool:
        """Thaws it, sends SIGTERM, and waits for its end for up to 500 ms, while nothing freezes it.

        Returns whether it has ended.
        """
        self._leaving = True
        if self._process is None:
            return True
        self._process.thaw()
        self._process.signal(signal.SIGTERM)
        return self._process.wait(GRACE_S)

    def look(self) -> float:
        """Returns the seconds of CPU that it has used, and kills it if it uses more than its memory size."""
        if self._process is None:
            return 0.0
        cpu_s, used_mb = self._process.used(with_children=self._concurrency > 1)
        if used_mb > self._memory_mb and self.failure is None:
            said = f"it used {used_mb:.0f} MB, and its memory size is {self._memory_mb} MB"
            self._fail(Failure("Runtime.ExitError", said))
            self.kill()
        return cpu_s

    # For the Runtime API, as its Service

    def next(self) -> Request:
        if self.failure is not None:
            raise Refused("InvalidStateTransition", "The init phase has failed")
        if self._requests.empty() and self._current and self._concurrency == 1:
            ((request, outcome),) = self._current.values()
            if not outcome.ready():
                return request  # it asks again before it has answered
            self._current.clear()
        if (
            self._is_waiting and self._concurrency == 1
        ):  # its client has given up, and asks on another connection
            self._requests.put(None)
            gevent.sleep(0)
        self._is_waiting = True
        self._rest()
        wanted: Request | None = self._requests.get()
        self._is_waiting = False
        if wanted is None:
            if self.failure is not None:
                self._requests.put(None)  # for any other that waits
            raise gevent.GreenletExit
        return wanted

    def answered(self, request_id: str, answer: bytes) -> None:
        """``answer`` is the body of the invocation ``request_id``."""
        self._settle(request_id, Outcome(None, answer))

    def failed(self, request_id: str, error: dict[str, Any]) -> None:
        """``request_id`` is the invocation's, ``error`` has ``errorType`` and ``errorMessage``."""
        self._settle(request_id, Outcome(Failure(error["errorType"], error["errorMessage"])))

    def init_failed(self, error: dict[str, Any]) -> None:
        if self._asked.is_set():
            raise Refused("InvalidStateTransition", "The init phase has ended")
        self._fail(Failure(error["errorType"], error["errorMessage"]))

    def register(self, name: str, events: Any) -> tuple[str, dict[str, str]]:
        """``name`` and ``events`` as :meth:`Extensions.register` says."""
        identifier = self._extensions.register(name, events)
        name, handler = self._name
        return identifier, {"functionName": name, "functionVersion": "$LATEST", "handler": handler}

    def next_event(self, identifier: str) -> dict[str, Any]:
        """Of the extension ``identifier``."""
        extension = self._extensions.known(identifier)
        extension.is_waiting = True
        self._rest()
        event: dict[str, Any] | None = extension.events.get()
        extension.is_waiting = False
        if event is None:
            raise gevent.GreenletExit
        return event

    def extension_failed(self, identifier: str, error: dict[str, Any]) -> None:
        """``error`` of the extension ``identifier``, as :meth:`failed` has it: the environment ends."""
        self._extensions.known(identifier)
        self._fail(Failure(error["errorType"], error["errorMessage"]))
        self.kill()

    def _rest(self) -> None:
        """Freezes it once its runtime and its extensions have nothing more to do."""
        if not self._is_waiting or not self._extensions.are_waiting:
            return
        self._extensions.is_closed = True
        self._asked.set()
        self._ready.set()
        if self._requests.empty() and not self._leaving and self._concurrency == 1 and self._process:
            self._process.freeze()

    def _settle(self, request_id: str, outcome: Outcome) -> None:
        if request_id in self._given_up:
            self._given_up[request_id].set()
            return
        if request_id not in self._current:
            raise Refused("InvalidRequestID", "Invalid request ID")
        if self._current[request_id][1].ready():
            raise Refused("InvalidStateTransition", "The invocation has been answered")
        self._current[request_id][1].set(outcome)

    # Its end

    def _fail(self, failure: Failure) -> None:
        if self.failure is None:
            self.failure = failure
            self._requests.put(None)
            self._extensions.end()
        self._asked.set()
        self._ready.set()
        for request, outcome in self._current.values():
            if not outcome.ready():
                outcome.set(Outcome(_told(self.failure, request)))
        for late in self._given_up.values():
            late.set()

    def _ended(self, code: int) -> None:
        self._fail(Failure("Runtime.ExitError", f"Error: Runtime exited {_how(code)}"))
        self._api.close()


def _told(failure: Failure, request: Request) -> Failure:
    """As the invoker gets it: an error that is not the function's own names the request."""
    if failure.kind != "Runtime.ExitError":
        return failure
    return failure._replace(message=f"RequestId: {request.request_id} {failure.message}")


def _how(code: int) -> str:
    """A process ended, as AWS words it."""
    if code < 0:
        return f"with error: signal: {(signal.strsignal(-code) or str(-code)).lower()}"
    return f"with error: exit status {code}" if code else "without providing a reason"
