"""Servers that freeze, restart or block."""

import os
import signal
import socket
import subprocess
import time
from contextlib import contextmanager

import pymysql
import pytest

from loadtest.manager import ConnectionManager, Managed, NoConnection, QueryTimeout
from loadtest.server.processes import stands_still
from tests.manager.acting import in_a_moment, invoke
from tests.server.pressure import server_process
from tests.waiting import wait_until

# Tells its caller long before the deadline: this machine may stand still meanwhile.
EARLY = Managed(lease_s=60, margin_s=4.0)

# Servers that go


@contextmanager
def frozen(target):
    process = server_process(target)
    os.kill(process.pid, signal.SIGSTOP)
    wait_until(lambda: stands_still(process))
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


def test_a_frozen_server_is_told_before_the_deadline(own_mariadb):
    """To a statement under way and to a connect alike: its kernel still accepts."""
    config = {**own_mariadb.functions.connect_arguments(), "ssl_disabled": True}
    db, fresh = ConnectionManager(config, manage=False, policy=EARLY), ConnectionManager(config, policy=EARLY)
    invoke(db)
    with frozen(own_mariadb):
        for manager, kind in ((db, QueryTimeout), (fresh, NoConnection)):
            started = time.monotonic()
            with pytest.raises(kind), manager.invocation(4.8):
                manager.query("SELECT 1")
            assert time.monotonic() - started < 4.8
    for manager in (db, fresh):
        invoke(manager)
        manager.quit()


def test_a_transaction_does_not_wait_for_a_frozen_server_beyond_the_deadline(own_mariadb):
    config = {**own_mariadb.functions.connect_arguments(), "ssl_disabled": True}
    db = ConnectionManager(config, manage=False, policy=EARLY)
    invoke(db)
    with frozen(own_mariadb):
        started = time.monotonic()
        with pytest.raises(pymysql.OperationalError), db.invocation(4.8), db.transaction():
            pass
        assert time.monotonic() - started < 4.8
    db.quit()


def test_the_end_of_an_invocation_does_not_wait_for_a_frozen_server(own_mariadb):
    config = {**own_mariadb.functions.connect_arguments(), "ssl_disabled": True}
    db = ConnectionManager(config, policy=Managed(ask_timeout_s=0.2))
    invoke(db, 1)
    with db.invocation():
        db.query("SELECT 1")
        with frozen(own_mariadb):
            started = time.monotonic()
            db.end()
            assert time.monotonic() - started < 6.0
    assert db.get_client() is None


def test_a_server_that_restarts_is_waited_for(own_mariadb):
    config = {**own_mariadb.functions.connect_arguments(), "ssl_disabled": True}
    db = ConnectionManager(config, manage=False, policy=Managed(lease_s=60))
    db.connect()
    with restarted(own_mariadb, after_s=0.5), db.invocation(20.0):
        assert db.query("SELECT 1") == [(1,)]
    assert db.stats.expired_count == 1
    assert db.stats.refused_count > 0
    db.quit()


@contextmanager
def restarted(target, *options, after_s=0.0):
    """The server is stopped, and starts again ``after_s`` into the block; gone when that ends."""
    process = server_process(target)
    # The first start removed its init file; what else is given comes last, which counts.
    command = [*(part for part in process.cmdline() if not part.startswith("--init-file")), *options]
    process.terminate()
    process.wait(20)
    servers = []

    def start():
        servers.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    with in_a_moment(start, after_s):
        yield
    servers[0].terminate()
    servers[0].wait(20)


# The path


def test_a_blocked_host_is_told_at_once(own_mariadb):
    """1129: only FLUSH HOSTS helps. 127.0.0.1 itself is never blocked."""
    config = {**own_mariadb.functions.connect_arguments(), "ssl_disabled": True}
    with restarted(own_mariadb, "--skip-name-resolve=0", "--max-connect-errors=1"):
        with ConnectionManager(config).invocation(20.0) as db:
            db.connect()
            db.quit()
        for _ in range(3):
            leave_in_the_handshake(own_mariadb.functions, "127.0.0.2")
        db = ConnectionManager(config, bind_address="127.0.0.2")
        with pytest.raises(pymysql.OperationalError) as raised:
            db.query("SELECT 1")
        assert raised.value.args[0] == 1129
        assert (db.stats.refused_count, db.stats.waited_s) == (1, 0.0)


def leave_in_the_handshake(dsn, source):
    with socket.create_connection((dsn.host, dsn.port), source_address=(source, 0)) as sock:
        sock.recv(100)
