"""The schema of ``summary.json``: the figures of a run. Pure.

Field order is the order in the file. A figure that is unknown is None (null in the file), never an invented
zero. Times are in ms, ratios from 0 to 1; a median of counts may lie between two integers.
"""

from collections.abc import Iterable
from math import isfinite
from types import UnionType
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from loadtest.settings.strategy import arm_name

SCHEMA = 1  # of summary.json

Count = Annotated[int, Meta(ge=0)] | Annotated[float, Meta(ge=0)] | None
Share = Annotated[float, Meta(ge=0, le=1)] | None
Time = Annotated[float, Meta(ge=0, le=1e12)] | None
Number = float | None
NUMBERS = (Count, Share, Time, Number)


class Times(Struct):
    """Statistics of the answered arrivals, in ms.

    ``disturbed`` names the statistics that the load generator's own stalls changed too much to be used.
    """

    mean: Time = None
    p50: Time = None
    p90: Time = None
    p95: Time = None
    p99: Time = None
    p999: Time = None
    max: Time = None
    disturbed: list[str] = field(default_factory=list)


class Starts(Struct):
    """Real functions: how long their init phase took, and the first invocation after it."""

    count: Count = None
    init_p50_ms: Time = None
    init_p99_ms: Time = None
    first_p50_ms: Time = None
    first_p99_ms: Time = None


class Connections(Struct):
    """What the server and the functions said about connections."""

    peak_count: Count = None
    opened_count: Count = None
    refused_count: Count = None
    expired_count: Count = None


class ProxyFigures(Struct):
    """What a proxy in front of the server said of itself; peaks at one moment, None where it does not say.

    Its clients, those of them that waited for a connection of the server, and connections of the server that
    slept and that one client alone could use (pinned). ``pins`` counts by cause the statements of emulated
    functions that pinned one.
    """

    clients_peak_count: Count = None
    waiting_peak_count: Count = None
    pinned_peak_count: Count = None
    pins: dict[str, int | float] = field(default_factory=dict)


class QueueFigures(Struct):
    """Events between arrivals and functions (``--invoke async`` and ``queue``).

    ``deliveries_count``: attempts that reached a function, and ``throttles_count`` those that did not;
    retries came after a failed one, duplicates are answers after the first, dead letters were given up.
    ``waiting_peak_count`` and ``oldest_peak_s``: how many waited at most, and how long the oldest of them.
    """

    deliveries_count: Count = None
    throttles_count: Count = None
    retries_count: Count = None
    duplicates_count: Count = None
    dead_letters_count: Count = None
    waiting_peak_count: Count = None
    oldest_peak_s: Number = None


class PauseFigures(Struct):
    """A database that pauses while nobody is connected: the share of the load's time in which it did.

    ``resumes_count``: how often somebody woke it, and waited.
    """

    paused_ratio: Share = None
    resumes_count: Count = None


class Zombies(Struct):
    """Connections that a reaped container left on the server; ``peak_count`` is at one moment."""

    left_count: Count = None
    peak_count: Count = None
    reclaim_p50_s: Number = None


class Kills(Struct):
    """KILLs that the server carried out, by the state of the victim's container."""

    zombie_count: Count = None
    idle_count: Count = None
    busy_count: Count = None


class GeneratorLoad(Struct):
    """How well the load generator kept up. ``cpu_ratio`` is of one core, of its busiest process.

    ``functions_cpu_ratio`` is of one core, too, of all processes of real functions together.
    """

    lateness_p99_ms: Number = None
    loop_lag_p99_ms: Number = None
    cpu_ratio: Number = None
    functions_cpu_ratio: Number = None
    disturbed_ratio: Number = None


class Integrity(Struct):
    """The audit of the workload ``ledger``.

    Acknowledged writes, and those of them that were lost; all that were written twice; those whose caller
    could not know, and how many of them were written; those that failed for certain and are there.
    """

    acknowledged_count: Count = None
    lost_count: Count = None
    doubled_count: Count = None
    unknown_count: Count = None
    unknown_written_count: Count = None
    unexpected_count: Count = None


class Cost(Struct):
    """In US dollars, by the prices in ``run.json``; None where there are none.

    ``billed_ms`` is the mean billed duration of an invocation, ``million_usd`` what a million of them cost. A
    month is one in which the load goes on as in the window. ``zombies_month_usd`` is the part of the database
    that zombies held; ``month_usd`` is functions, database and proxy together, which a whole arm alone has.
    """

    billed_ms: Time = None
    million_usd: Number = None
    functions_month_usd: Number = None
    database_month_usd: Number = None
    zombies_month_usd: Number = None
    proxy_month_usd: Number = None
    month_usd: Number = None


class PartFigures(Struct, kw_only=True):
    """One function of a mixed fleet, or all that have a tag, in one repetition or as a median."""

    arrivals_count: Count = None
    good_ratio: Share = None
    error_ratio: Share = None
    errors: dict[str, int | float] = field(default_factory=dict)
    throttled_count: Count = None
    unfinished_count: Count = None
    throughput_per_s: Number = None
    latency_ms: Times = field(default_factory=Times)
    duration_ms: Times = field(default_factory=Times)
    starts: Starts = field(default_factory=Starts)
    overhead_queries_per_invocation: Number = None
    cost: Cost = field(default_factory=Cost)


class Balance(Struct, kw_only=True):
    """Two counts of the same things, by independent ways. ``difference`` is the right one minus the left.

    ``holds``: whether the difference is within the ``tolerance``; None where it cannot be told, for the
    ``reason``. What each of them counts is in docs/reconciliation.md.
    """

    name: str
    left: Count = None
    right: Count = None
    difference: Number = None
    tolerance: Count = None
    holds: bool | None = None
    reason: str = ""


class ArmFigures(Struct, kw_only=True):
    """One arm, in one repetition or as the median of its repetitions.

    ``valid`` is for times, ``reasons`` say why not. ``errors`` counts arrivals without an answer by name, the
    most frequent first. ``integrity`` is there for the workload ``ledger``, ``proxy`` where functions go
    through one, ``pause`` for a database that pauses, ``queue`` where one invokes functions, ``parts`` for a
    mixed fleet, ``tags`` (``key=value``) where functions have any, and ``reconciliation`` for a repetition.
    """

    valid: bool
    reasons: list[str] = field(default_factory=list)
    arrivals_count: Count = None
    good_ratio: Share = None
    error_ratio: Share = None
    errors: dict[str, int | float] = field(default_factory=dict)
    throttled_count: Count = None
    unfinished_count: Count = None
    throughput_per_s: Number = None
    latency_ms: Times = field(default_factory=Times)
    duration_ms: Times = field(default_factory=Times)
    cold_starts_count: Count = None
    containers_peak_count: Count = None
    starts: Starts = field(default_factory=Starts)
    connections: Connections = field(default_factory=Connections)
    zombies: Zombies = field(default_factory=Zombies)
    kills: Kills = field(default_factory=Kills)
    overhead_queries_per_invocation: Number = None
    generator: GeneratorLoad = field(default_factory=GeneratorLoad)
    cost: Cost = field(default_factory=Cost)
    integrity: Integrity | None = None
    proxy: ProxyFigures | UnsetType = UNSET
    pause: PauseFigures | UnsetType = UNSET
    queue: QueueFigures | UnsetType = UNSET
    parts: dict[str, PartFigures] | UnsetType = UNSET
    tags: dict[str, PartFigures] | UnsetType = UNSET
    reconciliation: list[Balance] | UnsetType = UNSET

    def with_parts(self) -> "list[ArmFigures | PartFigures]":
        """These figures, and those of each part and tag."""
        return [self, *self.by_part().values(), *self.by_tag().values()]

    def by_part(self) -> dict[str, PartFigures]:
        """The figures of each function of a mixed fleet, by its name; empty for a single strategy."""
        return self.parts if isinstance(self.parts, dict) else {}

    def by_tag(self) -> dict[str, PartFigures]:
        """The figures of all functions that have a tag, by ``key=value``; empty where there is none."""
        return self.tags if isinstance(self.tags, dict) else {}


class Arm(Struct):
    """The repetitions in the order in which they ran, and their median."""

    repetitions: list[ArmFigures]
    median: ArmFigures


Vary = Literal["rate", "max-connections", "work-ms", "maximum-concurrency"]


class CapacityTrial(Struct, kw_only=True):
    """One repetition of a search. ``value`` is of what varies; ``folder`` is a run folder of its own.

    ``kind`` is rise, bisect, confirm, beyond, between or recovery; ``verdict`` held, broken or untold.
    ``broken`` are the figures that broke, and ``reason`` says why it cannot be told.
    """

    value: float
    kind: str
    verdict: str
    broken: list[str] = field(default_factory=list)
    reason: str = ""
    folder: str = ""
    figures: ArmFigures


class Theory(Struct):
    """What a pool of ``connections_count`` carries whose connections are held for ``hold_ms`` each.

    ``little_per_s`` by Little's law; ``mdc_per_s`` if, besides, 99% of the waits stay within the objective.
    """

    connections_count: Count = None
    hold_ms: Time = None
    little_per_s: Number = None
    mdc_per_s: Number = None


class Capacity(Struct, kw_only=True):
    """How much of ``vary`` (see :data:`Vary`) an arm carries within its objective.

    ``objective`` is what had to hold, ``precision`` how near the edge was to be found. ``value`` is the
    hardest that holds, None if none does; ``capacity_per_s`` is the same if the rate varies.
    ``interval`` has the edge in it. ``limited_by`` is server, generator, range or time. ``recovers``: whether
    that load holds again after an overload; ``holds_again_at``: a harder one that holds, although an easier
    one does not.
    """

    vary: Vary
    objective: str = ""
    precision: Number = None
    value: Number = None
    capacity_per_s: Number = None
    interval: tuple[Number, Number] = (None, None)
    limited_by: str = ""
    first_broken: str = ""
    recovers: bool | None = None
    holds_again_at: Number = None
    theory: Theory | None = None
    trials: list[CapacityTrial] = field(default_factory=list)


class FaultFigures(Struct, kw_only=True):
    """What a fault did to an arm. Times are in seconds from the start of the load.

    ``errors`` counts arrivals without an answer by name, from its beginning to the next fault, or to the end.
    ``recovery_s`` is from its end until 99% of each second's arrivals are good; None if that was not seen.
    """

    fault: str
    began_s: Number = None
    ended_s: Number = None
    arrivals_count: Count = None
    error_ratio: Share = None
    errors: dict[str, int | float] = field(default_factory=dict)
    recovery_s: Number = None
    connects_peak_per_s: Count = None


class Summary(Struct, kw_only=True):
    """A whole run. ``scenario``, ``server`` and ``environment`` come from ``run.json``, unchecked.

    ``faults`` are those of each arm, if the run had any. A search for the capacity has it in ``capacity``, by
    arm; its ``arms`` are at the load that they hold.
    """

    schema: int = SCHEMA
    scenario: Any = None
    server: Any = None
    environment: Any = None
    valid: bool = False
    warnings: list[str] = field(default_factory=list)
    arms: dict[str, Arm]
    capacity: dict[str, Capacity] | UnsetType = UNSET
    faults: dict[str, list[FaultFigures]] | UnsetType = UNSET


def asked_arms(scenario: Any) -> list[str]:
    """The arms that a run was to have, by its settings; empty where those name no strategies.

    ``scenario`` is that field of ``summary.json``, and may be anything.
    """
    strategies = scenario.get("strategies") if isinstance(scenario, dict) else None
    texts = strategies if isinstance(strategies, list) else []
    return list(dict.fromkeys(arm_name(str(text)) for text in texts))


def as_json(summary: Summary) -> dict[str, Any]:
    """Dictionaries and lists, as ``summary.json`` has them."""
    found: dict[str, Any] = msgspec.to_builtins(summary)
    return found


def fields_of(group: Struct | dict[str, PartFigures]) -> dict[str, Any]:
    """The fields that ``summary.json`` has of these figures, by name; ``parts`` only for a mixed fleet."""
    if isinstance(group, dict):
        return dict(group)
    return {name: value for name, value in msgspec.structs.asdict(group).items() if value is not UNSET}


def figure_names() -> list[str]:
    """The numbers that every arm has, such as ``latency_ms.p99``, in the order of the file."""
    return list(_numbers_of(ArmFigures))


def _numbers_of(struct: type[Struct]) -> Iterable[str]:
    for item in msgspec.structs.fields(struct):
        alternatives = get_args(item.type) if isinstance(item.type, UnionType) else (item.type,)
        group = next((t for t in alternatives if isinstance(t, type) and issubclass(t, Struct)), None)
        if item.type in NUMBERS:
            yield item.name
        elif group is not None:
            yield from (f"{item.name}.{name}" for name in _numbers_of(group))


def found_at(figures: ArmFigures, names: Iterable[str]) -> Any:
    """What stands at a path of field names such as ``("latency_ms", "p99")``; None where there is nothing."""
    value: Any = figures
    for name in names:
        if isinstance(value, dict):
            value = value.get(name)
        else:
            value = getattr(value, name) if name in getattr(value, "__struct_fields__", ()) else None
    return value


def number_at(figures: ArmFigures, names: Iterable[str]) -> float | None:
    """As :func:`found_at` of the path ``names``, for finite numbers only: None for anything else."""
    value = found_at(figures, names)
    known = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return float(value) if known else None
