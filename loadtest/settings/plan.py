"""The settings of a run, as types.

``Settings`` is what one repetition needs, ``Plan`` a whole run. They are the only source of the command
line's options, of Locust's custom arguments and of the keys of a scenario file. An option is the field's
name with dashes; the field of a duration drops its ``_s`` there (``--duration 30s``).
:mod:`~loadtest.settings.plan_options` makes a plan of what a user writes, and
:mod:`~loadtest.settings.plan_checks` says what does not go together.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from loadtest.settings.strategy import STRATEGIES, parse

MEMORY_MB = 128  # Lambda's default, and its smallest
PROCESS_START_S = 0.4  # of a real function, half of it to spare: one after another on a core

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
