"""The relay between a function, here a thread, and its server: what it delays, and what it notes."""

import threading
import time

import gevent
import pymysql
import pytest

from loadtest.fleet.book import Book
from loadtest.fleet.clock import Clock
from loadtest.fleet.connection import Meter
from loadtest.fleet.real.relay import Relay
from loadtest.server import connections
from tests.manager.acting import ids_on_the_server
from tests.waiting import wait_until

RTT_S = 0.1
MEGABYTE = "x" * 1_000_000


@pytest.fixture
def kills():
    return []


@pytest.fixture
def relay(mariadb_target, kills):
    server = mariadb_target.functions
    book = Book(Clock(time.monotonic()), 0, [].append, kills.append)
    made = Relay(book, Meter(1), (server.host, server.port), RTT_S)
    yield made
    made.cut()
    # gevent closes its sockets when its loop runs again.
    wait_until(lambda: gevent.sleep(0.01) or not open_ids(mariadb_target), what="the end of its connections")


def open_ids(target):
    with connections.session(target.admin) as cursor:
        return ids_on_the_server(cursor, target)


def connect(relay, target, *, tls=False):
    there = {**target.functions.connect_arguments(), "host": "127.0.0.1", "port": relay.port}
    there |= {"ssl": {}} if tls else {"ssl_disabled": True}
    return pymysql.connect(**there, autocommit=True)


def in_a_thread(function):
    """What it returns. This thread serves the relay meanwhile."""
    return gevent.get_hub().threadpool.apply(function)


def seconds_of(connection, statement):
    began_s = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute(statement)
        cursor.fetchall()
    return time.monotonic() - began_s


@pytest.mark.parametrize("tls", [False, True])
def test_a_long_statement_is_under_way_once_however_many_pieces_it_has(relay, mariadb_target, tls):
    def timed():
        connection = connect(relay, mariadb_target, tls=tls)
        short_s = min(seconds_of(connection, "SELECT 1") for _ in range(3))
        long_s = min(seconds_of(connection, f"SELECT LENGTH('{MEGABYTE}')") for _ in range(3))
        return short_s, long_s

    short_s, long_s = in_a_thread(timed)
    assert short_s >= RTT_S
    assert long_s < 3 * short_s, "sixteen pieces"


def test_commands_that_are_sent_one_after_the_other_are_under_way_together(relay, mariadb_target):
    def timed():
        connection = connect(relay, mariadb_target)
        alone_s = min(seconds_of(connection, "SELECT 1") for _ in range(3))
        return alone_s, min(behind_another(connection) for _ in range(3))

    def behind_another(connection):
        connection._execute_command(0x19, b"\1\0\0\0")  # COM_STMT_CLOSE, which has no answer
        return seconds_of(connection, "SELECT 1")

    alone_s, both_s = in_a_thread(timed)
    assert both_s < 1.7 * alone_s


def test_a_kill_whose_sender_is_gone_before_the_answer_is_noted_as_lost(relay, mariadb_target, kills):
    killer = in_a_thread(lambda: connect(relay, mariadb_target))
    victim = in_a_thread(lambda: connect(relay, mariadb_target))
    sending = threading.Thread(target=lambda: killer._execute_command(0x03, f"KILL {victim.thread_id()}"))
    sending.start()
    # Cut before the relay's loop runs again, which has not passed it on yet.
    wait_until(lambda: gevent.sleep(0.001) or any(link.killing for link in relay.links), what="the KILL")
    relay.cut()
    sending.join()
    assert [(kill.server_id, kill.error) for kill in kills] == [(victim.thread_id(), "2013")]
