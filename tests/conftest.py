"""Real servers, each started once per session (once per worker under xdist)."""

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import HealthCheck, settings

from loadtest.errors import ServerUnavailable
from loadtest.server import compose, connections, haproxy, launch, local, reset, router, schema
from loadtest.server.choice import ServerChoice
from loadtest.server.target import Target
from tests.places import Place

# A machine that stands still for a moment makes no example slow.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--short", action="store_true", help="benchmarks in their short form, with wide limits")


# Started first, where several workers take a file each: the whole ends when its longest file does.
LONGEST = (
    "test_readme", "test_interrupted", "test_functions_page", "test_browser", "test_pytest_plugin",
    "test_load", "test_bad_input",
    "test_ci_examples", "test_costs", "test_local", "test_docker_bench", "test_bench_workers", "test_workers",
    "test_started_otherwise", "test_locust_command", "test_plain_locust", "test_over_http",
    "test_conformance",
)  # fmt: skip


def pytest_configure() -> None:
    """A shell starts background jobs deaf to SIGINT, and what we start would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Files without a test that runs alone, where only those are asked for: importing all takes long."""
    if not str(config.getoption("markexpr")).startswith("alone") or collection_path.suffix != ".py":
        return None
    is_test = collection_path.name.startswith("test_")
    return True if is_test and "mark.alone" not in collection_path.read_text("utf-8") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    place = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONGEST)))


def missing(reason: str) -> None:
    """A skip with its reason; in CI nothing may be missing."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI, and {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def mariadb_target() -> Iterator[Target]:
    """A private mariadbd, 90 connections."""
    found = local.find()
    if found is None or found.flavour != "mariadb":
        missing(f"no mariadbd is installed, or a MySQL goes before it: {found}")
    with launch.launched(ServerChoice("local"), 90) as target:
        yield target


@pytest.fixture(scope="session")
def docker() -> None:
    """A Docker engine that answers, if not at once on a busy machine."""
    for is_last in (False, False, True):
        try:
            compose.engine()
            return
        except ServerUnavailable as error:
            if is_last or "did not answer" not in str(error):
                missing(str(error))


@pytest.fixture(scope="session")
def mysql_target(docker: None) -> Iterator[Target]:  # noqa: ARG001 - asked for what it checks
    """MySQL in Docker, 90 connections."""
    with launch.launched(ServerChoice("docker"), 90) as target:
        yield target


@pytest.fixture(scope="session")
def router_image(docker: None) -> None:  # noqa: ARG001 - asked for what it checks
    """The image of MySQL Router, which is on no public registry under this name."""
    try:
        compose.docker(["image", "inspect", router.IMAGE])
    except ServerUnavailable:
        missing(f"there is no image {router.IMAGE}")


@pytest.fixture(scope="session")
def haproxies() -> None:
    if haproxy.find() is None:
        missing(haproxy.MISSING)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The system's Chromium."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        missing("no Chromium is installed (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(params=["mariadb", "mysql"])
def target(request: pytest.FixtureRequest) -> Target:
    """Each of the two kinds of server that we start."""
    return request.getfixturevalue(f"{request.param}_target")


@pytest.fixture(autouse=True)
def _tables_again(request: pytest.FixtureRequest) -> Iterator[None]:
    """A command drops the tables of a server that it was given; the next test needs them."""
    yield
    for name in {"mariadb_target", "mysql_target"} & {*request.fixturenames}:
        admin = request.getfixturevalue(name).admin
        with connections.session(admin) as cursor:
            cursor.execute("SHOW TABLES")
            found = {row[0] for row in cursor.fetchall()}
        if not {schema.ROWS, schema.LEDGER} <= found:
            reset.seed(admin)


@pytest.fixture
def inside(tmp_path, monkeypatch, capsys):
    from tests.inside import Inside  # brings the whole command line along

    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    return Inside(tmp_path, monkeypatch, capsys)


@pytest.fixture
def place(tmp_path):
    # Not below pytest's own, which is too long for the path of a server's socket.
    tmp = Path(tempfile.mkdtemp(prefix="bad-", dir="/tmp"))
    here = Place(tmp_path, tmp)
    yield here
    left = here.processes()
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    shutil.rmtree(tmp, ignore_errors=True)
    assert left == []


# What cannot be, said before anything runs
