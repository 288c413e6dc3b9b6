"""The way to the server: what may come back in a moment is tried again, a wrong setting is not."""

import errno
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress

import pymysql
import pytest

from loadtest.manager import ConnectionManager, Managed, NoConnection, handshake
from loadtest.manager.fate import may_pass
from tests.manager.acting import often


@pytest.fixture(autouse=True)
def _no_host_is_known(monkeypatch):
    monkeypatch.setattr(handshake, "_addresses", {})


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        (ConnectionRefusedError(), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), True),
        (OSError(errno.EHOSTUNREACH, "No route to host"), True),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), True),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address"), True),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), True),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), False),
        (ssl.SSLCertVerificationError(1, "certificate verify failed"), False),
        (ssl.SSLError(1, "wrong version number"), False),
        (FileNotFoundError(errno.ENOENT, "no socket"), False),
        (OSError(errno.EINVAL, "Invalid argument"), False),
        (None, True),  # a proxy's own word, on a connection that works: its server is away
    ],
    ids=repr,
)
def test_what_may_pass_in_a_moment(origin, passes):
    error = pymysql.OperationalError(2003, "Can't connect")
    error.original_exception = origin
    assert may_pass(error) is passes


@contextmanager
def failing(monkeypatch, name, error, times):
    """So many of the next calls of ``socket.<name>`` fail."""
    real, left = getattr(socket, name), [error] * times

    def call(*args, **kwargs):
        if left:
            raise left.pop()
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(socket, name, call)
        yield


NO_ROUTE = OSError(errno.EHOSTUNREACH, "No route to host")
AGAIN = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
UNKNOWN_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.mark.parametrize(("name", "error"), [("getaddrinfo", AGAIN), ("create_connection", NO_ROUTE)])
def test_a_path_that_is_gone_for_a_moment_is_tried_again(made, monkeypatch, name, error):
    with failing(monkeypatch, name, error, 2), made().invocation(5.0) as db:
        assert db.query("SELECT 1") == [(1,)]
    assert db.stats.refused_count == 2


def test_an_unknown_name_is_told_at_once(made, monkeypatch):
    with (
        failing(monkeypatch, "getaddrinfo", UNKNOWN_NAME, 9),
        pytest.raises(pymysql.OperationalError) as raised,
    ):
        made(host="nowhere.example").query("SELECT 1")
    assert raised.value.args[0] == 2003
    assert not isinstance(raised.value, NoConnection)


def test_a_path_that_was_gone_says_nothing_of_a_full_server(made, monkeypatch):
    """The next end asks, and keeps the connection."""
    db = made()
    often(db, 1)
    with failing(monkeypatch, "create_connection", NO_ROUTE, 1):
        often(db, 1)
    assert db.stats.refused_count == 1
    assert db.get_client() is not None
    assert db.stats.overhead_statements_count > 0


@contextmanager
def ending_in_the_handshake(dsn):
    """Shows the server's greeting, and hangs up when TLS is to begin. Yields the port."""

    def serve():
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                with client, socket.create_connection((dsn.host, dsn.port)) as server:
                    client.sendall(server.recv(4096))
                    client.recv(36)  # the request for TLS; what follows are its first words
                    client.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_an_end_in_the_handshake_of_tls_is_tried_again(target):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with ending_in_the_handshake(target.functions) as port:
        arguments = {**target.functions.connect_arguments(), "port": port, "ssl": context}
        db = ConnectionManager(arguments, policy=Managed(patience_s=2.0))
        with pytest.raises(NoConnection, match=r"EOF|reset") as raised:
            db.query("SELECT 1")
    assert raised.value.args[0] == 2003
    assert db.stats.refused_count > 1


@contextmanager
def answering_nobody():
    """A port of all addresses whose queue is full: who connects hears nothing."""
    with socket.socket() as listening:
        listening.bind(("0.0.0.0", 0))
        listening.listen(0)
        port = listening.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        try:
            yield port
        finally:
            for sock in waiting:
                sock.close()


def test_several_dead_addresses_together_get_the_time_of_one(monkeypatch):
    both = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in ("127.0.0.1", "127.0.0.2")
    ]
    with answering_nobody() as port:
        found = [(*entry[:4], (entry[4][0], port)) for entry in both]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_: found)
        # A margin in which this machine may stand still, but which is no time for a second address.
        policy = Managed(margin_s=2.9)
        db = ConnectionManager(host="db.example", port=port, user="me", ssl_disabled=True, policy=policy)
        started = time.monotonic()
        with pytest.raises(NoConnection, match="timed out"), db.invocation(6.0):
            db.query("SELECT 1")
        assert time.monotonic() - started < 6.0
    assert handshake._addresses == {}  # looked up again next time
