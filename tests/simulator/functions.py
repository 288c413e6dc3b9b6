"""Simulated functions: how each strategy holds its connection.

``invoke(deadline_s)`` is a flow that returns the error, "" for an answer. What ``Managed`` and ``Classic``
decide is their own code (``loadtest/manager/``): only the statements that carry it out are simulated.
"""

from collections import deque
from math import inf

import pymysql

from loadtest.manager.decision import Ask, AskPressure, Census, Keep, Kill, Rhythm
from loadtest.manager.view import View
from tests.simulator.server import Connection

FULL = pymysql.OperationalError(1040, "Too many connections")
REFUSED, TIMEOUT, THROTTLED = "1040", "timeout", "throttled"
# How long the server was up when the load began: TIME of the event scheduler's row, which Classic takes for
# the age of the oldest connection.
UPTIME_S = 60.0


class Function:
    """What one container runs. ``client`` is its CPU; ``work_s`` is how long it holds its connection after
    the statement."""

    def __init__(self, server, client, work_s):
        self.server = server
        self.client = client
        self.work_s = work_s
        self.connection = None

    def _work(self, connection):
        yield from self.server.query(connection, self.client)
        yield None, self.work_s


class Direct(Function):
    """Connect, query, close in every invocation."""

    def invoke(self, _deadline_s):
        self.connection = yield from self.server.connect(self.client)
        if self.connection is None:
            return REFUSED
        yield from self._work(self.connection)
        yield from self.server.close(self.connection, self.client)
        self.connection = None
        return ""


class Cached(Function):
    """Connect once, and reuse."""

    def invoke(self, _deadline_s):
        if self.connection is None:
            self.connection = yield from self.server.connect(self.client)
            if self.connection is None:
                return REFUSED
        yield from self._work(self.connection)
        return ""


class Pool:
    """A resource: connections that were opened before. The longest waiting is served first."""

    def __init__(self, server, size):
        server.used_count += size
        self._sim = server.sim
        self._free = deque(Connection(0.0, 0) for _ in range(size))
        self._waiting = deque()

    def take(self, flow, ticket):
        ticket["flow"] = flow
        self._waiting.append(ticket)

    def borrow(self):
        """A flow; returns a connection."""
        if self._free:
            return self._free.popleft()
        ticket = {}
        try:
            yield self, ticket
        except GeneratorExit:
            if "connection" in ticket:
                self.give_back(ticket["connection"])
            ticket["is_gone"] = True
            raise
        return ticket["connection"]

    def give_back(self, connection):
        while self._waiting:
            ticket = self._waiting.popleft()
            if "is_gone" not in ticket:
                ticket["connection"] = connection
                self._sim.resume(ticket["flow"])
                return
        self._free.append(connection)


class Ideal(Function):
    """A perfect pool that all containers of a process share."""

    def __init__(self, server, client, work_s, pool):
        super().__init__(server, client, work_s)
        self._pool = pool

    def invoke(self, _deadline_s):
        connection = yield from self._pool.borrow()
        try:
            yield from self._work(connection)
        finally:
            self._pool.give_back(connection)
        return ""


class WithManager(Function):
    """With the manager, a policy and a backoff. A session starts with a lease of ``lease_s``; 0: none."""

    def __init__(self, server, client, work_s, policy, backoff, lease_s):
        super().__init__(server, client, work_s)
        self._policy = policy
        self._backoff = backoff
        self._lease_s = lease_s
        self._rhythm = Rhythm(policy.unproven_gap_s)
        self._view = None
        self._ended_s = None
        self._refused_count = 0
        self._connect_s = 0.0

    def invoke(self, deadline_s):
        server, rhythm = self.server, self._rhythm
        began_s = server.sim.now_s
        rhythm.called(None if self._ended_s is None else began_s - self._ended_s)
        if not self._is_usable(began_s):
            self.connection = yield from self._connect(deadline_s)
        connection = self.connection
        if connection is not None:
            yield from self._work(connection)
            rhythm.worked(server.sim.now_s - max(began_s, connection.opened_s))
            yield from self._end(connection, deadline_s)
        self._ended_s = server.sim.now_s
        return REFUSED if connection is None else ""

    def _is_usable(self, now_s):
        connection = self.connection
        if connection is None:
            return False
        if connection.is_open and not self._policy.is_expired(now_s - connection.used_s, connection.lease_s):
            return True
        self.server.drop(connection)
        return False

    def _connect(self, deadline_s):
        """As ``Connector.connect`` of the manager."""
        sim, policy = self.server.sim, self._policy
        started_s = sim.now_s
        limit_s = policy.connect_limit_s(deadline_s - started_s, self._rhythm.busy_mean_s or 0.0)
        give_up_s = inf if limit_s is None else started_s + limit_s
        wait_s, tries_count = 0.0, 0
        if not policy.keeps_refused_count:
            self._refused_count = 0
        while True:
            try_began_s = sim.now_s
            connection = yield from self.server.connect(self.client, self._lease_s)
            self._connect_s = sim.now_s - try_began_s
            if connection is not None:
                self._refused_count = 0
                break
            tries_count += 1
            self._refused_count += 1
            may_again = policy.may_connect_again(FULL, tries_count, self._refused_count)
            if sim.now_s >= give_up_s or not may_again:
                break
            wait_s = self._backoff(wait_s, self._refused_count, self._connect_s)
            wait_s = min(wait_s, max(0.0, give_up_s - sim.now_s))
            yield None, wait_s
        if tries_count and policy.heeds_refusals:
            self._view = self._view or View()
            self._view.refused(sim.now_s, self._rhythm.invocations_count)
        return connection

    def _end(self, connection, deadline_s):
        """As ``InvocationEnd`` of the manager."""
        costs, view = self.server.costs, self._view or View()
        decision = self._policy.decide(self._situation(view, deadline_s, is_fresh=False))
        if isinstance(decision, Ask):
            yield from self._ask(decision, view)
            decision = self._policy.decide(self._situation(view, deadline_s, is_fresh=True))
        self._view = view if view.has_seen else None
        if isinstance(decision, Kill):  # it looks for victims, and finds nobody who has slept for so long
            yield from self.server.ask(connection, self.client, costs.scan_s, costs.server_scan_s)
        is_closed = not isinstance(decision, Keep | Kill) or (
            isinstance(decision, Kill) and decision.close_if_none_died
        )
        if is_closed:
            yield from self.server.close(connection, self.client)
            self.connection = None
        elif isinstance(decision, Keep) and decision.lease_s is not None:
            yield from self.server.ask(connection, self.client, costs.query_s, costs.server_query_s)
            connection.lease_s = decision.lease_s

    def _situation(self, view, deadline_s, is_fresh):
        now_s, lease_s = self.server.sim.now_s, self.connection.lease_s
        return view.situation(now_s, self._rhythm, lease_s, deadline_s - now_s, is_fresh, self._connect_s)

    def _ask(self, question, view):
        server, costs, connection = self.server, self.server.costs, self.connection
        count = self._rhythm.invocations_count
        if view.has_old_limits(question.limit_cache_s, server.sim.now_s):
            yield from server.ask(connection, self.client, costs.query_s, costs.server_query_s)
            view.learned((server.limit, 0), server.sim.now_s)
        if isinstance(question, AskPressure):
            yield from server.ask(connection, self.client, costs.ask_s, costs.server_ask_s)
            census = Census(server.used_count, server.limit)
        else:
            yield from server.ask(connection, self.client, costs.scan_s, costs.server_scan_s)
            census = Census(server.used_count + 1, server.limit, UPTIME_S + server.sim.now_s)
        view.saw(census, server.sim.now_s, count)
