"""What a load will do to its server, in words: said before it is done to somebody else's. Pure."""

from collections.abc import Sequence

from loadtest.settings.plan import Plan, Settings


def harm_of(settings: Settings, database: str, rate: str = "", total: str = "") -> list[str]:
    """What a load with these ``settings`` does to a server on which ``database`` is its schema.

    ``rate`` and ``total`` say how hard and how often, where ``settings`` do not: a search's range, and its
    time.
    """
    if not total and isinstance(settings, Plan):
        total = _total(settings)
    load = f"{rate or _rate(settings)} for {settings.duration_s:g} s" + (f", {total}" if total else "")
    most = f"up to {_containers(settings):,} connections at once, or as many as it takes"
    lines = [
        f"send it {load}",
        f"open {most}: it refuses other callers then, and that is the purpose",
        "leave zombies on it: connections that nobody uses, and that only its wait_timeout closes",
        f"drop and create the tables loadtest_* in its schema {database!r}, and KILL connections",
    ]
    faults = settings.faults if isinstance(settings, Plan) else []
    return [*lines, f"and break it on purpose: {', '.join(faults)}"] if faults else lines


def harm_text(places: Sequence[str], lines: Sequence[str]) -> str:
    """``lines`` of :func:`harm_of` under the ``places``, host and port, to which it is done."""
    where = " and ".join(places)
    is_one = len(places) == 1
    head = f"{where} {'is' if is_one else 'are'} not this machine. This load will"
    return "\n".join([head, *(f"  - {line}" for line in lines)])


def _rate(settings: Settings) -> str:
    if settings.model == "closed":
        return f"the invocations of {settings.containers:,} containers, {settings.think_time_ms:g} ms apart,"
    return f"{settings.rate:,g} arrivals per second"


def _total(plan: Plan) -> str:
    arms = f"each of {', '.join(plan.strategies)}" if len(plan.strategies) > 1 else plan.strategies[0]
    again = f", and up to {plan.reruns} more" if plan.reruns else ""
    times = "once" if plan.repetitions == 1 else f"{plan.repetitions} times"
    return f"{times}{again}, with {arms}"


def _containers(settings: Settings) -> int:
    return settings.containers if settings.model == "closed" else settings.concurrency_limit
