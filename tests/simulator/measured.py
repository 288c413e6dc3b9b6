"""What connecting, querying, asking and being refused cost on this machine, in CPU of both sides.

A process of its own, since gevent has to patch it first: ``python -m tests.simulator.measured DSN COUNT``
prints the costs as JSON.
"""

import gevent.monkey

gevent.monkey.patch_all()

import json  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402

import gevent  # noqa: E402
import psutil  # noqa: E402
import pymysql  # noqa: E402

from loadtest.dsn import Dsn  # noqa: E402
from loadtest.fleet.book import Book  # noqa: E402
from loadtest.fleet.clock import Clock  # noqa: E402
from loadtest.fleet.connection import Meter, tls_arguments  # noqa: E402
from loadtest.fleet.connector import Connector, Route  # noqa: E402
from loadtest.fleet.strategies import Plain  # noqa: E402
from loadtest.manager import census  # noqa: E402

AT_ONCE_COUNT = 20
RTT_S = 0.001
STATEMENT = "SELECT id, payload FROM loadtest_rows WHERE group_id = 7"


def machine_s():
    """CPU of the whole machine so far, in seconds."""
    spent = psutil.cpu_times()
    return sum(spent) - spent.idle - getattr(spent, "iowait", 0.0) - getattr(spent, "steal", 0.0)


def cost_s(make, count):
    """Seconds of CPU for one operation: this process's, and everybody else's, which is the server's.

    ``make()`` returns the operation; so many are made, and each does its part of ``count``, all at once.
    """
    operations = [make() for _ in range(AT_ONCE_COUNT)]

    def repeat(operation):
        for _ in range(count // AT_ONCE_COUNT):
            operation()

    own_s, all_s = time.process_time(), machine_s()
    gevent.joinall([gevent.spawn(repeat, operation) for operation in operations], raise_error=True)
    own_s, all_s = time.process_time() - own_s, machine_s() - all_s
    return own_s / count, max(0.0, all_s - own_s) / count


def costs(dsn, count):
    """The fields of :class:`~tests.simulator.server.Costs` that can be told apart from outside."""
    arguments = {**dsn.connect_arguments(), "autocommit": True, **tls_arguments("off")}
    book = Book(Clock(time.monotonic()), 0, lambda _row: None, lambda _row: None)
    connect = Connector(Route(book, RTT_S, arguments), Meter(1))
    own = [connect() for _ in range(AT_ONCE_COUNT)]
    place = iter(range(10**9))

    def kept():
        return own[next(place) % AT_ONCE_COUNT]

    def query():
        session = Plain(kept())
        return lambda: session.query(STATEMENT)

    def ask():
        connection = kept()
        return lambda: census.used_count(connection) or census.connected_count(connection)

    def scan():
        connection = kept()
        return lambda: census.classic_census(connection, 90)

    def refused():
        try:
            connect()
        except pymysql.OperationalError as error:
            if error.args[0] != 1040:
                raise
        else:
            raise SystemExit("the server was not full: is another client connected to it?")

    found = {}
    operations = {"connect": lambda: lambda: connect().close(), "query": query, "ask": ask, "scan": scan}
    for name, make in operations.items():
        cost_s(make, count)  # warm
        found[f"{name}_s"], found[f"server_{name}_s"] = cost_s(make, count)
    try:
        while True:
            own.append(connect())
    except pymysql.OperationalError:
        found["refused_s"], found["server_refused_s"] = cost_s(lambda: refused, count)
    for connection in own:
        connection.close()
    return found


if __name__ == "__main__":
    print(json.dumps(costs(Dsn.parse(sys.argv[1]), int(sys.argv[2]))))
