"""`--profile`: the size of a database as a service."""

import json
from itertools import pairwise

import pytest

from loadtest.errors import UsageError
from loadtest.server import compose, connections
from loadtest.server.choice import ServerChoice
from loadtest.server.launch import launched
from loadtest.settings.profiles import PROFILES, profile_of
from loadtest.settings.scenario import plan_with


@pytest.mark.parametrize(
    ("name", "max_connections"),
    [
        ("aurora.t4g.small", 45), ("aurora.t4g.medium", 90), ("aurora.r6g.large", 1_000),
        ("aurora.r6g.8xlarge", 5_000), ("aurora.v2-1", 90), ("aurora.v2-8", 1_000), ("aurora.v2-128", 5_000),
        ("rds.t4g.micro", 85), ("rds.r7g.large", 1_365),
    ],
)  # fmt: skip
def test_a_profile_has_the_default_limit_of_its_class(name, max_connections):
    assert profile_of(name).max_connections == max_connections


def test_larger_classes_have_more_of_everything():
    for family in ("aurora.t4g", "aurora.r6g", "aurora.v2", "rds.t4g", "rds.m7g", "rds.r7g"):
        ours = [profile for name, profile in PROFILES.items() if name.startswith(family)]
        assert len(ours) >= 2
        for one, larger in pairwise(ours):
            assert one.max_connections < larger.max_connections
            assert one.cpus <= larger.cpus
            assert one.memory_gib < larger.memory_gib


@pytest.mark.parametrize(
    ("file", "given", "expected"),
    [
        ("max-connections = 20", {"profile": "aurora.t4g.small"}, 45),  # the command line goes first
        ("max-connections = 20", {"profile": "aurora.t4g.small", "max_connections": 30}, 30),
        ('profile = "aurora.t4g.small"', {}, 45),
        ('profile = "aurora.t4g.small"\nmax-connections = 20', {}, 20),
        ('profile = "aurora.t4g.small"', {"max_connections": 30}, 30),
        ('profile = "aurora.t4g.small"', {"profile": "aurora.t4g.medium"}, 90),
        ('profile = "aurora.t4g.small"', {"rate": 10}, 45),
    ],
)
def test_it_stands_for_its_max_connections_unless_they_are_given(tmp_path, file, given, expected):
    scenario = tmp_path / "sized.toml"
    scenario.write_text(file, "utf-8")
    assert plan_with(str(scenario), given).max_connections == expected


def test_the_command_lists_them_with_their_sources(inside):
    code, out, _ = inside.run("profiles")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert set(PROFILES) <= set(lines)
    assert "45" in lines["aurora.t4g.small"]
    assert all("Aurora" in line or "RDS" in line for name, line in lines.items() if name in PROFILES)
    assert "November 2026" in out


@pytest.mark.parametrize("command", ["bench", "web", "capacity"])
def test_one_that_is_not_there_is_refused_with_the_nearest(inside, command):
    said = inside.refused(2, command, "--profile", "aurora.t4g.smal")
    assert "unknown profile 'aurora.t4g.smal' (did you mean aurora.t4g.small?)" in said
    assert "`loadtest profiles` lists them" in said


def test_it_is_not_for_a_server_that_is_given():
    choice = ServerChoice.parse("mysql://a:b@127.0.0.1:1/d")
    with (
        pytest.raises(UsageError, match=r"profile aurora\.t4g\.small is for a server that is started for it"),
        launched(choice, 45, profile=profile_of("aurora.t4g.small")),
    ):
        pass


def test_a_private_server_has_its_connections_and_says_what_it_has_not():
    with launched(ServerChoice("local"), 45, profile=profile_of("aurora.t4g.small")) as target:
        assert target.max_connections == 45
        text = "a private server has this machine's CPUs and memory, not those of aurora.t4g.small"
        assert text in target.warnings


@pytest.mark.usefixtures("docker")
@pytest.mark.parametrize(
    ("name", "cpus", "is_too_large"),
    [
        ("aurora.v2-1", 0.25, False),
        pytest.param("aurora.r6g.8xlarge", 32, True, marks=pytest.mark.nightly),
    ],
)
def test_a_server_in_docker_has_its_cpus_memory_and_connections(monkeypatch, name, cpus, is_too_large):
    monkeypatch.delenv("LOADTEST_CPUS", raising=False)
    profile = profile_of(name)
    here = compose.engine().cpus_count
    with launched(ServerChoice("docker"), profile.max_connections, profile=profile) as target:
        with connections.session(target.admin) as cursor:
            cursor.execute("SELECT @@max_connections, @@port")
            most, port = cursor.fetchone()
        found = [one for one in _containers() if f"--port={port}" in " ".join(one["Config"]["Cmd"])]
        (limits,) = [one["HostConfig"] for one in found]
        assert most == profile.max_connections
        assert limits["NanoCpus"] == int(min(cpus, here) * 1e9)
        assert limits["Memory"] >= profile.memory_gib * 2**30
        assert any(f"has {cpus:g} CPUs, and this machine" in text for text in target.warnings) == is_too_large


def _containers():
    names = compose.docker(["ps", "--quiet"]).split()
    return json.loads(compose.docker(["inspect", *names]))
