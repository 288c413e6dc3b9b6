"""What goes wrong is one clear sentence and an exit code, and nothing is left of it.

All through the real command line. Whatever a command starts inherits its ``TMPDIR``, by which it is
found: other servers may run on this machine.
"""

import os
import socket
import subprocess
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from loadtest.dsn import Dsn
from loadtest.server import connections
from tests.conftest import missing
from tests.places import LONG, QUICK


def test_what_cannot_be_is_refused_by_the_command_itself(place):
    """Everything else of the kind is in test_refusals.py, in a process that is there already."""
    assert "unknown command 'bnch' (did you mean bench?); there are bench, " in place.refused(2, "bnch")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("raise RuntimeError('no network here')\n", "RuntimeError: no network here"),
        ("def f(:\n", "SyntaxError"),
        ("import not_installed\n", "No module named 'not_installed'"),
        ("print('hello')\n", "has no callable named 'Mine'"),
        ("raise SystemExit(5)\n", "SystemExit: 5"),
    ],
)
def test_a_strategy_that_cannot_be_imported_is_refused_before_a_server_starts(place, text, said):
    (place.folder / "mine.py").write_text(text)
    env = {"PYTHONDONTWRITEBYTECODE": "1"}
    assert said in place.refused(2, "bench", *QUICK, "--strategies", "mine:Mine", env=env)


# Folders


def test_a_results_folder_that_exists_is_never_overwritten(place):
    (place.folder / "mine").mkdir()
    said = place.refused(2, "bench", *QUICK, "--out", "mine")
    assert said == "loadtest: mine exists already and is never overwritten; choose another --out"


def test_a_folder_that_cannot_be_made_is_said(place):
    (place.folder / "file").write_text("")
    said = place.refused(3, "bench", *QUICK, "--out", "file/mine")
    assert "cannot write file/mine: Not a directory; free some space, or choose a folder" in said


@pytest.fixture
def small_disk(place):
    """As large as is asked for: a file system in memory."""
    mounted = []

    def mount(size: str) -> Path:
        disk = place.folder / f"disk-{size}"
        disk.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "loadtest-test", str(disk)]
        if os.geteuid() != 0 or subprocess.run(command, capture_output=True).returncode:
            missing("only root may mount a small file system, and not everywhere")
        mounted.append(disk)
        return disk

    yield mount
    for disk in mounted:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_full_from_the_start_is_said_before_a_server_starts(place, small_disk):
    disk = small_disk("4k")
    for number in range(100):
        with suppress(OSError):
            (disk / f"{number}").write_bytes(b"x" * 4096)
    said = place.refused(3, "bench", *QUICK, "--out", disk / "mine")
    assert f"cannot write {disk}/mine" in said
    assert "No space left on device" in said


@pytest.mark.nightly
def test_a_disk_that_fills_up_in_mid_run_ends_it(place, small_disk):
    disk = small_disk("160k")
    ran = place.run("bench", *LONG, "--rate", "300", "--out", disk / "mine")
    assert ran.code == 3, ran
    last = [line for line in ran.err.splitlines() if line.startswith("loadtest: ")]
    assert len(last) == 1, ran.err
    assert "cannot write" in last[0]
    assert "No space left on device" in last[0]
    assert place.left() == []


# Servers that are not to be had


@pytest.fixture
def account(mariadb_target):
    """A DSN of an account with certain rights."""
    made = []
    with connections.session(mariadb_target.admin) as cursor:

        def make(*grants):
            name = f"bad{len(made)}"
            cursor.execute(f"CREATE USER {name} IDENTIFIED BY 'secret'")
            made.append(name)
            for grant in grants:
                cursor.execute(f"GRANT {grant} TO {name}")
            server = mariadb_target.functions
            return Dsn(server.host, server.port, name, "secret", server.database)

        yield make
        for name in made:
            cursor.execute(f"DROP USER {name}")


def refused_server(place, dsn: str, password: str) -> str:
    began = time.monotonic()
    said = place.refused(3, "bench", *QUICK, "--server", dsn, env={"LOADTEST_PASSWORD": password})
    assert time.monotonic() - began < 30.0  # 5 s at most, and Python starts slowly on a busy machine
    assert "secret" not in said
    return said


def test_a_wrong_password_is_said(place, account):
    assert "refuses the password of 'bad0' (1045)" in refused_server(place, str(account()), "secret-wrong")


def test_a_missing_password_is_said(place, account):
    assert "put it into LOADTEST_PASSWORD" in refused_server(place, str(account()), "")


def test_missing_rights_are_said(place, account):
    said = refused_server(place, str(account("SELECT ON loadtest.*")), "secret")
    assert "'bad0' may not create and fill tables in 'loadtest' (1142" in said


def test_an_unknown_host_is_said(place):
    assert "the host 'nowhere.invalid' is unknown" in refused_server(
        place, "mysql://a@nowhere.invalid/c", "b"
    )


def test_a_port_where_nothing_listens_is_said(place):
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        assert f"nothing listens on {where}" in refused_server(place, f"mysql://a@{where}/c", "b")


def test_a_server_that_never_answers_is_given_up(place):
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        where = f"127.0.0.1:{mute.getsockname()[1]}"
        assert "did not answer in 5 s" in refused_server(place, f"mysql://a@{where}/c", "b")


def test_a_port_that_is_taken_is_said(place):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        said = place.refused(3, "bench", *QUICK, env={"LOADTEST_PORT": port})
    assert f"port {port} on 127.0.0.1 cannot be had" in said


def test_a_docker_engine_that_does_not_answer_is_said(place):
    with closing(socket.create_server(("127.0.0.1", 0))) as mute:
        engine = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        said = place.refused(3, "bench", *QUICK, "--server", "docker", env={"DOCKER_HOST": engine})
    assert "Docker" in said


@pytest.mark.nightly
def test_a_password_on_the_command_line_draws_a_warning_and_is_kept_nowhere(place, account):
    dsn = account("ALL ON loadtest.*", "PROCESS ON *.*")
    ran = place.run("bench", *QUICK, "--server", dsn.url(), "--out", "mine")
    assert ran.code == 0, ran
    assert "warning: other users of this machine can read a password" in ran.err
    assert "secret" not in ran.out + ran.err
    for path in (place.folder / "mine").rglob("*"):
        assert path.is_dir() or b"secret" not in path.read_bytes(), path


# Interrupted
