"""The row types. Times are seconds since the run's ``t0``; nothing is rounded.

The annotations are the schema of the recorder and of the Parquet files. An unknown float is NaN in a row and
null on disk.
"""

from math import nan
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# Since nobody can tell which of a real function's statements are its work, and which of several processes
# that share a way to the server has connected.
MAY_BE_UNKNOWN = ("connect_s", "query_s", "manage_s")
LATER = (  # columns that files of older versions lack
    "functions_cpu_ratio", "shortages_count", "due_count", "connects_count", "opened_count", "refused_count",
    "quits_count", "statements_count", "uptime_s", "clients_count", "waiting_count", "pinned_count",
    "queued_count", "queued_oldest_s",
)  # fmt: skip

Times = TypeVar("Times", float, "npt.NDArray[np.float64]")

# The service's own errors; all others are a code of the server's or the name of an exception, and of real
# functions also Lambda's, and those of who sends their events.
THROTTLED, TIMEOUT, UNFINISHED = "throttled", "timeout", "unfinished"
LAMBDAS = (
    "Function.ResponseSizeTooLarge", "Runtime.ExitError", "Runtime.HandlerNotFound",
    "Runtime.ImportModuleError", "Runtime.InvalidEntrypoint", "Runtime.MarshalError",
    "Runtime.UnmarshalError", "Runtime.UserCodeSyntaxError", "Sandbox.NotStarted", "Sandbox.Timedout",
    "batchItemFailures", *(f"http {status}" for status in range(500, 600)),
)  # fmt: skip


def latency(due: Times, finished: Times, cold_start: Times) -> Times:
    """From the due time to the answer, minus the emulated cold start. Numbers or arrays, all in one unit.

    Coordinated omission is included: latency starts when an arrival was due, not when it was sent.
    """
    return finished - due - cold_start


class Invocation(NamedTuple):
    """One arrival and what became of it. ``error`` is "" when it was answered."""

    worker: int
    arrival: int  # number of the arrival within its client (open model) or container (closed)
    client: int
    container: int  # -1: none served it: throttled, or its turn had not come when the run ended
    part: str  # which part of a mixed fleet; the strategy's name otherwise
    due_s: float
    started_s: float = nan  # entry into the handler; NaN when it never ran
    finished_s: float = nan
    cold: bool = False
    cold_start_s: float = 0.0
    connect_s: float = 0.0  # spent in connects, refused ones included
    query_s: float = 0.0  # spent in round trips of the workload's statements; NaN of a real function
    manage_s: float = 0.0  # the rest of the function but its own work: waits, looks, closes; NaN likewise
    connects_count: int = 0
    retries_count: int = 0  # connects that followed a refused one
    overhead_queries_count: int = 0  # statements beside the workload's own; of a real function all of them
    error: str = ""

    @property
    def latency_s(self) -> float:
        """Seconds that the client waited because of the database; NaN if there was no answer."""
        return latency(self.due_s, self.finished_s, self.cold_start_s)


class Attempt(NamedTuple):
    """One delivery of an event to its function, where a queue is before it: ``--invoke async`` and ``queue``.

    Those with the same ``invocation``, which counts from 0 in each worker, were one batch. The row of the
    arrival itself is that of its newest attempt.
    """

    worker: int
    arrival: int
    client: int
    invocation: int
    container: int  # -1: throttled
    part: str
    started_s: float = nan
    finished_s: float = nan
    cold: bool = False
    cold_start_s: float = 0.0
    error: str = ""


class ConnectionLife(NamedTuple):
    """One connection of a function, from its handshake to its end."""

    worker: int
    container: int  # -1: of the shared pool of `ideal`
    server_id: int  # the server's connection id
    opened_s: float
    closed_s: float = nan  # when our side let go of it
    fate: str = "open"  # closed, expired, killed, lost, zombie, open
    reaped_s: float = nan  # when its container went without closing it
    gone_s: float = nan  # when the server was seen to have dropped it
    killed_by: int = -1  # container that killed it; -1: nobody


class Kill(NamedTuple):
    """One KILL that a function sent."""

    worker: int
    container: int
    server_id: int  # the victim
    at_s: float
    error: str = ""


class Pin(NamedTuple):
    """A statement that bound its client to one connection of the server behind a proxy.

    Once for each cause on a connection; for each transaction.
    """

    worker: int
    container: int
    at_s: float
    cause: str


class Lag(NamedTuple):
    """A stall of the generator's loop: whatever overlaps it may have been measured late."""

    worker: int
    started_s: float
    finished_s: float


class Sample(NamedTuple):
    """What the server said about its connections at one moment, without the monitor's own.

    The counters are since the server's start, which was ``uptime_s`` ago. Older versions left the monitor's
    own statements among the questions. The last three are what a proxy in front of it says, None without one
    and where it does not say it.
    """

    at_s: float
    connections_count: int | None = None
    running_count: int | None = None
    sleeping_count: int | None = None
    oldest_sleep_s: float | None = None
    refused_count: int | None = None
    aborted_clients_count: int | None = None
    questions_count: int | None = None
    max_connections: int | None = None
    error: str = ""
    opened_count: int | None = None  # logins that succeeded, and those that are under way
    uptime_s: int | None = None
    clients_count: int | None = None  # of the proxy
    waiting_count: int | None = None  # those of them that wait for a connection of the server
    pinned_count: int | None = None  # connections that sleep on the server, and that one client alone may use


class GeneratorSecond(NamedTuple):
    """One second of a generator process. Counts of invocations are since the repetition began.

    So are those from ``due_count`` on, which are kept apart from the rows, to check them. None is unknown:
    what functions send under TLS of their own, and how many statements are in one that has several.
    """

    at_s: float
    worker: int
    loop_lag_max_ms: float
    lateness_p99_ms: float = nan  # NaN: nothing was due
    cpu_ratio: float = 0.0
    machine_cpu_ratio: float = 0.0
    steal_ratio: float = 0.0
    rss_bytes: int = 0
    arrivals_count: int = 0
    errors_count: int = 0
    in_flight_count: int = 0
    containers_count: int = 0
    connections_count: int = 0
    zombies_count: int = 0
    functions_cpu_ratio: float = nan  # of one core, of all processes of real functions
    shortages_count: int | None = None  # connects for which this machine had no port or file left
    due_count: int | None = None  # arrivals handed to the fleet
    connects_count: int | None = None  # connects that functions began
    opened_count: int | None = None  # those that became connections
    refused_count: int | None = None  # those that a full server refused (1040)
    quits_count: int | None = None  # connections that functions ended with a goodbye
    statements_count: int | None = None  # sent by functions, without goodbyes, as the server counts them
    queued_count: int | None = None  # events that wait for an invocation; None without a queue
    queued_oldest_s: float | None = None  # for how long the oldest of them does; None if there is none


class Start(NamedTuple):
    """A container of a real function has come up: a process, up to the end of its init phase."""

    worker: int
    container: int
    part: str
    at_s: float  # when it was wanted
    init_s: float = 0.0  # without the time in which it connected, and with any wait for a core to start on
    connect_s: float = 0.0


ROW_TYPES: dict[str, type[tuple[Any, ...]]] = {
    "invocations": Invocation,
    "attempts": Attempt,
    "starts": Start,
    "connections": ConnectionLife,
    "kills": Kill,
    "pins": Pin,
    "lags": Lag,
}
