"""The Locust users and their options.

A Locust user here is a name on a list: it joins the worker's generator when Locust spawns it and
leaves when Locust stops it. Its arrivals come from the generator, so that they neither wait for
answers nor for Locust's own pace.
"""

from locust import User, constant, events, stats, task  # first: it patches for gevent

# isort: split
import os
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

import gevent

from loadtest.errors import LoadtestError, UsageError
from loadtest.fleet.run import Run
from loadtest.fleet.strategies import parse
from loadtest.load_shape import NAMED, STEADY
from loadtest.records import UNFINISHED, Invocation
from loadtest.settings import STRATEGIES, Settings, build, duration_s, duration_text, options

TYPES: dict[str, Any] = {"float": float, "int": int, "str": str, "duration": str}
# What Locust's own number of users decides.
LOCUSTS_OWN = ("model", "rate", "containers")
_runs: dict[int, Run] = {}


def option_names() -> list[str]:
    """Options as Locust's parser and form know them."""
    return [option.name for option in options() if option.name not in LOCUSTS_OWN]


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_options(parser: Any, **_: Any) -> None:
    """Plain strings and numbers on the parser itself: grouped ones never show in the web form."""
    known: list[str] = list(STRATEGIES)
    parser.add_argument(
        "--strategy", default="managed", type=_joining(known), choices=known, metavar="NAME",
        help="how functions hold their connection",
    )  # fmt: skip
    for option in options():
        if option.name in LOCUSTS_OWN:
            continue
        default = duration_text(option.default) if option.kind == "duration" else option.default
        dashed = f"--{option.name.replace('_', '-')}"
        choices, kind = list(option.choices) or None, TYPES[option.kind]
        if option.name == "shape":
            choices, default = list(NAMED), STEADY
            kind = _joining(choices)
        parser.add_argument(
            *dict.fromkeys((dashed, f"--{option.name}")),
            dest=option.name,
            type=kind,
            default=default,
            choices=choices,
            metavar=option.name.upper() if option.name == "shape" else None,
            help=option.help,
        )


def _joining(choices: list[str]) -> Callable[[str], str]:
    """A drop-down in the form; what the command line names beside its entries becomes one of them."""

    def kept(text: str) -> str:
        if text and text not in choices:
            choices.append(text)
        return text or choices[0]

    return kept


class Passive(User):  # type: ignore[misc]
    """Joins and leaves; everything else is the generator's."""

    abstract = True
    host = "mysql"  # Locust's form wants one; the server comes from LOADTEST_DSN
    wait_time = constant(3600)
    model = "open"
    _index = -1

    @task  # type: ignore[untyped-decorator]
    def rest(self) -> None:
        """A waiting user is stopped at once, a sleeping task is not."""

    def on_start(self) -> None:
        run = _runs[id(self.environment)]
        if run.generator is not None:
            self._index = run.numbers.take()
            run.generator.join(self._index)

    def on_stop(self) -> None:
        run = _runs.get(id(self.environment))
        if run is not None and self._index >= 0:
            run.numbers.give_back(self._index)
            if run.generator is not None:
                run.generator.leave(self._index)


class Client(Passive):
    """Open model: a client that sends requests at its own rate."""


class Container(Passive):
    """Closed model: one emulated container."""

    model = "closed"


def settings_of(environment: Any) -> Settings:
    """From the parsed options. Raises :class:`~loadtest.errors.UsageError`."""
    parsed = environment.parsed_options
    values = {name: getattr(parsed, name) for name in option_names()}
    return settings_from(
        values, getattr(parsed, "run_time", None), model_of(environment), users_of(environment)
    )


def settings_from(values: dict[str, Any], run_time_s: float | None, model: str, users_count: int) -> Settings:
    """From options and what Locust itself decides. Raises :class:`~loadtest.errors.UsageError`."""
    extent: dict[str, Any] = {"model": model, "containers": users_count}
    if run_time_s:
        duration_s(values["duration"])  # wrong all the same
        extent["duration"] = run_time_s
    if model == "open" and values["rate_per_user"] > 0:  # else that is what is wrong
        extent = {**extent, "rate": users_count * values["rate_per_user"]}
        del extent["containers"]
    return build(Settings, {**values, **extent}, "options")  # type: ignore[no-any-return]


def spawn_at_once(environment: Any) -> None:
    """All users are there from the start, as ``run.json`` says, whatever Locust's own default of 1 a second.

    Raises :class:`~loadtest.errors.UsageError` where Locust was asked for something else.
    """
    parsed, users_count = environment.parsed_options, users_of(environment)
    if environment.shape_class is not None:
        raise UsageError(
            f"{type(environment.shape_class).__name__} would let users come and go, and the figures be about "
            "a load that nobody wrote down: take it out of the locustfile, and let the load rise with --ramp "
            "or --shape"
        )
    if parsed.spawn_rate is None:
        parsed.spawn_rate = float(users_count)
    if parsed.spawn_rate < users_count:
        raise UsageError(
            f"--spawn-rate {parsed.spawn_rate:g} cannot be: all {users_count:,} users have to be there from "
            "the start; leave it out, and let the load rise with --ramp or --shape"
        )


def model_of(environment: Any) -> str:
    """open or closed, as the locustfile's users are."""
    return str(environment.user_classes[0].model)


def run_of(environment: Any) -> Run:
    """The tests of this process, once Locust has been set up."""
    return _runs[id(environment)]


def users_of(environment: Any) -> int:
    """How many users the test will have."""
    return max(1, int(environment.runner.target_user_count or environment.parsed_options.num_users or 1))


@events.init.add_listener  # type: ignore[untyped-decorator]
def install(environment: Any, **_: Any) -> None:
    """What can be wrong is said before anything runs."""
    from locust.runners import WorkerRunner

    def on_row(row: Invocation, _generator: Any) -> None:
        _tell_locust(environment, row)

    try:
        run = _runs[id(environment)] = Run(environment)
        # In a bench nobody looks at Locust's own statistics, which cost a tenth of a process at saturation.
        if "LOADTEST_REPETITION" not in os.environ:
            stats.bucket_response_time = _bucket
            run.listeners.append(on_row)
        if not isinstance(environment.runner, WorkerRunner):
            settings_of(environment)
            spawn_at_once(environment)
            for part in parse(environment.parsed_options.strategy):
                part.check()
            if environment.web_ui is None:
                run.prepare(environment.parsed_options.tls)
    except LoadtestError as error:
        _end(error)
    _listen(environment, run)
    # Python raises KeyboardInterrupt in whatever runs at the time, here often a function that is being
    # measured; Locust waits for it in its main greenlet.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        gevent.signal_handler(signal.SIGINT, gevent.get_hub().parent.throw, KeyboardInterrupt)


def _listen(environment: Any, run: Run) -> None:
    @environment.events.test_start.add_listener  # type: ignore[untyped-decorator]
    def begin(**_: Any) -> None:
        if run.is_worker:
            return
        try:
            run.begin(settings_of(environment), environment.parsed_options.strategy, users_of(environment))
        except LoadtestError as error:
            run.end(error.exit_code, str(error))

    @environment.events.test_stopping.add_listener  # type: ignore[untyped-decorator]
    def stopping(**_: Any) -> None:
        run.stopping()

    @environment.events.test_stop.add_listener  # type: ignore[untyped-decorator]
    def stopped(**_: Any) -> None:
        if not run.is_worker:
            run.finish()

    @environment.events.quitting.add_listener  # type: ignore[untyped-decorator]
    def quitting(**_: Any) -> None:
        # On a signal this comes before the test is stopped, otherwise after it.
        if environment.runner.state in ("running", "spawning"):
            run.interrupted = True
            environment.process_exit_code = 130


def _end(error: LoadtestError) -> NoReturn:
    sys.stderr.write(f"{error}\n")
    sys.exit(error.exit_code)


def _bucket(response_time_ms: float) -> int:
    """Three digits instead of Locust's two. Its histogram takes whole numbers of ms only."""
    digits = 3 - len(str(int(response_time_ms)))
    return int(round(response_time_ms, min(0, digits)))


class _Failed(Exception):
    """An arrival's error as Locust's statistics want it: one object for each text."""


_failures: dict[str, _Failed] = {}


def _tell_locust(environment: Any, row: Invocation) -> None:
    failure = None
    if row.error:
        failure = _failures.setdefault(row.error, _Failed(row.error))
    answered = row.finished_s == row.finished_s and row.error != UNFINISHED
    environment.events.request.fire(
        request_type=environment.parsed_options.workload,
        name=row.part,
        # None counts without a time: an arrival that nobody served did not take 0 ms.
        response_time=(row.finished_s - row.due_s - row.cold_start_s) * 1000 if answered else None,
        response_length=0,
        exception=failure,
        context={},
    )
