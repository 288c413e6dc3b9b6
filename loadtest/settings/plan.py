"""The settings of a run, checked once.

``Settings`` is what one repetition needs, ``Plan`` a whole run. They are the only source of the command
line's options, of Locust's custom arguments and of the keys of a scenario file. An option is the field's
name with dashes; the field of a duration drops its ``_s`` there (``--duration 30s``).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta

from loadtest.errors import UsageError
from loadtest.settings.durations import duration_s, duration_text
from loadtest.settings.fault import Needs, faults_in
from loadtest.settings.load_shape import STEADY, shape_points
from loadtest.settings.nearest import nearest
from loadtest.settings.profiles import profile_of
from loadtest.settings.reserved import check_reserved
from loadtest.settings.strategy import STRATEGIES, parse
from loadtest.settings.tags import tags_in
from loadtest.settings.via import vias_in

MEMORY_MB = 128  # Lambda's default, and its smallest
PROCESS_START_S = 0.4  # of a real function, half of it to spare: one after another on a core
WHOLE_AT_MOST = 10**18 - 1  # what 64 bits take, in run folders and elsewhere
SHOWN_LENGTH = 100  # of a wrong value in a message
CLIENTS_AT_MOST = 100_000  # each is a Locust user, and Locust spawns a few thousand of them a second

NAME = re.compile(r"[^/\x00-\x1f\x7f]{1,100}")  # part of a folder's name

Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]
Ratio = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=1)]
CountFrom0 = Annotated[int, Meta(ge=0)]


def _about(group: str, description: str) -> Meta:
    return Meta(description=description, extra={"group": group})


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One repetition. ``*_s`` in seconds, ``*_ms`` in milliseconds, ratios between 0 and 1."""

    model: Annotated[
        Literal["open", "closed"],
        _about("load", "open: clients send at their own rate; closed: containers wait between invocations"),
    ] = "open"
    rate: Annotated[Positive, _about("load", "arrivals per second of all clients together (open model)")] = (
        500.0
    )
    rate_per_user: Annotated[Positive, _about("load", "arrivals per second of each client (open model)")] = (
        1.0
    )
    arrivals: Annotated[
        Literal["poisson", "even"], _about("load", "how the arrivals of a client are spaced (open model)")
    ] = "poisson"
    containers: Annotated[
        Count, _about("load", "number of containers, each a Locust user (closed model)")
    ] = 200
    think_time_ms: Annotated[
        NotNegative,
        _about("load", "milliseconds that a container is frozen between invocations (closed model)"),
    ] = 100.0
    lifetime_s: Annotated[
        Positive,
        _about("load", "age at which a container is reaped and replaced by a cold one (closed model)"),
    ] = 60.0
    duration_s: Annotated[Positive, _about("load", "time during which arrivals come in")] = 30.0
    ramp_s: Annotated[NotNegative, _about("load", "time over which the load rises linearly from zero")] = 0.0
    shape: Annotated[
        str,
        _about(
            "load",
            "load over time, instead of a ramp: steady, spike, stairs, wave, fan-out, or points "
            '"seconds:fraction,…"',
        ),
    ] = ""
    warmup_s: Annotated[
        NotNegative, _about("load", "time at the start whose arrivals are left out of the results")
    ] = 0.0
    seed: Annotated[int, _about("load", "seed of all random choices")] = 1

    cold_start_ms: Annotated[
        NotNegative, _about("service", "milliseconds that a new container takes to start")
    ] = 400.0
    concurrency_limit: Annotated[
        Count, _about("service", "largest number of containers; an arrival beyond it is throttled")
    ] = 1000
    reserved: Annotated[
        str,
        _about(
            "service",
            "reserved concurrency, PART=N,PART=N: so many containers of that function may run at once, and "
            "the others share the rest of the limit",
        ),
    ] = ""
    scaling_per_10s: Annotated[
        Count, _about("service", "new containers allowed per 10 seconds, refilled continuously")
    ] = 1000
    provisioned: Annotated[
        CountFrom0, _about("service", "number of containers that are started before the load (open model)")
    ] = 0
    starts_at_once: Annotated[
        CountFrom0,
        _about(
            "service",
            "how many processes of real functions may start at once in each Locust process; 0 for as "
            "many as there are cores",
        ),
    ] = 0
    processes_per_environment: Annotated[
        Count,
        _about(
            "service",
            "number of processes in each environment of a real function in Python, never frozen: AWS's "
            "Managed Instances; provisioned is the number of environments then",
        ),
    ] = 1
    memory_mb: Annotated[
        int,
        Meta(ge=MEMORY_MB, le=10_240),
        _about(
            "service",
            "memory size by which functions are billed, in MB; a real function's own files go before",
        ),
    ] = MEMORY_MB
    function_timeout_s: Annotated[
        Positive, _about("service", "time after which a running function is stopped")
    ] = 10.0
    invoke: Annotated[
        Literal["api", "async", "queue"],
        _about(
            "service",
            "how functions are invoked: api, whose caller waits; async, by Lambda's own queue, which tries "
            "again twice; queue, from SQS in batches (open model)",
        ),
    ] = "api"
    retry_delay_s: Annotated[
        NotNegative,
        _about(
            "service", "time before the first retry of an async invocation; before the second, twice that"
        ),
    ] = 60.0
    batch_size: Annotated[
        int, Meta(ge=1, le=10_000), _about("service", "largest number of messages in an invocation (queue)")
    ] = 10
    batch_window_s: Annotated[
        NotNegative, _about("service", "longest time that a message waits for its batch to be full (queue)")
    ] = 0.0
    visibility_timeout_s: Annotated[
        Positive,
        _about(
            "service", "time after which a message that the function did not deal with comes again (queue)"
        ),
    ] = 30.0
    max_receives: Annotated[
        Count,
        _about("service", "how many times a message comes before it goes to the dead-letter queue (queue)"),
    ] = 3
    maximum_concurrency: Annotated[
        CountFrom0,
        _about("service", "largest number of invocations at once that the queue makes; 0 for no limit"),
    ] = 0
    duplicate_ratio: Annotated[
        Ratio, _about("service", "share of events that are delivered twice (async and queue), from 0 to 1")
    ] = 0.0
    backlog_s: Annotated[
        NotNegative,
        _about(
            "service",
            "longest time after the load in which its queue is still worked off (async and queue)",
        ),
    ] = 30.0
    timeout_leaves: Annotated[
        Literal["zombie", "closed"],
        _about("service", "what becomes of the connection of a function that was stopped at its timeout"),
    ] = "zombie"
    reap_probability: Annotated[
        Ratio, _about("service", "probability that a container is reaped after an invocation, from 0 to 1")
    ] = 0.01
    idle_timeout_s: Annotated[
        Positive, _about("service", "time without invocations after which a container is reaped")
    ] = 600.0
    deploy_at_s: Annotated[
        NotNegative, _about("service", "moment of a deployment that replaces all containers; 0 for none")
    ] = 0.0
    zombie_ratio: Annotated[
        Ratio, _about("service", "share of reaped containers that leave a zombie connection, from 0 to 1")
    ] = 1.0
    graceful_ratio: Annotated[
        Ratio,
        _about(
            "service",
            "share of reaps that are announced to the function, so that it can close its connections; "
            "zombie-ratio is for the others",
        ),
    ] = 0.0

    workload: Annotated[
        Literal["few-rows", "select-1", "sleep", "ledger"],
        _about("work", "what each invocation does in the database"),
    ] = "few-rows"
    event: Annotated[
        str,
        _about(
            "work",
            "what real functions are sent: plain, api-gateway-rest, api-gateway-http, alb, sqs, sns, "
            "eventbridge, kinesis, or a JSON file with {{id}} and {{group}} in it",
        ),
    ] = "plain"
    cache_hit_ratio: Annotated[
        Ratio,
        _about(
            "work",
            "share of invocations whose answer is in a cache, so that they need no database, from 0 to 1",
        ),
    ] = 0.0
    work_ms: Annotated[
        NotNegative, _about("work", "milliseconds of other work while the connection is held")
    ] = 20.0
    rtt_ms: Annotated[NotNegative, _about("work", "milliseconds added to each round trip to the server")] = (
        1.0
    )
    tls: Annotated[Literal["off", "on"], _about("work", "whether functions connect with TLS")] = "off"

    ideal_reserve: Annotated[
        CountFrom0, _about("server", "number of connections that the pool of ideal leaves free")
    ] = 2
    slo_ms: Annotated[Positive, _about("outcome", "longest latency of a good answer, in milliseconds")] = (
        1000.0
    )


def settings_in(plan: Settings) -> Settings:
    """What one repetition of ``plan`` needs, alone."""
    return Settings(**{name: getattr(plan, name) for name in Settings.__struct_fields__})


def drain_s(settings: Settings) -> float:
    """How many seconds after the load what is under way, or in a queue, may still end."""
    return settings.function_timeout_s + (settings.backlog_s if settings.invoke != "api" else 0.0)


def provisioning_s(settings: Settings, strategy: str) -> float:
    """How many seconds before the load the provisioned containers of ``strategy`` have to be started."""
    if not settings.provisioned:
        return 0.0
    cold_start_s = settings.cold_start_ms / 1000
    if any(part.is_real for part in parse(strategy)):
        processes_count = settings.provisioned * settings.processes_per_environment
        return processes_count * PROCESS_START_S + cold_start_s
    return cold_start_s


class Plan(Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run: arms, repetitions, the server's size. ``reruns`` 0 only marks what is invalid."""

    scenario: str = "quick"
    strategies: list[str] = msgspec.field(default_factory=lambda: list(STRATEGIES))
    repetitions: Annotated[Count, _about("load", "number of repetitions of each arm")] = 5
    processes: Annotated[Count, _about("load", "number of Locust processes that share the load")] = 1
    workers: Annotated[
        CountFrom0,
        _about(
            "load",
            "number of Locust workers that are started elsewhere, by `loadtest worker`, and share the load; "
            "0 for none",
        ),
    ] = 0
    max_connections: Annotated[
        Count, _about("server", "max_connections of the server that is started for the run")
    ] = 90
    profile: Annotated[
        str,
        _about(
            "server",
            "the database as a service whose max_connections, CPUs and memory the server has; see loadtest "
            "profiles",
        ),
    ] = ""
    pause_after_s: Annotated[
        NotNegative,
        _about(
            "server",
            "time without any connection after which the database pauses, as Aurora Serverless v2 does at 0 "
            "ACU; 0 for never",
        ),
    ] = 0.0
    resume_s: Annotated[
        NotNegative, _about("server", "time that whoever connects to a paused database waits at its door")
    ] = 15.0
    reruns: Annotated[
        CountFrom0, _about("load", "how many times an invalid repetition is run again, at most")
    ] = 2
    prices: Annotated[
        str,
        _about("outcome", "a TOML file of prices, instead of AWS's list prices; see loadtest prices"),
    ] = ""
    faults: list[str] = msgspec.field(default_factory=list)
    tags: list[str] = msgspec.field(default_factory=list)
    via: list[str] = msgspec.field(default_factory=list)
    description: str = ""


NUMBERS: dict[str, tuple[type, str]] = {"int": (int, "a whole number"), "float": (float, "a number")}


class Option(msgspec.Struct, frozen=True):
    """A field as an option. ``kind`` is float, int, str or duration."""

    field: str
    name: str  # with underscores; a duration without its _s
    kind: str
    choices: tuple[str, ...]
    default: Any
    group: str
    help: str

    @property
    def flag(self) -> str:
        """``--cold-start-ms``."""
        return f"--{self.name.replace('_', '-')}"

    @property
    def metavar(self) -> str:
        """The placeholder of its value in help."""
        return "|".join(self.choices) or {"float": "NUMBER", "int": "N"}.get(self.kind, self.kind.upper())

    def text(self, value: Any) -> str:
        """A value as it is written on a command line."""
        return duration_text(value) if self.kind == "duration" else str(value)

    def number(self, text: str) -> Any:
        """``text`` as a number, if the option takes one. Durations and choices are checked later.

        Raises :class:`UsageError`.
        """
        if self.kind not in NUMBERS:
            return text.strip()
        kind, words = NUMBERS[self.kind]
        try:
            return kind(text)
        except ValueError:
            raise UsageError(f"{self.name} cannot be {text!r}: expected {words}") from None


def options(of: type[Settings] = Settings) -> Iterator[Option]:
    """The fields that are options."""
    for field in msgspec.structs.fields(of):
        meta = _metas(field.type)
        group = next((m.extra["group"] for m in meta if m.extra), None)
        if group is None:
            continue
        bare = _bare(field.type)
        choices = get_args(bare) if get_origin(bare) is Literal else ()
        duration = bare is float and field.name.endswith("_s")
        yield Option(
            field=field.name,
            name=field.name.removesuffix("_s") if duration else field.name,
            kind="duration" if duration else "str" if choices else bare.__name__,
            choices=choices,
            default=field.default,
            group=group,
            help=next(m.description for m in meta if m.description),
        )


def _metas(annotation: Any) -> list[Meta]:
    return [m for m in getattr(annotation, "__metadata__", ()) if isinstance(m, Meta)]


def _bare(annotation: Any) -> Any:
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    return annotation


def build(of: type, values: Mapping[str, Any], source: str) -> Any:
    """A ``Settings`` or ``Plan`` from option names and raw values. Raises :class:`UsageError`.

    ``of`` is one of these two types, ``source`` what messages name as the place of ``values``.
    """
    known = {option.name: option for option in options(of)}
    others = {f.name for f in msgspec.structs.fields(of)} - {o.field for o in known.values()}
    fields: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name in others:
            fields[name] = value
        elif name in known:
            fields[known[name].field] = _raw(known[name], value, source)
        else:
            raise UsageError(f"{source}: unknown option {key!r}{nearest(name, [*known, *others])}")
    if fields.get("shape") == STEADY:
        fields["shape"] = ""
    try:
        built: Any = msgspec.convert(fields, of, strict=False)
    except msgspec.ValidationError as error:
        raise UsageError(f"{source}: {_readable(str(error), fields)}") from None
    _check_together(built, source)
    return built


def _raw(option: Option, value: Any, source: str) -> Any:
    if option.choices and value not in option.choices:
        close = nearest(str(value), option.choices)
        raise UsageError(
            f"{source}: {option.name.replace('_', '-')} cannot be {value!r}{close}; "
            f"take {' or '.join(option.choices)}"
        )
    if option.kind != "duration":
        return value
    try:
        return duration_s(value)
    except UsageError as error:
        raise UsageError(f"{source}: {option.name.replace('_', '-')}: {error}") from None


def _readable(message: str, fields: Mapping[str, Any]) -> str:
    """msgspec's message in plain words."""
    text, _, where = message.partition(" - at `$.")
    field = where.rstrip("`")
    for theirs, ours in (("`float`", "a number"), ("`int`", "a whole number"), (".0", ""), ("E", "e")):
        text = text.replace(theirs, ours)
    if field not in fields:  # inside a list, or a whole file that is wrong
        return f"{field}: {text}" if field else text
    value = repr(fields[field])
    value = value if len(value) <= SHOWN_LENGTH else f"{value[:SHOWN_LENGTH]}…"
    return f"{field.removesuffix('_s').replace('_', '-')} cannot be {value}: {text}"


def _check_together(settings: Settings, source: str) -> None:
    numbers = [getattr(settings, f.name) for f in msgspec.structs.fields(type(settings))]
    if any(isinstance(n, float) and not abs(n) < float("inf") for n in numbers):
        raise UsageError(f"{source}: every number has to be finite")
    if any(isinstance(n, int) and abs(n) > WHOLE_AT_MOST for n in numbers):
        raise UsageError(f"{source}: every whole number has to have 18 digits at most")
    if settings.warmup_s >= settings.duration_s:
        raise UsageError(
            f"{source}: the warm-up ({settings.warmup_s:g} s) leaves nothing of the duration "
            f"({settings.duration_s:g} s)"
        )
    if settings.model == "open" and settings.rate / settings.rate_per_user > CLIENTS_AT_MOST:
        raise UsageError(
            f"{source}: a rate of {settings.rate:g} at a rate-per-user of {settings.rate_per_user:g} takes "
            f"more than {CLIENTS_AT_MOST:,} clients: raise rate-per-user, or lower the rate"
        )
    if settings.provisioned and settings.model == "closed":
        raise UsageError(f"{source}: provisioned is for the open model; in the closed one see containers")
    if settings.provisioned > settings.concurrency_limit:
        raise UsageError(
            f"{source}: {settings.provisioned:,} provisioned containers are more than the concurrency-limit "
            f"of {settings.concurrency_limit:,}"
        )
    if settings.processes_per_environment > 1 and not settings.provisioned:
        raise UsageError(
            f"{source}: with processes-per-environment, give provisioned, the number of environments: AWS "
            "starts three, and none when an arrival comes"
        )
    _check_invoking(settings, source)
    if settings.processes_per_environment > 1 and settings.deploy_at_s:
        raise UsageError(f"{source}: deploy-at is for processes-per-environment 1")
    if isinstance(settings, Plan) and settings.workers and settings.processes > 1:
        raise UsageError(
            f"{source}: {settings.workers} workers, which are started elsewhere, and {settings.processes} "
            "processes, which are started here, cannot share a load: give workers or processes"
        )
    shape_points(settings.shape, settings.duration_s)
    if isinstance(settings, Plan):
        if not NAME.fullmatch(settings.scenario):
            raise UsageError(
                f"{source}: a scenario cannot be called {settings.scenario[:SHOWN_LENGTH]!r}: folders "
                "are named after it, so no / in it, and 1 to 100 characters"
            )
        _check_faults(settings, source)
        if not settings.strategies:
            raise UsageError(f"{source}: no strategy given; take some of {', '.join(STRATEGIES)}")
        if len(set(settings.strategies)) < len(settings.strategies):
            raise UsageError(f"{source}: a strategy is named twice")
        _check_vias(settings, source)
        _check_pause(settings, source)
        try:
            profile_of(settings.profile)
            tags_in(settings.tags, settings.strategies)
            _check_reserved(settings)
        except UsageError as error:
            raise UsageError(f"{source}: {error}") from None


def _check_reserved(plan: Plan) -> None:
    parts = [[part.name for part in parse(text)] for text in plan.strategies]
    least = max(1, plan.workers, plan.processes)
    check_reserved(plan.reserved, parts, plan.concurrency_limit, least)
    if plan.cache_hit_ratio and any(part.is_real for text in plan.strategies for part in parse(text)):
        raise UsageError(
            "cache-hit-ratio is for emulated functions: a real one has a cache of its own, or none"
        )


def _check_invoking(settings: Settings, source: str) -> None:
    if settings.invoke == "api":
        if settings.duplicate_ratio or settings.maximum_concurrency:
            name = "maximum-concurrency" if settings.maximum_concurrency else "duplicate-ratio"
            raise UsageError(f"{source}: {name} is for a queue: give --invoke queue, or leave it out")
        return
    if settings.model == "closed":
        raise UsageError(
            f"{source}: invoke {settings.invoke} is for the open model: in the closed one nobody sends events"
        )
    if settings.processes_per_environment > 1:
        raise UsageError(f"{source}: invoke {settings.invoke} is for processes-per-environment 1")
    if settings.invoke == "queue" and settings.visibility_timeout_s < settings.function_timeout_s:
        raise UsageError(
            f"{source}: a visibility-timeout of {settings.visibility_timeout_s:g} s is shorter than the "
            f"function-timeout of {settings.function_timeout_s:g} s, which AWS refuses: take six times that"
        )
    processes_count = max(settings.workers, settings.processes) if isinstance(settings, Plan) else 1
    if 0 < settings.maximum_concurrency < processes_count:
        raise UsageError(
            f"{source}: maximum-concurrency {settings.maximum_concurrency} cannot be divided among "
            f"{processes_count} processes"
        )


def _check_pause(plan: Plan, source: str) -> None:
    if not plan.pause_after_s:
        return
    if plan.via:
        raise UsageError(
            f"{source}: a proxy keeps connections to the database, which so never pauses: leave out "
            "pause-after or via"
        )
    if plan.workers:
        raise UsageError(
            f"{source}: pause-after takes a relay, which workers elsewhere cannot reach: use --processes"
        )
    relayed = [fault.text for fault in faults_in(plan.faults, plan.duration_s) if fault.kind.is_relayed]
    if relayed:
        raise UsageError(
            f"{source}: fault {relayed[0]!r} takes the place of the relay that makes a database pause: leave "
            "out one of them"
        )


def _check_vias(plan: Plan, source: str) -> None:
    if not plan.via and not any("@" in text for text in plan.strategies):
        return
    try:
        vias = vias_in(plan.via, plan.strategies)
        faults = faults_in(plan.faults, plan.duration_s)
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None
    for fault in faults:
        if fault.kind.is_relayed or fault.kind.needs is Needs.SECOND or fault.name == "dns":
            raise UsageError(
                f"{source}: fault {fault.text!r} is between functions and the server, where a proxy is: "
                "leave out one of them"
            )
    if plan.workers:
        raise UsageError(
            f"{source}: workers elsewhere do not hear of the proxy {vias[0].name!r}: leave out --workers; "
            "--processes shares the load here"
        )


def _check_faults(plan: Plan, source: str) -> None:
    try:
        faults = faults_in(plan.faults, plan.duration_s)
    except UsageError as error:
        raise UsageError(f"{source}: {error}") from None
    needed = {fault.kind.needs: fault.text for fault in faults}
    if Needs.DISK in needed and Needs.PROCESS in needed:
        raise UsageError(
            f"{source}: fault {needed[Needs.DISK]!r} takes a server whose data is in memory, and "
            f"{needed[Needs.PROCESS]!r} one whose data outlives its process: make two runs"
        )
    for fault in faults:
        if fault.kind.needs is Needs.SECOND and fault is not faults[-1]:
            raise UsageError(
                f"{source}: fault {fault.text!r} has to be the last one, since functions are on another "
                "server after it"
            )
        if fault.name == "deploy" and plan.processes_per_environment > 1:
            raise UsageError(f"{source}: fault {fault.text!r} is for processes-per-environment 1")
        if fault.name == "dns" and any("=lambda:" in text for text in plan.strategies):
            raise UsageError(
                f"{source}: fault {fault.text!r} is in the process of emulated functions, and a real one has "
                "a resolver of its own: leave out its strategy, or take black-hole or reset"
            )
        if fault.kind.needs is Needs.WORKERS and max(plan.workers, plan.processes) < 2:
            raise UsageError(
                f"{source}: fault {fault.text!r} kills a worker, and this load has none to lose: give two "
                "--processes or --workers, or more"
            )
    for fault in faults if plan.workers else ():
        if fault.kind.is_relayed:
            raise UsageError(
                f"{source}: fault {fault.text!r} takes a relay, which workers elsewhere cannot reach"
            )
        if fault.kind.is_told:
            raise UsageError(
                f"{source}: fault {fault.text!r} is also of the load's own processes, and workers elsewhere "
                "do not hear of it: leave out --workers; --processes shares the load here"
            )
