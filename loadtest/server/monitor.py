"""``python -m loadtest.server.monitor SAMPLES_CSV``: samples the server from a separate process.

Environment: ``LOADTEST_ADMIN_DSN``; ``LOADTEST_T0_MONOTONIC``, the ``time.monotonic()`` of the
run's t0 (all processes of a machine share that clock); ``LOADTEST_DSN``, the functions' account, to
tell whether it is the same; ``LOADTEST_MONITOR_HZ``, 5 by default; ``LOADTEST_PROXY_STATUS``, where a
proxy in front of the server tells how it is, and ``LOADTEST_PROXY_ALONE``, if all functions go through it.

It ends on SIGTERM or SIGINT, after a last sample, for which it waits up to a second until the functions'
connections are gone; and when its parent process is gone. It prints nothing. Its exit code is 2 if a
variable is missing or wrong, 3 if it could not write.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pymysql
from pymysql.cursors import Cursor

from loadtest.dsn import Dsn
from loadtest.errors import LoadtestError
from loadtest.results.csv_rows import CsvAppender
from loadtest.results.restarts import was_restarted
from loadtest.results.rows import Sample
from loadtest.server import census, connections, flavour, proxy_status

TIMEOUT_S = 1.0
DEFAULT_HZ = 5.0
GONE_S = 1.0  # after the load, for the server to notice that clients have gone
GONE_HZ = 20.0


class Monitor:
    """Samples over one connection, which is reopened after a sample that failed.

    ``t0_monotonic_s`` is ``time.monotonic()`` at the run's t0, from which the times of samples count.
    """

    def __init__(
        self,
        admin: Dsn,
        functions: Dsn | None,
        t0_monotonic_s: float,
        proxy: str = "",
        *,
        alone: bool = False,
    ) -> None:
        """``proxy`` is where a proxy tells how it is, "" for none; ``alone``: nobody goes around it."""
        self._admin = admin
        self._proxy, self._is_alone = proxy, alone
        self._harness_user = None if functions and functions.user == admin.user else admin.user
        self._t0_monotonic_s = t0_monotonic_s
        self._connection: pymysql.Connection[Cursor] | None = None
        self._queries: census.CensusQueries | None = None
        self._opened_count = 0  # connections of our own
        self._session_questions_count = 0  # statements of the one in use
        self._uptime: tuple[float, float] | None = None  # when it was read, and how long it was, in seconds
        self._questions_count = 0  # statements of our own

    def __repr__(self) -> str:
        return f"<Monitor of {self._admin}, {'connected' if self._connection else 'not connected'}>"

    def sample(self) -> Sample:
        """Never raises because of the server, and never waits longer than about 2 s."""
        at_s = time.monotonic() - self._t0_monotonic_s
        try:
            connection = self._connection or self._connect()
            with connection.cursor() as cursor:
                self._queries = self._queries or self._suited_queries(cursor)
                seen = census.ask(cursor, self._queries)
                self._asked(census.STATEMENTS_COUNT)
        except (pymysql.Error, OSError, RuntimeError) as error:
            self.close()
            status = self._proxys_status()
            return Sample(
                at_s,
                error=connections.short(error),
                clients_count=status and status.clients_count,
                waiting_count=status and status.waiting_count,
            )
        self._see_restart(at_s, seen.uptime_s)
        status = self._proxys_status()
        idle_count = status.idle_count if status is not None and self._is_alone else None
        return Sample(
            at_s=at_s,
            connections_count=seen.connections_count,
            running_count=seen.running_count,
            sleeping_count=seen.sleeping_count,
            oldest_sleep_s=seen.oldest_sleep_s,
            refused_count=seen.refused_count,
            # Each of our connections but the one in use has ended without a goodbye.
            aborted_clients_count=_less(seen.aborted_clients_count, self._opened_count - 1),
            questions_count=_less(seen.questions_count, self._questions_count),
            max_connections=seen.max_connections,
            opened_count=_less(seen.opened_count, self._opened_count),
            uptime_s=seen.uptime_s,
            clients_count=status and status.clients_count,
            waiting_count=status and status.waiting_count,
            pinned_count=None if idle_count is None else max(0, seen.sleeping_count - idle_count),
        )

    def _proxys_status(self) -> proxy_status.Status | None:
        """None without a proxy, and if it does not answer."""
        try:
            return proxy_status.ask(self._proxy) if self._proxy else None
        except (OSError, ValueError):
            return None

    def _connect(self) -> "pymysql.Connection[Cursor]":
        self._connection = connections.connect(self._admin, TIMEOUT_S)
        self._opened_count += 1
        self._session_questions_count = 0
        with self._connection.cursor() as cursor:
            cursor.execute("SHOW SESSION STATUS LIKE 'Questions'")  # what connecting took, and this one
            self._asked(int((cursor.fetchone() or ("", 0))[1]))
        return self._connection

    def _asked(self, statements_count: int) -> None:
        self._questions_count += statements_count
        self._session_questions_count += statements_count

    def _see_restart(self, at_s: float, uptime_s: int | None) -> None:
        """A server that was started again knows nothing of what we did before."""
        if uptime_s is None:
            return
        if self._uptime is not None and was_restarted(*self._uptime, at_s, uptime_s):
            self._opened_count, self._questions_count = 1, self._session_questions_count
        self._uptime = at_s, uptime_s

    def _suited_queries(self, cursor: Cursor) -> census.CensusQueries:
        self._asked(1)
        cursor.execute("SELECT VERSION(), @@GLOBAL.performance_schema")
        version, performance_schema = cursor.fetchone() or ("", 0)
        return census.queries(flavour.of_version(str(version)), bool(performance_schema), self._harness_user)

    def close(self) -> None:
        """Closes the socket only: a goodbye would wait for a server that hangs."""
        if self._connection is not None:
            self._connection._force_close()  # type: ignore[attr-defined]
            self._connection = None


def _less(count: int | None, own_count: int) -> int | None:
    return None if count is None else max(0, count - own_count)


def sample_the_end(monitor: Monitor, rows: CsvAppender) -> None:
    """The state after the load: samples until no function is connected, for about a second at most."""
    until_s = time.monotonic() + GONE_S
    while True:
        sample = monitor.sample()
        rows.append(sample)
        if sample.connections_count == 0 or time.monotonic() > until_s:
            return
        time.sleep(1 / GONE_HZ)


def run(monitor: Monitor, rows: CsvAppender, hz: float, wait: Callable[[float], bool]) -> None:
    """Samples ``hz`` times a second until ``wait(seconds)`` is True; a late sample is not made up for."""
    period_s, start = 1.0 / hz, time.monotonic()
    while True:
        rows.append(monitor.sample())
        ahead_s = period_s - (time.monotonic() - start) % period_s
        if wait(ahead_s):
            return


def main(arguments: list[str]) -> int:
    """Runs as the module says; ``arguments`` are the path of the CSV. Returns the exit code."""
    parent = os.getppid()
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    try:
        path = Path(arguments[0])
        admin = Dsn.parse(os.environ["LOADTEST_ADMIN_DSN"])
        functions = Dsn.parse(os.environ["LOADTEST_DSN"]) if os.environ.get("LOADTEST_DSN") else None
        t0_monotonic_s = float(os.environ["LOADTEST_T0_MONOTONIC"])
        hz = float(os.environ.get("LOADTEST_MONITOR_HZ") or DEFAULT_HZ)
    except (LoadtestError, IndexError, KeyError, ValueError):
        return 2
    proxy, alone = os.environ.get("LOADTEST_PROXY_STATUS", ""), "LOADTEST_PROXY_ALONE" in os.environ
    monitor = Monitor(admin, functions, t0_monotonic_s, proxy, alone=alone)

    def wait(seconds: float) -> bool:
        return stopped.wait(seconds) or os.getppid() != parent

    try:
        rows = CsvAppender(path, Sample)
        run(monitor, rows, hz, wait)
        if stopped.is_set():
            sample_the_end(monitor, rows)
        rows.close()
    except OSError:
        return 3
    finally:
        monitor.close()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
