"""Load on another machine: only if somebody has allowed it, and then with what it does said first.

Addresses in 192.0.2.0/24 belong to nobody (RFC 5737), so a load that were not refused would reach none.
"""

import socket
from contextlib import closing

import psutil
import pytest

from loadtest import remote
from loadtest.bench.interrupts import Interrupts
from loadtest.cli import outcome
from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable, UsageError, WorkersMissing
from loadtest.settings.harm import harm_of
from loadtest.settings.plan import Plan, Settings
from loadtest.swarm import remote_load
from tests.places import QUICK, ended

pytest_plugins = ["pytester"]
ELSEWHERE = "mysql://app:geheim@192.0.2.7/shop"
SAID = (
    "192.0.2.7:3306 is not this machine. This load will",
    "open up to 1,000 connections at once, or as many as it takes: it refuses other callers then",
    "leave zombies on it",
    "drop and create the tables loadtest_* in its schema 'shop', and KILL connections",
    "Nothing was sent there. If it may come to harm, allow it: --allow-remote",
)


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """Runs a command in this process, in a folder of its own: its exit code, and what it says."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr("sys.argv", ["loadtest", *map(str, words)])
        code, last_words = outcome(Interrupts())
        shown = capsys.readouterr()
        assert not shown.out
        return code, shown.err + last_words

    return run


@pytest.fixture
def elsewhere(monkeypatch):
    """Loopback counts as another machine, so that a load on one can be tried on this one."""
    monkeypatch.setattr(remote, "is_this_machine", lambda *_: False)


# Which host is another machine


@pytest.mark.parametrize(
    ("addresses", "own", "expected"),
    [
        (["127.0.0.1"], [], True),
        (["127.8.0.3"], [], True),
        (["::1"], [], True),
        (["::ffff:127.0.0.1"], [], True),
        (["0.0.0.0"], [], True),
        (["172.17.0.1"], ["127.0.0.1", "172.17.0.1"], True),  # such as Docker's bridge
        (["fe80::1%eth0"], ["fe80::1%eth0"], True),
        (["172.17.0.2"], ["172.17.0.1"], False),  # a container on it
        (["::ffff:192.0.2.7"], [], False),
        (["127.0.0.1", "192.0.2.7"], [], False),  # whichever a connect takes
    ],
)
def test_a_host_is_this_machine_if_all_of_its_addresses_are(addresses, own, expected):
    assert remote.is_this_machine(addresses, own) is expected


def test_an_address_of_an_interface_of_ours_is_this_machine():
    addresses = [
        one.address
        for interface in psutil.net_if_addrs().values()
        for one in interface
        if one.family == socket.AF_INET
    ]
    assert addresses
    assert [address for address in addresses if remote.is_remote(address)] == []
    assert not remote.is_remote("localhost")
    assert remote.is_remote("192.0.2.7")


def test_a_host_that_nobody_knows_is_neither(monkeypatch):
    with pytest.raises(ServerUnavailable, match=r"the host 'nowhere.invalid' is unknown here"):
        remote.is_remote("nowhere.invalid")
    with closing(socket.socket()) as mute:  # a look-up that hangs, as where DNS is filtered
        monkeypatch.setattr(remote, "LOOKUP_S", 0.05)
        monkeypatch.setattr(remote.socket, "getaddrinfo", lambda *_, **__: mute.accept())
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        with pytest.raises(ServerUnavailable, match=r"nobody said in 0.05 s where the host 'slow' is"):
            remote.is_remote("slow")


@pytest.mark.parametrize(("value", "allows"), [("1", True), ("true", True), ("0", False), ("", False)])
def test_the_variable_allows_it_where_there_are_no_options(value, allows):
    assert remote.allowed_in({remote.VARIABLE: value}) is allows


def test_another_word_in_the_variable_is_refused():
    with pytest.raises(UsageError, match="LOADTEST_ALLOW_REMOTE cannot be 'perhaps': set it to 1"):
        remote.allowed_in({remote.VARIABLE: "perhaps"})


# What will be done there


def test_what_will_be_done_has_the_load_its_repetitions_and_its_faults():
    plan = Plan(rate=800, duration_s=20, repetitions=3, reruns=1, strategies=["direct"], faults=["kill@5+2"])
    lines = harm_of(plan, "shop")
    assert lines[0] == "send it 800 arrivals per second for 20 s, 3 times, and up to 1 more, with direct"
    assert lines[-1] == "and break it on purpose: kill@5+2"


def test_the_closed_model_has_containers_instead_of_a_rate():
    lines = harm_of(Settings(model="closed", containers=40, duration_s=5), "shop")
    assert lines[0] == "send it the invocations of 40 containers, 100 ms apart, for 5 s"
    assert lines[1].startswith("open up to 40 connections at once")


# Commands


@pytest.mark.parametrize(
    ("words", "load"),
    [
        (
            ["bench", "quick", "--rate", "700"],
            "send it 700 arrivals per second for 5 s, 2 times, with each of",
        ),
        (["web"], "arrivals per second for 30 s, or whatever the form says"),
        (
            ["capacity", "--strategies", "direct", "--from", "100", "--to", "900"],
            "recovers, twice as many for 10 s, again and again for up to 15m, with direct",
        ),
    ],
)
def test_a_load_on_another_machine_is_refused_with_what_it_would_do(said, words, load, tmp_path):
    code, text = said(*words, "--server", ELSEWHERE)
    assert code == 2
    for part in (*SAID, load):
        assert part in text
    assert "geheim" not in text
    assert list(tmp_path.iterdir()) == []


def test_an_admin_account_elsewhere_is_a_load_elsewhere(said, monkeypatch):
    monkeypatch.setenv("LOADTEST_ADMIN_DSN", "mysql://root@192.0.2.8:33062/shop")
    code, text = said("bench", "--server", "mysql://app@127.0.0.1/shop")
    assert (code, "192.0.2.8:33062 is not this machine" in text) == (2, True)


def test_a_scenario_cannot_allow_it(said, tmp_path):
    (tmp_path / "mine.toml").write_text("allow-remote = true\n")
    assert said("bench", "mine.toml", "--server", ELSEWHERE)[0] == 2


@pytest.mark.usefixtures("elsewhere")
def test_nothing_is_sent_before_it_is_allowed_and_then_it_is_said_first(said):
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(0)
        port = listener.getsockname()[1]
        words = ["bench", "--strategies", "direct", "--server", f"mysql://a@127.0.0.1:{port}/d"]
        assert said(*words)[0] == 2
        with pytest.raises(BlockingIOError):
            listener.accept()
    code, text = said(*words, "--allow-remote")
    assert code == 3
    first, last = text.splitlines()[0], text.splitlines()[-1]
    assert first == f"loadtest: 127.0.0.1:{port} is not this machine. This load will"
    assert f"nothing listens on 127.0.0.1:{port}" in last


@pytest.mark.usefixtures("elsewhere")
def test_a_bench_that_was_allowed_to_loads_it(mariadb_target, monkeypatch, tmp_path):
    """Its Locust is told so: there, loopback is this machine anyway."""
    account = mariadb_target.functions
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOADTEST_PASSWORD", account.password)
    monkeypatch.setenv(remote.VARIABLE, "1")
    server = ["--server", f"mysql://{account.user}@127.0.0.1:{account.port}/{account.database}"]
    monkeypatch.setattr("sys.argv", ["loadtest", "bench", "burst", *QUICK, *server, "--out", "mine"])
    code, _ = outcome(Interrupts())
    assert code == 0
    assert (tmp_path / "mine" / "summary.json").exists()


# Plain Locust, and its workers

ALL_ARE_ELSEWHERE = (
    "from loadtest import remote\nremote.is_this_machine = lambda *_: False\n"
    "from loadtest.swarm.users import Client\n"
)
LOAD = ("--headless", "-u", "20", "--duration", "1s", "--function-timeout", "2s", "--strategy", "direct")


def locust(place, target, **more):
    (place.folder / "all_are_elsewhere.py").write_text(ALL_ARE_ELSEWHERE)
    env = {"LOADTEST_DSN": target.functions.url(), "LOADTEST_ADMIN_DSN": target.admin.url(), **more}
    words = ("-f", place.folder / "all_are_elsewhere.py", *LOAD, "--exit-code-on-error", "0")
    return ended(place.start(*words, module="locust", env=env), 120.0)


def test_plain_locust_is_refused_too(place, mariadb_target):
    ran = locust(place, mariadb_target)
    assert ran.code == 2, ran
    server = mariadb_target.functions
    assert f"127.0.0.1:{server.port}" in ran.err
    assert "send it 20 arrivals per second for 1 s\n" in ran.err
    assert "LOADTEST_ALLOW_REMOTE=1" in ran.err
    assert server.password not in ran.err
    assert not (place.folder / "results").exists()


def test_plain_locust_that_was_allowed_to_says_it_and_runs(place, mariadb_target):
    ran = locust(place, mariadb_target, LOADTEST_ALLOW_REMOTE="1")
    assert ran.code == 0, ran
    assert ran.err.index("leave zombies on it") < ran.err.index("rows go to")


OWN = Dsn("192.0.2.7", 3306, "app", "", "shop")


@pytest.mark.parametrize(
    ("own", "names", "again", "allowed", "refused"),
    [
        (None, [], [], "", ""),  # told by a master on this machine
        (OWN, ["db", "3306"], [], "", ""),  # its master's
        (OWN, [], ["db", "3306"], "", ""),  # which was full when it was asked first
        (OWN, [], [], "1", ""),
        (
            OWN,
            [],
            [],
            "",
            "cannot tell whether 192.0.2.7:3306, on another machine, is the server of its master",
        ),
        (OWN, [], ["other", "3306"], "", "would load another server (other:3306) than its master watches"),
        (OWN, ["other", "3306"], [], "1", "would load another server"),
        (Dsn("127.0.0.1", 3306, "app", "", "shop"), [], [], "", ""),
    ],
)
def test_a_worker_loads_the_server_that_its_master_may_load(own, names, again, allowed, refused, monkeypatch):
    monkeypatch.setattr(remote_load, "names_of", lambda _: again)
    monkeypatch.setenv(remote.VARIABLE, allowed)
    order = {"server_names": ["db", "3306"]}
    if not refused:
        remote_load.check_order(own, names, order)
        return
    with pytest.raises(WorkersMissing) as caught:
        remote_load.check_order(own, names, order)
    assert refused in str(caught.value)


# pytest


@pytest.mark.parametrize("allowed", [False, True])
def test_so_are_the_fixtures_of_the_pytest_plugin(pytester, allowed):
    pytester.makeini(
        "[pytest]\nloadtest_server = mysql://a@192.0.2.7:1/d\n" + "loadtest_allow_remote = true\n" * allowed
    )
    pytester.makepyfile(
        """
        from loadtest.server import dsn_server

        def nothing(dsn):
            raise dsn_server.ServerUnavailable("it was tried")

        dsn_server.attach = nothing  # a server that answers nobody would take 5 s

        def test_it(loadtest_mysql):
            pass
        """
    )
    ran = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:xdist")
    ran.assert_outcomes(errors=1)
    text = ran.stdout.str()
    assert "192.0.2.7:1 is not this machine. This load will" in text
    assert ("it was tried" in text) is allowed
    assert ("loadtest_allow_remote = true in pytest's settings" in text) is not allowed
