"""Which settings do not go together. Pure."""

import re

import msgspec

from loadtest.errors import UsageError
from loadtest.settings.fault import Needs, faults_in
from loadtest.settings.load_shape import shape_points
from loadtest.settings.plan import Plan, Settings
from loadtest.settings.profiles import profile_of
from loadtest.settings.reserved import check_reserved
from loadtest.settings.strategy import STRATEGIES, parse
from loadtest.settings.tags import tags_in
from loadtest.settings.via import vias_in

WHOLE_AT_MOST = 10**18 - 1  # what 64 bits take, in run folders and elsewhere
SHOWN_LENGTH = 100  # of a wrong value in a message
CLIENTS_AT_MOST = 100_000  # each is a Locust user, and Locust spawns a few thousand of them a second

NAME = re.compile(r"[^/\x00-\x1f\x7f]{1,100}")  # part of a folder's name


def check_together(settings: Settings, source: str) -> None:
    """Raises :class:`UsageError` for values of ``settings`` that cannot be, alone or together.

    ``source`` is what messages name as their place.
    """
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
    if settings.reserved and settings.model == "closed":
        raise UsageError(f"{source}: reserved is for the open model; in the closed one see containers")
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
