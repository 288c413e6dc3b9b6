"""Our options in Locust's parser and form, and the settings that they make."""

from collections.abc import Callable
from typing import Any

from locust import events

from loadtest.errors import UsageError
from loadtest.settings.durations import duration_s
from loadtest.settings.load_shape import NAMED, STEADY
from loadtest.settings.plan import Settings
from loadtest.settings.plan_options import NUMBERS, build, options
from loadtest.settings.strategy import STRATEGIES

# What Locust's own number of users decides.
LOCUSTS_OWN = ("model", "rate", "containers")


def option_names() -> list[str]:
    """The names of our options in Locust's parser and form."""
    return [option.name for option in options() if option.name not in LOCUSTS_OWN]


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_options(parser: Any, **_: Any) -> None:
    """Adds plain options to the parser itself, since options in groups are not shown in the web form."""
    parser.set_defaults(web_host="127.0.0.1")  # Locust's own is every address, from which all may start load
    known: list[str] = list(STRATEGIES)
    parser.add_argument(
        "--strategy", default="managed", type=_joining(known), choices=known, metavar="NAME",
        help="how functions hold their connection",
    )  # fmt: skip
    for option in options():
        if option.name in LOCUSTS_OWN:
            continue
        default = option.text(option.default) if option.kind == "duration" else option.default
        kind: Any
        choices, kind = list(option.choices) or None, NUMBERS.get(option.kind, (str,))[0]
        if option.name == "shape":
            choices, default = list(NAMED), STEADY
            kind = _joining(choices)
        parser.add_argument(
            *dict.fromkeys((option.flag, f"--{option.name}")),
            dest=option.name,
            type=kind,
            default=default,
            choices=choices,
            metavar=option.name.upper() if option.name == "shape" else None,
            help=option.help,
        )


def _joining(choices: list[str]) -> Callable[[str], str]:
    """For a drop-down in the form: a value from the command line becomes one of its entries."""

    def kept(text: str) -> str:
        if text and text not in choices:
            choices.append(text)
        return text or choices[0]

    return kept


def settings_of(environment: Any) -> Settings:
    """The settings of the parsed options. Raises :class:`~loadtest.errors.UsageError`."""
    parsed = environment.parsed_options
    values = {name: getattr(parsed, name) for name in option_names()}
    return settings_from(
        values, getattr(parsed, "run_time", None), model_of(environment), users_of(environment)
    )


def settings_from(values: dict[str, Any], run_time_s: float | None, model: str, users_count: int) -> Settings:
    """The settings of our options and of what Locust decides. Raises :class:`~loadtest.errors.UsageError`.

    ``values`` are those of our options by name; ``run_time_s`` goes over the duration among them (None:
    Locust has none); ``model`` is open or closed.
    """
    extent: dict[str, Any] = {"model": model, "containers": users_count}
    if run_time_s:
        duration_s(values["duration"])  # wrong all the same
        extent["duration"] = run_time_s
    if model == "open" and values["rate_per_user"] > 0:  # else that is what is wrong
        extent = {**extent, "rate": users_count * values["rate_per_user"]}
        del extent["containers"]
    return build(Settings, {**values, **extent}, "options")  # type: ignore[no-any-return]


def spawn_at_once(environment: Any) -> None:
    """Makes all users start at once, as ``run.json`` says, instead of Locust's default of 1 per second.

    Raises :class:`~loadtest.errors.UsageError` if Locust was asked for something else.
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
    """The load model of the locustfile's users: open or closed."""
    return str(environment.user_classes[0].model)


def users_of(environment: Any) -> int:
    """The number of users of the test."""
    return max(1, int(environment.runner.target_user_count or environment.parsed_options.num_users or 1))
