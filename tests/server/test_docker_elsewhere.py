"""An engine that hangs, or whose 127.0.0.1 is not ours."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, suppress
from dataclasses import replace

import pytest

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable
from loadtest.server import compose, dsn_server, ports, server_folders, target
from tests.conftest import missing
from tests.places import ROOT, sentence
from tests.server.pressure import start

HANGS_AT = """\
#!/bin/sh
case "$*" in "{words}"*) exec sleep 60;; esac
exec {docker} "$@"
"""


@pytest.fixture
def hanging_docker(docker, tmp_path, monkeypatch):  # noqa: ARG001 - asked for what it checks
    """A docker command that never ends once it is asked for certain words."""
    monkeypatch.setattr(server_folders, "_bases", lambda: [tmp_path])
    monkeypatch.setattr(compose, "ENGINE_S", 30.0)
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "docker"
    run = compose._docker

    def hang(words: str) -> None:
        def in_time(arguments, timeout_s, values=None):
            """Others take their time on a busy machine: only the one that hangs is given up soon."""
            return run(arguments, 2.0 if " ".join(arguments).startswith(words) else timeout_s, values)

        monkeypatch.setattr(compose, "_docker", in_time)
        command.write_text(HANGS_AT.format(words=words, docker=shutil.which("docker")))
        command.chmod(0o755)
        monkeypatch.setenv("PATH", str(command.parent), prepend=os.pathsep)

    return hang


@pytest.mark.parametrize("words", ["info", "compose version", "context inspect", "image inspect"])
def test_a_docker_command_that_hangs_is_given_up_and_named(hanging_docker, words):
    hanging_docker(words)
    began = time.monotonic()
    with pytest.raises(ServerUnavailable) as caught:
        start("docker", 90)
    assert time.monotonic() - began < 40  # it would hang for 60 s
    assert f"did not answer in 2 s (docker {words}): restart it, or take --server local" in str(caught.value)


def test_a_docker_command_that_may_not_be_run_is_said(tmp_path, monkeypatch):
    (tmp_path / "docker").write_text("#!/nowhere/sh\n")
    (tmp_path / "docker").chmod(0o644)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerUnavailable, match=r"Docker (cannot be run|is not installed)"):
        compose.engine()


@pytest.fixture
def loadtest_in_another_network(docker):  # noqa: ARG001 - asked for what it checks
    """The command, where 127.0.0.1 is not the engine's, as in a container with Docker's socket mounted."""
    if (
        not (shutil.which("unshare") and shutil.which("ip"))
        or subprocess.run(["unshare", "--net", "ip", "link", "set", "lo", "up"], check=False).returncode
    ):
        missing("a network of its own needs unshare and ip, and the right to use them")
    inside = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    return [*inside, sys.executable, "-m", "loadtest"]


def servers_that_take(max_connections):
    """Containers of servers started with this limit, by which other tests' are told apart."""
    listed = ["docker", "ps", "--all", "--no-trunc", "--format", "{{.ID}} {{.Command}}"]
    lines = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in lines if f"--max-connections={max_connections}" in line]


@pytest.mark.nightly
def test_an_engine_of_another_network_is_told_as_such_once_its_server_is_ready(
    loadtest_in_another_network, tmp_path
):
    ran = subprocess.run(
        [*loadtest_in_another_network, "server", "up", "--server", "docker", "--max-connections", "77"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=compose.START_S / 2,
    )  # fmt: skip
    assert ran.returncode == 3, ran
    said = sentence(ran.stderr)
    assert "Docker's engine is on another machine or network" in said
    assert "--server local" in said
    assert servers_that_take(77) == []


def test_what_a_user_sets_for_the_container_is_kept(monkeypatch):
    chosen, engine = ports.Ports(1, 2), compose.Engine(True, 8, "")
    assert compose._values(chosen, 90, "root", engine)["LOADTEST_CPUS"] == "2"
    monkeypatch.setenv("LOADTEST_CPUS", "0.5")
    monkeypatch.setenv("LOADTEST_MEMORY", "3g")
    values = compose._values(chosen, 90, "root", engine)
    assert (values["LOADTEST_CPUS"], values["LOADTEST_MEMORY"]) == ("0.5", "3g")


@pytest.mark.usefixtures("docker")
def test_a_root_password_of_any_letters_is_none_of_an_address():
    command = ["docker", "compose", "-f", str(compose.compose_file()), "--profile", "bench", "config"]
    password = "p@ss/w#1"
    said = subprocess.run(
        [*command, "--format", "json"], env={**os.environ, "LOADTEST_ROOT_PASSWORD": password},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = json.loads(said.stdout)["services"]["bench"]["environment"]
    admin = Dsn.parse(told["LOADTEST_ADMIN_DSN"])
    assert (admin.user, admin.password, admin.host, admin.database) == ("root", "", "127.0.0.1", "loadtest")
    assert told["LOADTEST_ADMIN_PASSWORD"] == told["LOADTEST_PASSWORD"] == password


@pytest.fixture
def relay(mariadb_target):
    """A port that passes everything on, as Docker's for published ports does."""

    def passed_on(source, sink):
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def serve():
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection(("127.0.0.1", mariadb_target.functions.port))
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=passed_on, args=pair, daemon=True).start()

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def test_a_relay_on_loopback_is_no_network_of_the_host(mariadb_target, relay):
    straight = target.describe(mariadb_target.functions, mariadb_target.admin, "given", None)
    assert (straight.path, straight.warnings) == ("host", ())
    relayed = replace(mariadb_target.functions, port=relay)
    found = target.describe(relayed, mariadb_target.admin, "given", None)
    assert (found.path, found.warnings) == ("published", (target.RELAYED_WARNING,))


def test_a_missing_password_of_the_admin_has_a_variable_of_its_own(mariadb_target, monkeypatch):
    functions, admin = mariadb_target.functions, mariadb_target.admin
    monkeypatch.setattr(
        dsn_server, "_check_rights", lambda _: None
    )  # the session's own tables stay as they are
    monkeypatch.setattr(dsn_server, "detach", lambda _: None)
    monkeypatch.setenv("LOADTEST_PASSWORD", functions.password)
    monkeypatch.setenv("LOADTEST_ADMIN_PASSWORD", admin.password)
    monkeypatch.setenv("LOADTEST_ADMIN_DSN", replace(admin, password="").url())
    found = dsn_server.attach(replace(functions, password=""))
    assert (found.functions.password, found.admin.password) == (functions.password, admin.password)
