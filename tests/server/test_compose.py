import json
import os
import socket
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest

from loadtest.errors import ServerLost, ServerUnavailable
from loadtest.server import compose, diagnosis, launch, reset, server_folders
from loadtest.server.choice import ServerChoice
from tests.server.pressure import start
from tests.waiting import wait_until


def docker_compose(*arguments, **environment):
    command = ["docker", "compose", "-f", str(compose.compose_file()), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )


@pytest.mark.usefixtures("docker")
def test_compose_accepts_the_file_and_its_defaults_stay_on_loopback():
    text = docker_compose("--profile", "published", "config").stdout
    assert "mysql:9.7" in text
    assert "--max-connections=90" in text
    assert text.count("host_ip: 127.0.0.1") == 2
    assert "network_mode: host" in text
    assert "--bind-address=127.0.0.1" in text
    assert "mysql:8.4" in docker_compose("config", MYSQL_VERSION="8.4").stdout


def containers(folder):
    project = json.loads((folder / compose.PROJECT).read_text())["project"]
    label = f"label=com.docker.compose.project={project}"
    return subprocess.run(
        ["docker", "ps", "-aq", "--filter", label], capture_output=True, text=True, check=True
    ).stdout.split()


@pytest.fixture
def own_folders(docker, tmp_path, monkeypatch):  # noqa: ARG001 - asked for what it checks
    """What is started and cleaned up here is looked for here only."""
    monkeypatch.setattr(server_folders, "_bases", lambda: [tmp_path])
    return tmp_path


@pytest.fixture
def folder(own_folders):  # noqa: ARG001 - made there
    made = server_folders.Folder.create()
    yield made.path
    compose.stop(made.path)
    made.remove()


@pytest.mark.nightly
def test_where_the_network_cannot_be_shared_ports_are_published_on_loopback_with_a_warning(
    own_folders, monkeypatch
):
    engine = compose.engine()._replace(shares_network=False)
    monkeypatch.setattr(compose, "engine", lambda: engine)
    with launch.launched(ServerChoice("docker"), 20) as target:
        assert target.path == "published"
        assert "relay" in target.warnings[0]
        assert target.max_connections == 20
        (folder,) = own_folders.iterdir()
        (container,) = containers(folder)
        ports = subprocess.run(
            ["docker", "port", container], capture_output=True, text=True, check=True
        ).stdout
        assert {line.split(" -> ")[1].split(":")[0] for line in ports.splitlines()} == {"127.0.0.1"}
        assert diagnosis.trouble(target) == ""
        subprocess.run(["docker", "kill", container], check=True, capture_output=True)
        wait_until(lambda: diagnosis.trouble(target))
        with pytest.raises(
            ServerLost, match=r"the server was lost: its container ended \(exit code 137\): ."
        ):
            reset.reset(target)
    assert list(own_folders.iterdir()) == []


@pytest.mark.nightly
def test_a_server_that_dies_at_its_start_is_quoted_and_taken_down(folder, monkeypatch):
    values = compose._values
    monkeypatch.setattr(
        compose, "_values", lambda *a: {**values(*a), "LOADTEST_MAX_CONNECTIONS": "90 --no-such-option=1"}
    )
    monkeypatch.setattr(compose, "START_S", 30.0)
    with pytest.raises(ServerUnavailable, match="MySQL did not start in Docker"):
        compose.start(folder, 90, compose.engine())


def test_an_image_that_cannot_be_pulled_is_said(own_folders, monkeypatch):
    monkeypatch.setenv("MYSQL_VERSION", "0.0-none")
    with pytest.raises(ServerUnavailable, match=r"the image mysql:0.0-none is missing and cannot be pulled"):
        start("docker", 90)
    assert list(own_folders.iterdir()) == []


def test_what_a_dead_owner_left_in_docker_is_gone_at_the_next_start(folder):
    left = server_folders.Folder.create()
    note = {"project": f"loadtest-test-{os.getpid()}", "address": "", "file": str(compose.compose_file())}
    (left.path / compose.PROJECT).write_text(json.dumps(note))
    docker_compose("-p", note["project"], "up", "-d", LOADTEST_PORT="0", LOADTEST_HEALTH_INTERVAL="1h")
    launch.clean_up()
    assert len(containers(left.path)) == 1, "its owner lives"
    found = containers(left.path)
    left.release()
    launch.clean_up()
    assert not left.path.exists()
    said = subprocess.run(["docker", "ps", "-aq"], capture_output=True, text=True, check=True).stdout
    assert found[0] not in said
    assert folder.exists()


@pytest.fixture
def mute_engine(tmp_path, monkeypatch):
    """An engine that is there and never answers."""
    path = f"/tmp/loadtest-mute-{os.getpid()}.sock"
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(path)
        listener.listen()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
        yield tmp_path
    Path(path).unlink()


@pytest.mark.usefixtures("docker", "mute_engine")
def test_an_engine_that_does_not_answer_is_given_up():
    began = time.monotonic()
    with pytest.raises(ServerUnavailable, match="did not answer in 5 s"):
        start("docker", 90)
    assert time.monotonic() - began < 25.0  # 5 s, and as long as a busy machine stands still


@pytest.mark.usefixtures("docker", "mute_engine", "mariadb_target")
def test_auto_takes_a_private_server_instead_and_says_why(monkeypatch):
    monkeypatch.setattr(compose, "ENGINE_S", 0.5)
    with launch.launched(ServerChoice("auto"), 10) as target:
        assert target.kind == "local"
        assert "a private server was started, since Docker is there but did not answer" in target.warnings[0]


@pytest.mark.usefixtures("docker")
def test_an_engine_that_is_down_is_said(monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(ServerUnavailable, match="its engine cannot be used"):
        start("docker", 90)


def test_without_docker_that_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerUnavailable, match="Docker is not installed"):
        start("docker", 90)
