"""A database that pauses while nobody is connected, for the time of a repetition."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from loadtest.bench.interrupts import Interrupts
from loadtest.results.run_folder import Repetition
from loadtest.server.relay_process import SleeperProcess
from loadtest.server.target import Target
from loadtest.settings.plan import Plan

PAUSING_RELAYED = (
    "because the database pauses, all connections passed through a relay, which adds to every round trip: "
    "compare this run only with other such runs"
)


@contextmanager
def pausing(
    plan: Plan, target: Target, repetition: Repetition, t0_monotonic_s: float, interrupts: Interrupts
) -> Iterator[Target]:
    """``target`` as functions reach it in the block; as it is, unless the ``plan`` has it pause.

    Its pauses go to ``repetition``, in seconds since ``t0_monotonic_s``. Raises
    :class:`~loadtest.errors.ServerUnavailable` if the relay does not start, or ends.
    """
    if not plan.pause_after_s:
        yield target
        return
    with interrupts.deferred():
        sleeper = SleeperProcess(target.functions, plan.pause_after_s, plan.resume_s)
    try:
        yield replace(target, functions=replace(target.functions, host="127.0.0.1", port=sleeper.port))
        pauses = [
            [begin_s - t0_monotonic_s, None if end_s is None else end_s - t0_monotonic_s]
            for begin_s, end_s in sleeper.pauses()
        ]
        repetition.write_meta(pauses=pauses)
    finally:
        with interrupts.deferred():
            sleeper.close()
