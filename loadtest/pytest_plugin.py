"""For a team's own tests: a MySQL with few connections, and a handler under load.

Fixtures ``loadtest_mysql`` and ``loadtest_fleet``; options ``loadtest_server`` and
``loadtest_max_connections`` in the project's pytest settings. Nothing heavy is
imported until a test asks for one of them.
"""

import inspect
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from msgspec import Struct

    from loadtest.dsn import Dsn
    from loadtest.results.summary import PartFigures
    from loadtest.server.target import Target

DURATION_S = 5.0
REPETITIONS = 1


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds ours, such as ``loadtest_server``, to the settings that ``parser`` reads."""
    parser.addini("loadtest_server", "auto, docker, local or mysql://user@host:port/database", default="auto")
    parser.addini("loadtest_max_connections", "of the server that is started", default="90")
    parser.addini(
        "loadtest_allow_remote", "whether a server on another machine may come to harm", "bool", default=False
    )


@pytest.fixture(scope="session")
def loadtest_mysql(pytestconfig: pytest.Config) -> "Iterator[Target]":
    """A real MySQL or MariaDB with few connections, started once per session and gone afterwards.

    ``loadtest_mysql.functions`` is the account to connect with (``host``, ``port``, ``user``, ``password``,
    ``database``). Fails with one sentence where no server can be had.
    """
    from loadtest.errors import LoadtestError
    from loadtest.server.choice import ServerChoice
    from loadtest.server.launch import launched

    limit = str(pytestconfig.getini("loadtest_max_connections"))
    if not re.fullmatch("[0-9]{1,9}", limit):
        pytest.fail(f"loadtest_max_connections cannot be {limit!r}: expected a whole number", pytrace=False)
    try:
        choice = ServerChoice.parse(str(pytestconfig.getini("loadtest_server")))
        if choice.dsn is not None:
            _say(pytestconfig, _harm(pytestconfig, choice.dsn))
        server = launched(choice, int(limit))
        with _alone():
            target = server.__enter__()
    except LoadtestError as error:
        pytest.fail(str(error), pytrace=False)
    try:
        yield target
    finally:
        with _alone():  # our tables on a given server are dropped: not under another worker's load
            server.__exit__(None, None, None)


def _harm(config: pytest.Config, dsn: "Dsn") -> str:
    """What tests will do to a server of another machine; "" if it is this one. Raises UsageError."""
    from loadtest import remote
    from loadtest.settings.harm import harm_of
    from loadtest.settings.scenario import plan_with

    is_allowed = remote.allowed_in(os.environ) or bool(config.getini("loadtest_allow_remote"))
    plan = plan_with("burst", {"duration": DURATION_S, "repetitions": REPETITIONS, "strategies": ["direct"]})
    harm = harm_of(plan, dsn.database, total="or what each test says instead, with its handler")
    servers = [dsn, *remote.servers_in(os.environ, "LOADTEST_ADMIN_DSN")]
    how = f"loadtest_allow_remote = true in pytest's settings, or {remote.VARIABLE}=1"
    return remote.agreed(servers, harm, is_allowed=is_allowed, how=how)


def _say(config: pytest.Config, text: str) -> None:
    """On the terminal, before the load; under xdist, workers have none."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    capture = config.pluginmanager.get_plugin("capturemanager")
    if text and reporter is not None and capture is not None:
        with capture.global_and_fixture_disabled():
            reporter.write_line(f"\nloadtest: {text}")


@contextmanager
def _alone() -> Iterator[None]:
    """Waits its turn: two loads at once, of xdist's workers say, would each measure the other."""
    import fcntl

    path = Path(tempfile.gettempdir()) / f"loadtest-pytest-{os.getuid()}.lock"
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)) as file:  # noqa: PTH123
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
def loadtest_fleet(
    loadtest_mysql: "Target", tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> "Callable[..., Figures]":
    """``loadtest_fleet(factory, rate=200)`` runs a handler in a fleet of containers and returns the figures.

    ``factory`` makes the handler: it is called with ``connect`` once per container, and returns a function of
    (event, context). It can also be a strategy: ``"managed"``, or a real function such as
    ``"lambda:node:./shop/index.handler"``. The keywords are the settings of a scenario (``loadtest bench
    --help``, with underscores), such as ``rate``, ``duration="10s"`` or
    ``reap_probability``, and ``scenario``, whose settings they override. The result has the fields of the arm
    in ``summary.json``: ``error_ratio``, ``latency_ms.p99``. Only one load runs on a machine at a time, so
    xdist's workers wait for each other here.
    """

    def run(factory: "Callable[..., Any] | str", scenario: str = "burst", **settings: Any) -> Figures:
        from loadtest.bench.bench import Bench
        from loadtest.bench.interrupts import Interrupts
        from loadtest.errors import LoadtestError
        from loadtest.report.files import write_report
        from loadtest.server.reset import seed
        from loadtest.settings.scenario import plan_with
        from loadtest.settings.strategy import arm_name

        strategy = factory if isinstance(factory, str) else _spec(factory, monkeypatch)
        if strategy.startswith("lambda:"):  # which needs a name that a folder can have
            strategy = f"function={strategy}"
        values = {"duration": DURATION_S, "repetitions": REPETITIONS, **settings, "strategies": [strategy]}
        out = tmp_path_factory.mktemp("fleet") / "run"
        try:
            plan = plan_with(scenario, values)
            with _alone():
                bench = Bench(plan, out, Interrupts(), lambda _: None)
                if loadtest_mysql.kind == "given":
                    seed(loadtest_mysql.admin)  # another worker that was done may have dropped our tables
                folder = bench.run_on(nullcontext(loadtest_mysql))
            summary = write_report(folder)[0]
        except LoadtestError as error:
            pytest.fail(str(error), pytrace=False)
        arm = arm_name(strategy)
        return Figures(arm, summary.arms[arm].median, folder.path, summary.warnings)

    return run


def _spec(handler: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> str:
    """``name=module:attribute`` by which another process finds it."""
    name, module = getattr(handler, "__qualname__", ""), getattr(handler, "__module__", "")
    if not name.isidentifier() or not module:
        pytest.fail(
            f"{handler!r} cannot be found by name in another process: write it at the top of a module",
            pytrace=False,
        )
    _check_signature(handler, name)
    file = Path(inspect.getfile(inspect.unwrap(handler)))
    steps = module.split(".")
    whole = file.with_suffix("").parts[-len(steps) :] == tuple(steps)
    home = file.parents[len(steps) - 1] if whole else file.parent
    monkeypatch.setenv("LOADTEST_STRATEGIES_FROM", str(home))
    return f"{name}={module if whole else file.stem}:{name}"


def _check_signature(handler: Callable[..., Any], name: str) -> None:
    needed = [
        parameter
        for parameter in inspect.signature(handler).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    if len(needed) != 1:
        pytest.fail(
            f"{name} has to take `connect` alone and return the handler, a function of (event, context): it "
            "is called once per container, since what is at the top of a module would be shared by all",
            pytrace=False,
        )


class Figures:
    """The fields of an arm in ``summary.json`` as attributes, such as ``latency_ms.p99``.

    An attribute whose value is unknown fails the test with the reason: ``warnings``, those of the run. ``at``
    is the path from the arm to a group of fields, such as "latency_ms.".
    """

    def __init__(
        self,
        arm: str,
        figures: "Struct | dict[str, PartFigures]",
        path: Path,
        warnings: list[str],
        at: str = "",
    ) -> None:
        from loadtest.results.summary import fields_of

        self._arm = arm
        self._values = fields_of(figures)
        self._warnings = warnings
        self._at = at
        self.path = path

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._values:
            raise AttributeError(
                f"{self._at or self._arm} has no {name!r}; there are {', '.join(self._values)}"
            )
        value, at = self._values[name], f"{self._at}{name}"
        if value is None:
            reasons = "; ".join(self._warnings) or "there are no rows to compute it from"
            pytest.fail(
                f"{self._arm}: {at} is not known: {reasons} ({self.path} has the rows)", pytrace=False
            )
        if name == "parts" or hasattr(value, "__struct_fields__"):
            return Figures(self._arm, value, self.path, self._warnings, f"{at}.")
        return value

    def __repr__(self) -> str:
        values = self._values
        if self._at:
            return f"<{self._arm} {self._at.rstrip('.')} {values}>"
        p99_ms = values["latency_ms"].p99
        errors = ", ".join(f"{count:g} of {name}" for name, count in values["errors"].items()) or "no errors"
        latency = "latency unknown" if p99_ms is None else f"p99 {p99_ms:.1f} ms"
        return f"<{self._arm}: {values['arrivals_count']:,g} arrivals, {errors}, {latency}; {self.path}>"
