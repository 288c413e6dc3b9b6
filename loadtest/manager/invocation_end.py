"""The end of an invocation: has the policy decide what becomes of the connection, and does it."""

from contextlib import suppress

from loadtest.manager import census as asking
from loadtest.manager.clock import now_s
from loadtest.manager.decision import Ask, Close, Decision, Keep, Kill, Rhythm, Situation
from loadtest.manager.errors import is_lost
from loadtest.manager.options import Options
from loadtest.manager.read_timeout import read_timeout
from loadtest.manager.result import Ended
from loadtest.manager.session import Session
from loadtest.manager.stats import Stats
from loadtest.manager.view import View


class InvocationEnd:
    """Lives for the end of one invocation. Its methods raise the library's errors.

    ``left_s`` is the time that the invocation still has; None: it has no deadline.
    """

    __slots__ = ("_errors", "_left_s", "_options", "_rhythm", "_session", "_stats", "_view")

    def __init__(
        self, session: Session, view: View, rhythm: Rhythm, options: Options, stats: Stats,
        errors: tuple[type[Exception], ...], left_s: float | None,
    ) -> None:  # fmt: skip
        self._session = session
        self._view = view
        self._rhythm = rhythm
        self._options = options
        self._stats = stats
        self._errors = errors
        self._left_s = left_s

    def decide(self) -> Decision:
        """What the policy says, after it has asked the server once if it wants to."""
        policy = self._options.policy
        decision = policy.decide(self._situation(now_s(), is_fresh=False))
        if not isinstance(decision, Ask):
            return decision
        now = now_s()
        self._ask(decision, now)
        decision = policy.decide(self._situation(now, is_fresh=True))
        return Close() if isinstance(decision, Ask) else decision

    def _situation(self, now: float, is_fresh: bool) -> Situation:
        session = self._session
        return self._view.situation(
            now, self._rhythm, session.lease_s, self._left_s, is_fresh, session.connect_s
        )

    def carry_out(self, decision: Decision) -> None:
        """Keeps the connection, closes it, or kills others, as ``decision`` says."""
        session = self._session
        if isinstance(decision, Keep):
            if decision.lease_s is not None:
                with suppress(Ended):  # lost, and dropped
                    session.set_lease(decision.lease_s, self._limit_s())
        elif isinstance(decision, Kill):
            if self._kill(decision.idle_s) == 0 and decision.close_if_none_died:
                session.close()
        else:
            session.close()

    def _ask(self, question: Ask, now: float) -> None:
        session = self._session
        with read_timeout(session.connection, self._limit_s()):
            statements_count = self._view.ask(
                question, session.connection, now, self._rhythm.invocations_count
            )
        self._stats.overhead_statements_count += statements_count
        session.used_at = now_s()

    def _limit_s(self) -> float | None:
        """For each of the few statements at the end: the answer is ready, and must not be lost by them."""
        longest_s, left_s = self._options.policy.ask_timeout_s, self._left_s
        if longest_s is None or left_s is None:
            return longest_s
        return min(longest_s, max(0.0, left_s) / 5)

    def _kill(self, idle_s: float) -> int:
        """How many died."""
        options, stats, connection = self._options, self._stats, self._session.connection
        # The published module's filter: the name that it was configured with.
        user = getattr(connection, "user", b"") or b""
        user = user.decode() if isinstance(user, bytes) else str(user)
        stats.overhead_statements_count += 1
        died_count = 0
        with read_timeout(connection, self._limit_s()):
            for thread_id, slept_s in asking.sleepers(connection, idle_s, user):
                stats.overhead_statements_count += 1
                try:
                    asking.rows(connection, f"KILL {thread_id:d}")
                except self._errors as error:
                    options.fire("on_kill_error", error)
                    if is_lost(error):
                        raise
                else:
                    died_count += 1
                    options.fire("on_kill", thread_id, slept_s)
        stats.killed_count += died_count
        return died_count
