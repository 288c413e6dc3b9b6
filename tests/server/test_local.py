import os
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psutil
import pymysql
import pytest

from loadtest.errors import ServerLost, ServerUnavailable, UsageError
from loadtest.server import connections, launch, local, reset, server_folders
from loadtest.server.choice import ServerChoice
from tests.conftest import missing
from tests.server.pressure import server_process, start
from tests.waiting import wait_until

pytestmark = pytest.mark.usefixtures("mariadb_target")


def servers_in(folder):
    return [p for p in psutil.process_iter(["cmdline"]) if f"{folder}/" in " ".join(p.info["cmdline"] or ())]


@pytest.fixture
def own_folders(tmp_path, monkeypatch):
    """What is started and cleaned up here is looked for here only."""
    monkeypatch.setattr(server_folders, "_bases", lambda: [tmp_path])
    yield tmp_path
    assert servers_in(tmp_path) == []


def test_a_private_server_is_gone_afterwards(own_folders):
    with launch.launched(ServerChoice("local"), 10) as target:
        process = server_process(target)
        (folder,) = own_folders.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert os.getsid(process.pid) != os.getsid(0)
        assert not (folder / "init.sql").exists()
    assert not process.is_running()
    assert list(own_folders.iterdir()) == []


def test_a_private_server_offers_tls(mariadb_target):
    if shutil.which("openssl") is None:
        missing("no openssl to make a certificate with")
    assert mariadb_target.variables["tls"] is True
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    arguments = mariadb_target.functions.connect_arguments()
    with closing(pymysql.connect(**arguments, ssl=context)) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW STATUS LIKE 'Ssl_version'")
        assert cursor.fetchone()[1].startswith("TLS")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_a_private_server_is_gone_after_an_exception(own_folders, error):
    with pytest.raises(error), launch.launched(ServerChoice("local"), 10):
        raise error
    assert list(own_folders.iterdir()) == []


@pytest.mark.parametrize(
    "step",
    [(server_folders.tempfile, "mkdtemp"), (server_folders, "_locked"), (server_folders.Path, "rename")],
)
def test_an_interrupt_while_its_folder_is_made_leaves_nothing(own_folders, monkeypatch, step):
    made = getattr(*step)

    def make_and_interrupt(*args, **more):
        done = made(*args, **more)
        signal.raise_signal(signal.SIGINT)
        return done

    monkeypatch.setattr(*step, make_and_interrupt)
    for begin in (lambda: start("local", 10), lambda: launch.up(ServerChoice("local"), 10)):
        with pytest.raises(KeyboardInterrupt):
            begin()
        assert list(own_folders.iterdir()) == []


def test_a_second_interrupt_does_not_cut_off_the_taking_down(own_folders, monkeypatch):
    stop = local.stop

    def interrupted(folder):
        os.kill(os.getpid(), signal.SIGINT)
        stop(folder)

    monkeypatch.setattr(local, "stop", interrupted)
    with pytest.raises(KeyboardInterrupt), launch.launched(ServerChoice("local"), 10):
        raise KeyboardInterrupt
    assert list(own_folders.iterdir()) == []


def test_mariadb_takes_no_less_than_10_connections_and_is_refused_with_both_numbers(own_folders):
    if local.find().flavour != "mariadb":
        pytest.skip("a MySQL takes as few as 1")
    with pytest.raises(ServerUnavailable, match="took max_connections 10 where 3 was asked"):
        start("local", 3)
    assert list(own_folders.iterdir()) == []


def test_what_a_dead_owner_left_is_gone_at_the_next_start(own_folders):
    script = (
        "import sys, time; from pathlib import Path; from loadtest.server import launch, server_folders; "
        "from loadtest.server.choice import ServerChoice; "
        f"server_folders._bases = lambda: [Path({str(own_folders)!r})]\n"
        "with launch.launched(ServerChoice('local'), 10) as target: print('up', flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert owner.stdout.readline() == "up\n"
    (left,) = own_folders.iterdir()
    (orphan,) = servers_in(left)
    launch.clean_up()
    assert orphan.is_running(), "its owner lives"
    owner.kill()
    owner.communicate()
    assert orphan.is_running()
    with launch.launched(ServerChoice("local"), 10):
        assert not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE
        assert not left.exists()


@pytest.mark.nightly
def test_several_servers_can_start_together(own_folders):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: start("local", 10), range(6)))
    assert list(own_folders.iterdir()) == []


def test_a_server_that_is_up_stays_and_is_found_again(own_folders):
    script = (
        "from pathlib import Path; from loadtest.server import launch, server_folders; "
        "from loadtest.server.choice import ServerChoice; "
        f"server_folders._bases = lambda: [Path({str(own_folders)!r})]; "
        "print(launch.up(ServerChoice('local'), 10).functions.port)"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    (folder,) = own_folders.iterdir()
    assert (folder / "standing.json").stat().st_mode & 0o777 == 0o600
    launch.clean_up()
    target = launch.up(ServerChoice("local"), 10)
    assert target.functions.port == int(said.stdout)
    with pytest.raises(UsageError, match=r"up already.*with max_connections 10"):
        launch.up(ServerChoice("local"), 20)
    with connections.session(target.functions) as cursor:
        cursor.execute("SELECT COUNT(*) FROM loadtest_rows")
    (gone,) = launch.down()
    assert str(target.functions.port) in gone
    assert launch.down() == []
    assert list(own_folders.iterdir()) == []


def test_a_reset_of_a_server_that_is_gone_says_so(own_folders):
    with launch.launched(ServerChoice("local"), 10) as target:
        server_process(target).kill()
        wait_until(lambda: not any(p.status() != psutil.STATUS_ZOMBIE for p in servers_in(own_folders)))
        with pytest.raises(ServerLost, match=r"the server was lost: its process ended: ."):
            reset.reset(target)
    assert list(own_folders.iterdir()) == []


def test_a_server_that_is_up_but_dead_is_replaced(own_folders):
    first = launch.up(ServerChoice("local"), 10)
    server_process(first).kill()
    second = launch.up(ServerChoice("local"), 20)
    assert second.max_connections == 20
    assert len(list(own_folders.iterdir())) == 1
    assert len(launch.down()) == 1


def test_a_server_that_does_not_start_is_quoted(own_folders, monkeypatch):
    options = local.flavour.server_options
    monkeypatch.setattr(local.flavour, "server_options", lambda *a: [*options(*a), "--no-such-option"])
    with pytest.raises(ServerUnavailable, match=r"did not start: .*no-such-option"):
        start("local", 10)
    assert list(own_folders.iterdir()) == []


def test_a_port_that_was_taken_in_between_is_replaced_by_another(monkeypatch):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        choose, calls = local.ports.choose, []

        def raced():
            calls.append(choose())
            return calls[-1] if len(calls) > 1 else calls[-1]._replace(functions=taken.getsockname()[1])

        monkeypatch.setattr(local.ports, "choose", raced)
        with launch.launched(ServerChoice("local"), 10) as target:
            assert target.functions.port != taken.getsockname()[1]
    assert len(calls) == 2


def test_a_port_that_was_asked_for_and_is_taken_is_said(own_folders, monkeypatch):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("LOADTEST_PORT", str(port))
        with pytest.raises(ServerUnavailable, match=f"port {port} on 127.0.0.1 cannot be had"):
            start("local", 10)
    assert list(own_folders.iterdir()) == []


@pytest.mark.parametrize("count", [0, -1, 100_001, 2**31])
def test_an_impossible_max_connections_is_refused_before_anything_starts(own_folders, count):
    with pytest.raises(UsageError, match=f"max_connections {count} cannot be: from 1 to "):
        start("local", count)
    assert list(own_folders.iterdir()) == []


def test_the_limit_of_open_files_limits_max_connections():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    largest = launch.largest_max_connections()
    assert 0 < largest < (hard if hard != resource.RLIM_INFINITY else 10**6)
    with pytest.raises(UsageError, match=r"ulimit -Hn"):
        start("local", largest + 1)


def test_an_unknown_choice_is_a_usage_error():
    with pytest.raises(UsageError, match="unknown server 'podman'"):
        start("podman", 90)


def test_with_nothing_installed_the_one_command_is_said(own_folders, monkeypatch):
    monkeypatch.setattr(local, "PLACES", ())
    monkeypatch.setenv("PATH", str(own_folders))
    with pytest.raises(
        ServerUnavailable, match=r"Docker is not installed, and no mysqld.*install one with: "
    ):
        start("auto", 90)
    with pytest.raises(ServerUnavailable, match="no mysqld or mariadbd is installed"):
        start("local", 90)
    assert list(own_folders.iterdir()) == []


def test_a_long_temporary_directory_does_not_break_the_socket(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with launch.launched(ServerChoice("local"), 10) as target:
        assert target.max_connections == 10
    assert list(deep.iterdir()) == []
