"""A load on a server elsewhere has to be allowed, in every way of making one."""

import socket

import pytest

from loadtest import remote
from loadtest.dsn import Dsn
from loadtest.errors import UsageError
from loadtest.remote import addresses_of, check_remote, is_here, own_addresses
from tests.places import ROOT

ELSEWHERE = "mysql://me@192.0.2.7:3306/shop"  # of the addresses that are kept for documentation
OWN = {"10.0.0.5", "172.17.0.1", "fe80::1"}


@pytest.mark.parametrize(
    ("found", "is_so"),
    [
        ({"127.0.0.1"}, True),
        ({"127.0.3.1", "::1"}, True),
        ({"10.0.0.5"}, True),
        ({"172.17.0.1"}, True),  # the bridge of Docker's containers
        ({"fe80::1"}, True),
        (set(), True),  # a name that nobody knows: whoever connects says so
        ({"192.0.2.7"}, False),
        ({"127.0.0.1", "192.0.2.7"}, False),
        ({"2001:db8::1"}, False),
    ],
)
def test_here_is_loopback_and_what_this_machine_is_called(found, is_so):
    assert is_here(found, OWN) is is_so


def test_this_machines_addresses_are_its_own():
    assert "127.0.0.1" in own_addresses()
    assert addresses_of("127.0.0.1") == {"127.0.0.1"}
    assert addresses_of("::ffff:127.0.0.1") == {"127.0.0.1"}
    assert addresses_of("nowhere.invalid") == set()
    assert is_here(addresses_of(socket.gethostname()), own_addresses())


def test_what_the_load_does_is_told_before_it_is_allowed_and_after():
    dsn = Dsn.parse(ELSEWHERE)
    with pytest.raises(UsageError) as refused:
        check_remote(dsn, "500 arrivals per second", is_allowed=False)
    said = str(refused.value)
    assert said.startswith(
        "192.0.2.7 is not this machine, and this load is meant to hurt a server: 500 arrivals"
    )
    assert said.endswith("add --allow-remote, or set LOADTEST_ALLOW_REMOTE=1")
    assert check_remote(dsn, "500 arrivals per second", is_allowed=True) == said.partition(" If that")[0]
    assert check_remote(Dsn.parse("mysql://me@127.0.0.1/shop"), "any", is_allowed=False) == ""


@pytest.mark.parametrize("command", ["bench", "web", "capacity"])
def test_no_command_loads_a_server_elsewhere_unasked(place, command):
    ran = place.run(command, "--server", ELSEWHERE, "--to" if command == "capacity" else "--rate", "90")
    assert (ran.code, ran.out, place.files(), place.left()) == (2, "", {}, [])
    (said,) = ran.err.splitlines()
    assert "90 arrivals per second" in said
    assert "from up to 1,000 containers at once" in said
    assert "--allow-remote" in said


def test_an_allowed_load_says_what_it_does_there_first(place):
    """Nobody answers at that address."""
    ran = place.run(
        "bench", "--server", ELSEWHERE, "--allow-remote", "--containers", "7", "--model", "closed"
    )
    assert ran.code == 3
    first, *_, last = ran.err.splitlines()
    assert first.startswith(
        "loadtest: 192.0.2.7 is not this machine, and this load is meant to hurt a server: 7 "
    )
    assert "192.0.2.7" in last


def test_plain_locust_and_the_plugin_ask_the_environment(place):
    env = {"LOADTEST_DSN": ELSEWHERE, "LOADTEST_PASSWORD": "x"}
    file = ROOT / "locustfiles" / "clients.py"
    ran = place.run("-f", file, "--headless", "-u", "10", module="locust", env=env)
    assert ran.code == 2
    assert f"set {remote.VARIABLE}=1" in ran.err.splitlines()[-1]
    (place.folder / "pytest.ini").write_text(f"[pytest]\nloadtest_server = {ELSEWHERE}\n")
    (place.folder / "test_it.py").write_text("def test_it(loadtest_mysql): ...\n")
    ran = place.run("-q", "-p", "no:cacheprovider", module="pytest")
    assert f"set {remote.VARIABLE}=1" in ran.out
