"""What becomes of the connections of containers, on real servers."""

import gc
import socket
import threading
import time
from contextlib import suppress

import pymysql
import pytest

from loadtest.dsn import Dsn
from loadtest.fleet.arrivals import Arrival
from loadtest.fleet.book import Book
from loadtest.fleet.clock import Clock
from loadtest.fleet.connection import Meter, MeteredConnection
from loadtest.fleet.container import Reap
from loadtest.fleet.fleet import Fleet
from loadtest.fleet.runtime import in_process, label
from loadtest.server.connections import session
from loadtest.settings.plan import Settings
from loadtest.settings.strategy import parse
from tests.server.pressure import full
from tests.waiting import wait_until


class World:
    """A fleet of one worker, in this process and without the load."""

    def __init__(self, target, strategy="cached", server=None, **settings):
        self.rows, self.lives, self.kills = [], [], []
        clock = Clock(time.monotonic())
        self.book = Book(clock, 0, self.lives.append, self.kills.append)
        chosen = Settings(**{"cold_start_ms": 0.0, "work_ms": 0.0, "rtt_ms": 0.0, **settings})
        parts = parse(strategy)
        runtime = in_process(chosen, parts, server or target.functions, self.book)
        self.fleet = Fleet(chosen, parts, runtime, clock, self.rows.append)
        self.number, self.containers = 0, []

    def invoke(self, container):
        self.number += 1
        return self.fleet.invoke(container, 0, self.number, 0.0)

    def new(self):
        self.containers.append(self.fleet.new_container(self.fleet.part_of(0.0)))
        return self.containers[-1]

    def called(self, times=3):
        """A container that was called a few times."""
        container = self.new()
        for _ in range(times):
            assert self.invoke(container).error == ""
        return container

    def newest_lives(self):
        self.book.poll()
        self.book.flush()
        return {(life.server_id, life.opened_s): life for life in self.lives}.values()

    def life(self):
        """Of the connection that was opened last."""
        return max(self.newest_lives(), key=lambda life: life.opened_s)

    def end(self):
        """Whatever its containers still hold is closed."""
        for container in self.containers:
            if container.function is not None:
                getattr(container.function, "close", lambda: None)()
        self.book.close()


@pytest.fixture
def world(target):
    worlds = []

    def make(*args, **settings):
        worlds.append(World(target, *args, **settings))
        return worlds[-1]

    yield make
    for world in worlds:
        world.end()
    wait_until(lambda: asleep(target) == set())


def asleep(target):
    """Ids of the functions' connections that the server lists as asleep."""
    with session(target.admin) as cursor:
        return asleep_by(cursor, target)


def asleep_by(cursor, target):
    cursor.execute(
        "SELECT id FROM information_schema.processlist WHERE user = %s AND command = 'Sleep'",
        (target.functions.user,),
    )
    return {row[0] for row in cursor.fetchall()}


def test_a_reaped_container_leaves_its_connection_on_the_server_until_wait_timeout(world, target):
    lambdas = world("managed")
    now_s = lambdas.book._clock.now
    container = lambdas.called()
    left = lambdas.life().server_id
    # The manager's lease is a wait_timeout of one second, and a connect may take as long on a busy machine.
    with session(target.admin) as cursor:
        began_s = now_s()
        assert lambdas.invoke(container).error == ""  # the lease begins anew
        lambdas.fleet.reap(container, Reap.ZOMBIE)
        is_asleep = left in asleep_by(cursor, target)
        assert is_asleep or now_s() - began_s > 0.9, "it may be over where this machine stood still"
    lambdas.book.flush()
    assert [life.fate for life in lambdas.lives if life.server_id == left][-1] == "zombie"
    assert lambdas.book.zombies_count == 1
    wait_until(lambda: left not in asleep(target))
    looks_s = []

    def is_seen():
        looks_s.append(now_s())
        return lambdas.life().fate == "expired"

    wait_until(is_seen)
    # Not before the lease was over, and at the look that saw it.
    assert began_s + 0.9 < looks_s[-1] <= lambdas.life().gone_s <= now_s()
    assert lambdas.book.zombies_count == 0


def test_without_a_lease_a_zombie_stays(world, target):
    lambdas = world("cached")
    container = lambdas.called()
    lambdas.fleet.reap(container, Reap.ZOMBIE)
    time.sleep(1.5)
    assert lambdas.life().server_id in asleep(target)


def test_a_graceful_reap_leaves_nothing_behind(world, target):
    lambdas = world("cached")
    container = lambdas.called()
    lambdas.fleet.reap(container, Reap.TOLD)
    assert lambdas.life().fate == "closed"
    wait_until(lambda: lambdas.life().server_id not in asleep(target))


def test_a_connection_whose_last_statement_failed_is_closed_not_lost(world):
    """Such as after a deadlock: the server answered, and the connection is as good as before."""
    lambdas = world("cached")
    container = lambdas.called()
    with pytest.raises(pymysql.OperationalError, match="as if by deadlock"):
        container.function._connection.query(
            "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'as if by deadlock'"
        )
    lambdas.fleet.reap(container, Reap.TOLD)
    assert lambdas.life().fate == "closed"


def test_a_killed_zombie_is_known_as_killed_and_by_whom(world):
    lambdas = world("cached")
    killer, victim = lambdas.called(), lambdas.new()
    lambdas.invoke(victim)
    zombie = next(life for life in lambdas.newest_lives() if life.container == victim.number).server_id
    lambdas.fleet.reap(victim, Reap.ZOMBIE)
    killer.function._connection.query(f"KILL {zombie}")

    def fate():
        return next(life for life in lambdas.newest_lives() if life.server_id == zombie)

    wait_until(lambda: fate().fate == "killed")
    assert fate().killed_by == killer.number
    assert [(kill.server_id, kill.error) for kill in lambdas.kills] == [(zombie, "")]


def test_the_end_of_a_frozen_containers_connection_is_seen_when_it_happens(world, target):
    lambdas = world("cached")
    lambdas.called()
    with session(target.admin) as cursor:
        cursor.execute(f"KILL {lambdas.life().server_id}")
    wait_until(lambda: lambdas.life().gone_s == lambdas.life().gone_s)
    assert lambdas.life().closed_s != lambdas.life().closed_s  # its own side does not know yet
    assert lambdas.book.open_count == 0


def test_at_max_connections_the_next_connect_is_refused_with_1040(world, target):
    lambdas = world("direct")
    with full(target):
        assert lambdas.invoke(lambdas.new()).error == "1040 ER_CON_COUNT_ERROR"
    assert lambdas.rows[-1].connects_count == 1
    assert lambdas.rows[-1].retries_count == 0


def test_times_of_an_invocation_add_up(world):
    lambdas = world("direct", rtt_ms=2.0, work_ms=5.0)
    row = lambdas.invoke(lambdas.new())
    took_s = row.finished_s - row.started_s
    assert row.connect_s > 4 * 0.002  # TCP, greeting, login, character set
    assert 0.002 < row.query_s < took_s - row.connect_s - 0.005
    assert row.connect_s + row.query_s + row.manage_s + 0.005 <= took_s + 1e-3
    assert row.overhead_queries_count == 0


def test_statements_beside_the_workloads_own_are_counted(world):
    lambdas = world("managed")
    container = lambdas.new()
    assert lambdas.invoke(container).overhead_queries_count == 0  # the lease rides on the connect
    # kept or not is asked for: a look, and how many connections there may be
    assert lambdas.invoke(container).overhead_queries_count == 2
    assert lambdas.invoke(container).overhead_queries_count == 0


class Relay:
    """A TCP relay on loopback that counts what the client sends."""

    def __init__(self, port):
        self.sent_count = 0
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._port))
            for source, sink, counted in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=(source, sink, counted), daemon=True).start()

    def _pump(self, source, sink, counted):
        with suppress(OSError):  # either side may go without a word
            while data := source.recv(65536):
                if counted:
                    self.sent_count += len(data)
                sink.sendall(data)

    def close(self):
        self._listener.close()


@pytest.mark.parametrize("strategy", ["cached", "managed", "classic"])
def test_a_frozen_container_sends_nothing(world, target, strategy):
    relay = Relay(target.functions.port)
    functions = target.functions
    through = Dsn("127.0.0.1", relay.port, functions.user, functions.password, functions.database)
    lambdas = world(strategy, server=through)
    lambdas.called()
    time.sleep(0.1)
    before = relay.sent_count
    assert before > 0
    time.sleep(1.0)
    assert relay.sent_count == before
    relay.close()


def test_arrivals_are_served_by_the_container_that_was_used_last(world):
    lambdas = world("direct")
    first, second = lambdas.called(1), lambdas.called(1)
    lambdas.fleet._idle["direct"].extend([first, second])
    for number in range(5):
        lambdas.fleet.arrive(0, Arrival(number, 0.0, 0.5, 0.5, 0.5), 0.0)
    assert (first.invocations_count, second.invocations_count) == (1, 6)


def test_a_deployment_replaces_every_container_and_leaves_their_connections(world, target):
    lambdas = world("cached")
    idle = [lambdas.called(1) for _ in range(3)]
    lambdas.fleet._idle["cached"].extend(idle)
    lambdas.fleet.deploy()
    assert lambdas.fleet.containers_count == 0
    assert len(asleep(target)) == 3
    assert lambdas.book.zombies_count == 3


def test_an_error_is_named_by_its_number_and_symbol():
    assert label(pymysql.OperationalError(1040, "Too many connections")) == "1040 ER_CON_COUNT_ERROR"
    assert label(pymysql.OperationalError(2013, "Lost")) == "2013 CR_SERVER_LOST"
    assert label(pymysql.InterfaceError(0, "")) == "InterfaceError"


def test_a_container_is_made_without_a_connection(world, target):
    world("cached").new()
    assert asleep(target) == set()


def test_garbage_that_another_thread_collects_is_closed_by_the_loops_own(target, world):
    here = world()
    connection = MeteredConnection(here.book, Meter(5), 0.0, **target.functions.connect_arguments())
    connection.itself = connection
    gc.disable()
    try:
        del connection
        collector = threading.Thread(target=gc.collect)
        collector.start()
        collector.join()
    finally:
        gc.enable()
    assert here.book.open_count == 1
    here.book.poll()
    assert here.book.open_count == 0
    assert here.life().fate == "closed"
