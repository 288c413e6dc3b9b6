"""Statements at the moment when the lease runs out: none lost without an error, none run twice."""

import json
import random
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter

import pymysql
import pytest

from loadtest.fleet.connection import tls_arguments
from loadtest.manager import AnswerLost, ConnectionManager, Managed
from loadtest.manager.liveness import is_readable
from tests.manager.acting import INSERT
from tests.waiting import wait_until

CONTAINERS, ROUNDS = 75, 8  # 600 statements a case, and fewer connections than the server has
LEASE_S = 1


@pytest.mark.alone
@pytest.mark.parametrize(
    ("margin_s", "around_s", "indefinite_ratio"),
    [
        # MariaDB closes without a word: nobody can know
        pytest.param(
            -LEASE_S, (-0.01, 0.02), 1.0, id="the look at the socket alone", marks=pytest.mark.nightly
        ),
        pytest.param(Managed().expiry_margin_s, (-0.08, 0.02), 0.01, id="by default"),
    ],
)
def test_an_expiry_loses_nothing_in_silence_and_doubles_nothing(
    config, ledger, target, margin_s, around_s, indefinite_ratio, record_property
):
    policy = Managed(lease_s=LEASE_S, expiry_margin_s=margin_s)
    outcomes, managers = {}, []

    def container(number):
        rng = random.Random(number)
        db = ConnectionManager(config, policy=policy, manage=False)
        managers.append(db)
        for turn in range(ROUNDS):
            name = f"{number}-{turn}"
            try:
                db.query("SELECT 1")
                time.sleep(
                    max(0.0, db._session.used_at + LEASE_S + rng.uniform(*around_s) - time.monotonic())
                )
                db.query(INSERT, (name,))
                outcomes[name] = "answered"
            except AnswerLost:
                outcomes[name] = "indefinite"
        db.quit()

    threads = [threading.Thread(target=container, args=(n,)) for n in range(CONTAINERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    written = Counter(ledger())
    answered = {name for name, outcome in outcomes.items() if outcome == "answered"}
    assert len(outcomes) == CONTAINERS * ROUNDS
    assert set(written.values()) == {1}
    assert answered <= written.keys()
    # Both sides of the moment were met.
    assert sum(db.stats.expired_count + db.stats.lost_count for db in managers) > CONTAINERS
    assert sum(db.stats.connects_count for db in managers) < 2 * CONTAINERS * ROUNDS
    share = 1 - len(answered) / len(outcomes)
    record_property("indefinite_ratio", share)
    print(f"\n{target.flavour}, margin {margin_s} s: {share:.1%} of {len(outcomes)} indefinite")
    assert share <= (0.02 if target.flavour == "mysql" else indefinite_ratio)


@pytest.mark.parametrize("target", ["mysql"], indirect=True)  # MariaDB sends no goodbye
def test_mysql_s_goodbye_is_read_where_pymysql_left_it(config, ledger, monkeypatch):
    """4031 says that the statement did not run, so it runs once, on another connection."""
    db = ConnectionManager(config, policy=Managed(expiry_margin_s=-10.0), manage=False)
    db.connect()
    wait_until(lambda: is_readable(db.get_client()._sock))
    monkeypatch.setattr("loadtest.manager.session.is_readable", lambda _: False)  # as if it came just after
    assert db.query(INSERT, ("once",)).affected_rows == 1
    assert ledger() == ["once"]
    assert db.stats.connects_count == 2
    db.quit()


# The look at the socket


@pytest.mark.parametrize("tls", ["off", "on"])
def test_the_look_tells_the_living_from_the_dead(target, admin, tls):
    connection = pymysql.connect(**target.functions.connect_arguments(), **tls_arguments(tls))
    sock = connection._sock
    assert isinstance(sock, ssl.SSLSocket) is (tls == "on")
    assert not is_readable(sock)
    assert sock.gettimeout() is None
    admin.execute(f"KILL {connection.thread_id()}")
    wait_until(lambda: is_readable(sock))
    connection.close()
    assert is_readable(sock)
    assert is_readable(None)


SCRIPT = """
import sys, time, json
if sys.argv[1] == "gevent":
    from gevent import monkey; monkey.patch_all()
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
files = [open("/dev/null") for _ in range(1100)] if sys.argv[1] == "many files" else []
from loadtest.manager import ConnectionManager, Managed
from loadtest.manager.liveness import is_readable
policy = Managed(lease_s=2, expiry_margin_s=-9)
db = ConnectionManager(json.loads(sys.stdin.readline()), policy=policy, manage=False)
db.connect()
sock = db.get_client()._sock
before, looks_s = sock.gettimeout(), []
for _ in range(3):
    started = time.perf_counter()
    alive = not is_readable(sock)
    looks_s.append(time.perf_counter() - started)
same = sock.gettimeout() == before
until = time.monotonic() + 20
while not (dead := is_readable(sock)) and time.monotonic() < until:
    time.sleep(0.05)
beyond = sock.fileno() > 1024
answer = db.query("SELECT 1")
print(json.dumps([alive, dead, answer, db.stats.expired_count, beyond, min(looks_s) < 0.5, same]))
db.quit()
"""


@pytest.mark.parametrize("how", ["plain", "gevent", "many files"])
def test_an_expired_connection_is_recognised_under_gevent_and_with_many_files_too(config, how):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, how],
        input=json.dumps(config) + "\n",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    alive, dead, answer, expired, beyond, quick, same = json.loads(done.stdout)
    assert (alive, dead, answer, expired, quick, same) == (True, True, [[1]], 1, True, True)
    assert beyond is (how == "many files")
