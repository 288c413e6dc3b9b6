"""A simulated server: its connections, and what both sides spend on each request."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

ROUND_TRIPS_COUNT = 5  # of PyMySQL's connect: TCP, greeting, authentication, its end, SET NAMES
CONNECT_TIMEOUT_S = 10.0  # the server's: how long it waits for a client in the middle of a connect


@dataclass(frozen=True)
class Costs:
    """CPU of one operation in seconds, on the function's side and on the server's.

    The defaults were measured with ``python -m tests.simulator calibrate`` on two cores of an AMD EPYC with
    MySQL 9.7 in Docker, 20 operations at a time; ``invoke_s`` is from a run of ``ideal``, and what a goodbye
    costs is an estimate.
    """

    invoke_s: float = 330e-6  # of the generator, for each invocation: a greenlet, timers, a row, statistics
    query_s: float = 130e-6
    connect_s: float = 580e-6
    refused_s: float = 330e-6
    close_s: float = 40e-6
    ask_s: float = 50e-6
    scan_s: float = 300e-6
    server_query_s: float = 140e-6
    server_connect_s: float = 270e-6
    server_refused_s: float = 70e-6
    server_close_s: float = 80e-6
    server_ask_s: float = 20e-6
    server_scan_s: float = 250e-6

    def scaled(self, factor):
        """All of them times ``factor``, for a machine that is slower."""
        return Costs(**{name: factor * value for name, value in asdict(self).items()})

    @classmethod
    def read(cls, path):
        known = {field.name for field in fields(cls)}
        stored = json.loads(Path(path).read_text("utf-8"))
        return cls(**{name: float(value) for name, value in stored.items() if name in known})


MEASURED = Costs()


class Connection:
    """One connection, as the server has it. ``lease_s`` 0: it stays for as long as the client likes."""

    __slots__ = ("is_busy", "is_open", "lease_s", "opened_s", "used_s")

    def __init__(self, now_s, lease_s):
        self.is_open = True
        self.is_busy = False  # no lease runs during a statement
        self.opened_s = self.used_s = now_s
        self.lease_s = lease_s


class Server:
    """``limit`` connections at once. ``cpu`` is its resource, ``rtt_s`` a round trip to it in seconds.

    Methods with a ``client``, the resource of the other side, are flows.
    """

    def __init__(self, sim, cpu, limit, costs, rtt_s):
        self.sim = sim
        self.cpu = cpu
        self.limit = limit
        self.costs = costs
        self.rtt_s = rtt_s
        self.used_count = 0
        self.connects_count = 0
        self.refused_count = 0

    def connect(self, client, lease_s=0):
        """Returns a connection, or None when all are taken."""
        costs, rtt_s = self.costs, self.rtt_s
        yield client, 0.35 * costs.connect_s
        yield None, rtt_s
        if self.used_count >= self.limit:
            yield self.cpu, costs.server_refused_s
            yield None, rtt_s
            self.refused_count += 1
            yield client, max(0.0, costs.refused_s - 0.35 * costs.connect_s)
            return None
        self.used_count += 1
        connection = None
        try:
            yield self.cpu, 0.6 * costs.server_connect_s
            yield None, 2 * rtt_s
            yield client, 0.4 * costs.connect_s
            yield None, (ROUND_TRIPS_COUNT - 3) * rtt_s
            yield self.cpu, 0.4 * costs.server_connect_s
            yield client, 0.25 * costs.connect_s
            connection = Connection(self.sim.now_s, lease_s)
        finally:
            if connection is None:  # cut in the middle
                self.sim.resume(self._ended(), CONNECT_TIMEOUT_S)
        self.connects_count += 1
        if lease_s:
            self.sim.resume(self._expiry(connection), lease_s)
        return connection

    def query(self, connection, client):
        """One statement of the function's."""
        costs = self.costs
        connection.is_busy = True
        yield client, 0.5 * costs.query_s
        yield None, self.rtt_s
        yield self.cpu, costs.server_query_s
        yield client, 0.5 * costs.query_s
        connection.is_busy = False
        connection.used_s = self.sim.now_s

    def ask(self, connection, client, client_s, server_s):
        """One statement of the manager's own, which takes so much CPU of each side."""
        connection.is_busy = True
        yield None, self.rtt_s
        yield self.cpu, server_s
        yield client, client_s
        connection.is_busy = False
        connection.used_s = self.sim.now_s

    def close(self, connection, client):
        """The client says goodbye."""
        yield client, self.costs.close_s
        self.drop(connection)

    def drop(self, connection):
        """The server ends it, unless it has."""
        if connection.is_open:
            connection.is_open = False
            self.sim.resume(self._ended())

    def _ended(self):
        yield self.cpu, self.costs.server_close_s
        self.used_count -= 1

    def _expiry(self, connection):
        while connection.is_open:
            left_s = connection.used_s + connection.lease_s - self.sim.now_s
            if connection.is_busy:
                left_s = connection.lease_s
            if left_s <= 0:
                self.drop(connection)
                return
            yield None, left_s
