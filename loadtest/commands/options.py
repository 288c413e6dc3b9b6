"""What several commands share: the options of a plan, of the server and of budgets."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click

from loadtest import remote
from loadtest.bench.meeting import PATIENCE_S, PORT
from loadtest.commands.output import say
from loadtest.dsn import Dsn
from loadtest.errors import UsageError
from loadtest.server.choice import ServerChoice
from loadtest.settings.durations import duration_s
from loadtest.settings.harm import harm_of
from loadtest.settings.nearest import nearest
from loadtest.settings.plan import Plan
from loadtest.settings.plan_options import Option, options
from loadtest.settings.scenario import plan_with
from loadtest.settings.via import GIVEN, via_in

EMPTY: Mapping[str, Any] = MappingProxyType({})


class Commands(click.Group):
    """Says the nearest name where there is no such command."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """``args``: the command's name and what follows it. Raises :class:`UsageError` for a wrong name."""
        word = args[0]
        if not word.startswith("-") and self.get_command(ctx, word) is None:
            known = self.list_commands(ctx)
            raise UsageError(f"unknown command {word!r}{nearest(word, known)}; there are {', '.join(known)}")
        return super().resolve_command(ctx, args)


class ServerType(click.ParamType[ServerChoice]):
    """Raises our own :class:`UsageError`."""

    name = "server"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ServerChoice:  # noqa: ARG002
        """``value`` is the word of the command line, or a choice; ``param`` and ``ctx`` are click's."""
        return value if isinstance(value, ServerChoice) else ServerChoice.parse(str(value))


server_option = click.option(
    "--server",
    "choice",
    type=ServerType(),
    metavar="auto|docker|local|DSN",
    default="auto",
    show_default=True,
    help="the server under load: auto, docker, local or mysql://user@host:port/database",
)


Command = Callable[..., Any]


allow_remote_option = click.option(
    remote.OPTION,
    "allow_remote",
    is_flag=True,
    help="load a --server that is on another machine, which may come to harm; what will be done to it is "
    f"said first ({remote.VARIABLE}=1 does the same)",
)

strategies_option = click.option(
    "--strategies",
    help="the strategies to compare, separated by commas: built-in names, package.module:attribute for your "
    "own, NAME=… to name one, a:0.3+b:0.7 for a mixed fleet  [all built-in ones]",
)


faults_option = click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="NAME[:key=value…]@SECOND[+DURATION]",
    help="what is done to the server or the network while the load is on, such as kill@5+2; see loadtest "
    "faults; repeatable  [those of the scenario]",
)


via_option = click.option(
    "--via",
    "via",
    multiple=True,
    metavar="router|haproxy|NAME=DSN",
    help="a proxy in front of the server, for the strategies that go through it by name, as in "
    "cached@router: MySQL Router with connection sharing (Docker), HAProxy as a queue, or one of your own; "
    "repeatable  [that of the scenario]",
)


tag_option = click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="[PART:]key=value",
    help="a tag of all functions, or of the one called PART: the report has figures for each tag; "
    "repeatable  [those of the scenario, and of a SAM template]",
)


def plan_options(without: Collection[str] = ()) -> Callable[[Command], Command]:
    """Gives a command an option for each field of a plan but those in ``without``.

    What is not given is left to the scenario.
    """

    def decorated(command: Command) -> Command:
        for option in reversed(list(options(Plan))):
            if option.field not in without:
                command = _click_option(option)(command)
        return command

    return decorated


def meeting_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives ``command`` where its master waits for workers, and how long."""
    for option in (
        click.option(
            "--workers-wait",
            metavar="DURATION",
            default=f"{PATIENCE_S:g}s",
            show_default=True,
            help="longest time that each repetition waits for its workers",
        ),
        click.option(
            "--master-bind-port",
            type=click.IntRange(1, 65535),
            default=PORT,
            show_default=True,
            help="the port on which workers reach this command",
        ),
        click.option(
            "--master-bind-host",
            default="127.0.0.1",
            show_default=True,
            help="the address on which workers reach this command; * for every address of this machine",
        ),
    ):
        command = option(command)
    return command


def _click_option(option: Option) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    shown = option.text(option.default) or "none"
    return click.option(option.flag, option.field, metavar=option.metavar, help=f"{option.help}  [{shown}]")


def plan_of(
    scenario: str,
    strategies: str | None,
    given: Mapping[str, Any],
    changes: Mapping[str, Any] = EMPTY,
    via: Sequence[str] = (),
) -> Plan:
    """The command line before the scenario's file, and that before the defaults.

    ``scenario`` is a name or a TOML file, ``strategies`` are separated by commas, and ``given`` has the
    values of :func:`plan_options` by field, None where there was no such option. ``changes`` go over all of
    that, by option name. ``via`` are the proxies that were given. Raises :class:`UsageError`.
    """
    values = {
        option.name: given[option.field] for option in options(Plan) if given.get(option.field) is not None
    }
    if strategies is not None:
        values["strategies"] = [name.strip() for name in strategies.split(",") if name.strip()]
    if via:
        values["via"] = list(via)
    return plan_with(scenario, {**values, **changes})


def wait_of(text: str) -> float:
    """The seconds of ``--workers-wait``, whose value is ``text``. Raises :class:`UsageError`."""
    try:
        return duration_s(text)
    except UsageError as error:
        raise UsageError(f"workers-wait: {error}") from None


def budget_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives ``command``, one of those that judge a run, its ``--budget`` and ``--baseline``."""
    command = click.option(
        "--baseline",
        type=click.Path(path_type=Path),
        help="an earlier run, whose figures budgets can name as baseline.ARM.FIELD  [none]",
    )(command)
    return click.option(
        "--budget",
        "budgets",
        multiple=True,
        metavar="TEXT|FILE.toml",
        help="a condition on the results, such as 'managed.error_ratio == 0'; the command ends with 1 if "
        "it is missed; repeatable  [none]",
    )(command)


def warn_of_password(choice: ServerChoice) -> None:
    """Where --server has one."""
    if choice.dsn is not None and choice.dsn.password:
        seen = "other users of this machine can read a password on the command line"
        say(f"loadtest: warning: {seen}; leave it out and set LOADTEST_PASSWORD", err=True)


def harm_agreed(
    choice: ServerChoice, plan: Plan, *, allow_remote: bool, rate: str = "", total: str = ""
) -> str:
    """What ``plan`` will do to a server of another machine; "" if there is none.

    ``allow_remote`` is the option; ``rate`` and ``total`` as :func:`~loadtest.settings.harm.harm_of` has
    them. Raises :class:`UsageError` if nobody has allowed it.
    """
    is_allowed = remote.allowed_in(os.environ) or allow_remote
    proxies = [Dsn.parse(via.address) for via in map(via_in, plan.via) if via.kind == GIVEN]
    if choice.dsn is None:
        servers = proxies
    else:
        servers = [choice.dsn, *remote.servers_in(os.environ, "LOADTEST_ADMIN_DSN"), *proxies]
    if not servers:
        return ""
    return remote.agreed(servers, harm_of(plan, servers[0].database, rate, total), is_allowed=is_allowed)
