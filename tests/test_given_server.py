"""A MySQL that somebody else runs, as a team has it in its pipeline: in a container, by its DSN."""

import json
import os
import subprocess
import sys
import time

import pymysql
import pytest

pytest.importorskip("testcontainers", reason="testcontainers is not installed")


@pytest.fixture(scope="module")
def somebody_elses(docker):  # noqa: ARG001 - asked for what it checks
    """A published port of a stock image; the reaper's image may be out of reach."""
    from testcontainers.core.config import testcontainers_config

    testcontainers_config.ryuk_disabled = True
    from testcontainers.core.container import DockerContainer

    container = (
        DockerContainer("mysql:9.7")
        .with_env("MYSQL_ROOT_PASSWORD", "root")
        .with_env("MYSQL_DATABASE", "shop")
        .with_env("MYSQL_USER", "app")
        .with_env("MYSQL_PASSWORD", "p@ss/word")
        .with_command("mysqld --max-connections=40 --mysqlx=OFF")
    )
    container.ports["3306/tcp"] = ("127.0.0.1", None)  # its own way publishes on every interface
    with container:
        port = int(container.get_exposed_port(3306))
        yield {"host": "127.0.0.1", "port": port, "user": "app", "password": "p@ss/word", "database": "shop"}


def connect(account, timeout_s=60.0):
    until = time.monotonic() + timeout_s
    while True:
        try:
            return pymysql.connect(**account, autocommit=True)
        except pymysql.OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def test_a_given_server_is_used_as_it_is_and_left_as_it_was(somebody_elses, tmp_path):
    connect(somebody_elses).close()
    out = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-m", "loadtest", "bench", "burst", "--strategies", "cached", "--rate", "100",
         "--duration", "2s", "--repetitions", "1", "--out", str(out), "--json",
         "--server", f"mysql://app@127.0.0.1:{somebody_elses['port']}/shop"],
        env={**os.environ, "LOADTEST_PASSWORD": somebody_elses["password"]},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["server"]["max_connections"] == 40
    assert (summary["server"]["kind"], summary["server"]["path"]) == ("given", "published")
    assert any("pass through a relay" in warning for warning in summary["warnings"])
    assert any("monitor" in warning for warning in summary["warnings"])
    # One whose clients came too late counts nothing, and is run again.
    counts = [one["arrivals_count"] for one in summary["arms"]["cached"]["repetitions"]]
    assert max(filter(None, counts)) > 100
    with connect(somebody_elses) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW TABLES")
        assert cursor.fetchall() == ()
    for file in out.rglob("*"):
        if file.is_file():
            assert somebody_elses["password"].encode() not in file.read_bytes(), file
            assert b"p%40ss" not in file.read_bytes(), file
