"""The end of an invocation: decides what becomes of the connection, and does it."""

from contextlib import suppress

from loadtest.manager import census as asking
from loadtest.manager.clock import now_s
from loadtest.manager.errors import is_lost
from loadtest.manager.held import Held
from loadtest.manager.limited import limited
from loadtest.manager.options import Options
from loadtest.manager.policy import (
    Census,
    Classic,
    Close,
    Decision,
    Keep,
    Kill,
    Look,
    Managed,
    Rhythm,
    decide_classic,
    decide_managed,
)
from loadtest.manager.running import Ended
from loadtest.manager.stats import Stats
from loadtest.manager.view import View


class Ending:
    """Lives for the end of one invocation. Its methods raise the library's errors."""

    __slots__ = ("_errors", "_held", "_options", "_rhythm", "_stats", "_view")

    def __init__(
        self, held: Held, view: View, rhythm: Rhythm, options: Options, stats: Stats,
        errors: tuple[type[Exception], ...],
    ) -> None:  # fmt: skip
        self._held = held
        self._view = view
        self._rhythm = rhythm
        self._options = options
        self._stats = stats
        self._errors = errors

    def decide(self, left_s: float | None) -> Decision:
        """``left_s`` is the time that the invocation still has; None: unlimited."""
        policy = self._options.policy
        if isinstance(policy, Classic):
            census, statements_count = self._view.look_classic(self._held.connection, now_s(), policy)
            self._stats.overhead_statements_count += statements_count
            return decide_classic(census, policy)
        if self._held.must_not_freeze():
            return Close()
        count = self._rhythm.invocations_count
        census_before = self._view.fresh(now_s(), count, policy)
        decision = decide_managed(self._rhythm, census_before, policy, self._held.lease_s)
        if not isinstance(decision, Look):
            return decision
        if left_s is not None and left_s < policy.margin_s:
            return Close()  # no time to ask
        census = self._look(policy, self._within_s(left_s))
        decision = decide_managed(self._rhythm, census, policy, self._held.lease_s)
        return Close() if isinstance(decision, Look) else decision

    def _look(self, policy: Managed, within_s: float) -> Census:
        held, count = self._held, self._rhythm.invocations_count
        with limited(held.connection, within_s):
            census, statements_count = self._view.look(held.connection, now_s(), count, policy)
        self._stats.overhead_statements_count += statements_count
        held.used_at = now_s()
        return census

    def _within_s(self, left_s: float | None) -> float:
        """For each of the few statements at the end: the answer is ready, and must not be lost by them."""
        policy = self._options.policy
        longest_s = policy.look_timeout_s if isinstance(policy, Managed) else 1.0
        return longest_s if left_s is None else min(longest_s, max(0.0, left_s) / 5)

    def carry_out(self, decision: Decision, left_s: float | None) -> None:
        held = self._held
        if isinstance(decision, Keep):
            if decision.lease_s is not None:
                with suppress(Ended):  # lost, and dropped
                    held.set_lease(decision.lease_s, self._within_s(left_s))
        elif isinstance(decision, Kill):
            if self._kill(decision.idle_s) == 0 and decision.close_if_none_died:
                held.close()
        else:
            held.close()

    def _kill(self, idle_s: float) -> int:
        options, stats, connection = self._options, self._stats, self._held.connection
        # The published module's filter: the name that it was configured with.
        user = getattr(connection, "user", b"") or b""
        user = user.decode() if isinstance(user, bytes) else str(user)
        stats.overhead_statements_count += 1
        died = 0
        for thread, slept_s in asking.sleepers(connection, idle_s, user):
            stats.overhead_statements_count += 1
            try:
                asking.rows(connection, f"KILL {thread:d}")
            except self._errors as error:
                options.fire("on_kill_error", error)
                if is_lost(error):
                    raise
            else:
                died += 1
                options.fire("on_kill", thread, slept_s)
        stats.killed_count += died
        return died
