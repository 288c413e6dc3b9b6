"""What the manager's tests do to servers and to managers."""

import select
import socket
import struct
import threading
import time
from contextlib import closing, contextmanager, suppress

import pymysql
import pytest

from loadtest.server import connections
from loadtest.server.connections import connect
from tests.waiting import wait_until

INSERT = "INSERT INTO loadtest_ledger (invocation, amount) VALUES (%s, 1)"


def ids_on_the_server(cursor, target):
    """Connections of the functions' account."""
    cursor.execute("SELECT id FROM information_schema.processlist WHERE user = %s", (target.functions.user,))
    return {row[0] for row in cursor.fetchall()}


def own_id(db):
    return db.query("SELECT CONNECTION_ID()")[0][0]


def often(db, times=3):
    """Invocations in quick succession, after which the container counts as called often."""
    for _ in range(times):
        with db.invocation():
            identity = own_id(db)
    return identity


def _ids(target):
    with connections.session(target.admin) as cursor:
        cursor.execute(
            "SELECT id FROM information_schema.processlist WHERE user = %s", (target.functions.user,)
        )
        return {row[0] for row in cursor.fetchall()}


@contextmanager
def filled(target, beside=()):
    """All connections that functions may have are taken, but for those with the ids ``beside``; yields them.

    One of an earlier test may still hold a slot until its lease is over, and would leave it free then. So
    this is done when nobody but us has any.
    """
    taken, give_up_at = [], time.monotonic() + 30
    try:
        while True:
            with pytest.raises(pymysql.OperationalError, match="1040"):
                while len(taken) <= target.max_connections:
                    taken.append(connect(target.functions))
            if _ids(target) == {*beside, *(connection.thread_id() for connection in taken)}:
                break
            assert time.monotonic() < give_up_at, "others hold connections for longer than any lease"
            time.sleep(0.1)
        yield taken
    finally:
        for connection in taken:
            connection.close()


def connect_when_free(target):
    """A connection on a server that may not have seen yet that another one has gone."""

    def try_to():
        with suppress(pymysql.OperationalError):
            return connect(target.functions)

    return wait_until(try_to, what="a free slot")


def is_there(cursor, identity):
    """Whether the server has a connection with this id."""
    cursor.execute("SELECT COUNT(*) FROM information_schema.processlist WHERE id = %s", (identity,))
    return cursor.fetchone() == (1,)


def killed(cursor, identity):
    """Kills a connection, and returns once its client can see that it is gone."""
    cursor.execute(f"KILL {identity}")
    wait_until(lambda: not is_there(cursor, identity))
    time.sleep(0.05)  # for the goodbye to arrive


@contextmanager
def in_a_moment(action, seconds=0.3):
    """Does it while the block runs."""

    def act():
        time.sleep(seconds)
        action()

    thread = threading.Thread(target=act)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def killed_in_the_middle(admin, identity, like="%SLEEP(%"):
    """The server cuts the connection while a statement like this sleeps on it."""

    def kill():
        wait_until(lambda: _runs(admin, identity, like), what="the statement under way")
        admin.execute(f"KILL {identity}")

    return in_a_moment(kill, 0.0)


def _runs(admin, identity, like):
    admin.execute(
        "SELECT COUNT(*) FROM information_schema.processlist "
        "WHERE id = %s AND info LIKE %s AND state = 'User sleep'",
        (identity, like),
    )
    return admin.fetchone() == (1,)


# SO_LINGER on, for no time: close() sends RST.
AT_ONCE = struct.pack("ii", 1, 0)


class Relay:
    """Stands between a client and the server.

    ``cut_after``: so many bytes of the next answer come through, then a reset. ``accepts`` False: whoever
    connects from now on is turned away.
    """

    def __init__(self, host, port):
        self._server = (host, port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._clients = []
        self.port = self._listening.getsockname()[1]
        self.cut_after = None
        self.accepts = True
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listening.close()
        self.reset()

    def reset(self):
        """Of all clients."""
        while self._clients:
            self._reset(self._clients.pop())

    def _reset(self, client):
        with suppress(OSError):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        client.close()

    def _accept(self):
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                if not self.accepts:
                    self._reset(client)
                    continue
                server = socket.create_connection(self._server)
                self._clients.append(client)
                threading.Thread(target=self._pass, args=(client, server), daemon=True).start()

    def _pass(self, client, server):
        """One thread for both ways, so that no call is under way on a socket that another closes."""
        with suppress(OSError, ValueError), closing(server):
            while client.fileno() >= 0:
                readable, _, _ = select.select([client, server], [], [], 0.02)
                if client in readable:
                    data = client.recv(65536)
                    if not data:
                        break
                    server.sendall(data)
                if server in readable:
                    data = server.recv(65536)
                    if not data:
                        break
                    if self.cut_after is not None:
                        client.sendall(data[: self.cut_after])
                        self.cut_after = None
                        time.sleep(0.05)
                        self._reset(client)
                        break
                    client.sendall(data)
        client.close()


@contextmanager
def relayed(dsn):
    relay = Relay(dsn.host, dsn.port)
    try:
        yield relay
    finally:
        relay.close()


def invoke(db, times=2):
    for _ in range(times):
        with db.invocation():
            db.query("SELECT 1")
