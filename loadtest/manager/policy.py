"""What a policy is asked, with the answers of one that adds nothing of its own. Pure.

A policy sees no connection and no clock: times come in as arguments, and so does chance, in a backoff.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from loadtest.manager.backoff import Backoff
from loadtest.manager.decision import Ask, Decision, Situation
from loadtest.manager.errors import TRANSIENT, QueryTimeout, code_of
from loadtest.manager.fate import Fate, may_pass

WITHOUT_DEADLINE_S = 5.0  # how long to try for a connection where nothing else sets a limit


class Policy(ABC):
    """How a container treats its connection. A policy of your own is a subclass with a :meth:`decide`.

    One object may serve any number of managers, so it must not change.
    """

    __slots__ = ()

    default_backoff: ClassVar[str] = "patient"  # a name from backoff.BY_NAME
    # Look at the socket and the lease before a statement is sent, and replace a dead connection.
    checks_before_use: ClassVar[bool] = True
    # Heed what is known of the session (its own state, an open transaction, a read-only server): it gets
    # a longer lease, is not kept over a freeze, and is replaced where another server may write.
    guards_session: ClassVar[bool] = True
    # A refused connect counts as a census of a full server.
    heeds_refusals: ClassVar[bool] = True
    # Tell the caller of failed tries with NoConnection, instead of the last error as it is.
    raises_no_connection: ClassVar[bool] = True
    # Only a successful connect resets the count of refused ones, not the next invocation.
    keeps_refused_count: ClassVar[bool] = False

    @property
    def lease_s(self) -> int | None:
        """The session's ``wait_timeout`` in whole seconds; None leaves the server's."""
        return None

    @property
    def expiry_margin_s(self) -> float:
        """A lease with less than this left counts as over."""
        return 0.05

    @property
    def unproven_gap_s(self) -> float:
        """The mean gap between invocations that a new container starts with."""
        return 0.0

    @property
    def margin_s(self) -> float:
        """Seconds of the deadline that are kept to answer the caller."""
        return 0.2

    @property
    def patience_s(self) -> float | None:
        """How long to try for a connection; None: until the deadline, and for 5 s where there is none."""
        return None

    @property
    def max_retries(self) -> int | None:
        """How often one connect is tried again; None: until :meth:`connect_limit_s`."""
        return None

    @property
    def ask_timeout_s(self) -> float | None:
        """For each statement of the manager's own at the end of an invocation; None: no limit."""
        return 1.0

    def for_server(self, version: str) -> "Policy":
        """The policy to go on with on a server that calls itself ``version`` in its greeting: this one."""
        del version
        return self

    # At the end of an invocation

    @abstractmethod
    def decide(self, situation: Situation) -> Decision | Ask:
        """Keep, close or kill, or ask the server first and decide again with what it said.

        To ask a second time (``situation.is_fresh``) counts as :class:`~loadtest.manager.decision.Close`.
        """

    # Connects

    def connect_limit_s(self, left_s: float | None, needed_s: float) -> float | None:
        """How long to try for a connection; None: for ever.

        ``left_s`` is the time until the deadline (None: there is none), ``needed_s`` what the
        invocation is expected to take. Whoever gets in later is cut off while working, and leaves a
        connection that nobody can use until its lease is over.
        """
        patience_s = self.patience_s
        if left_s is None:
            return WITHOUT_DEADLINE_S if patience_s is None else patience_s
        limit_s = max(0.0, left_s - max(self.margin_s, needed_s))
        return limit_s if patience_s is None else min(limit_s, patience_s)

    def may_connect_again(self, error: BaseException, tries_count: int, refused_count: int) -> bool:
        """Whether to try again after ``error``, apart from the time that it may take.

        For what may pass, :attr:`max_retries` times. ``tries_count`` are the failed tries of this connect,
        ``refused_count`` all that this container had since its last success (the same unless
        ``keeps_refused_count``).
        """
        del refused_count
        is_spent = self.max_retries is not None and tries_count > self.max_retries
        return not is_spent and may_pass(error)

    # Statements

    def is_expired(self, idle_s: float, lease_s: int) -> bool:
        """Whether a session with this lease (0: none) has been idle for too long to be tried."""
        return lease_s > 0 and idle_s >= lease_s - self.expiry_margin_s

    def statement_limit_s(self, left_s: float | None, timeout_s: float | None) -> float | None:
        """How long a read or a write of a statement may take; None: for ever.

        ``timeout_s`` is what the caller gives it. A function that is cut off could not tell anybody, so
        a margin is kept. Raises :class:`QueryTimeout` when there is no time left at all.
        """
        if left_s is None:
            return timeout_s
        if left_s <= 0:
            raise QueryTimeout(2013, "the function has no time left: the statement was not sent")
        left_s -= min(self.margin_s, left_s / 2)
        return left_s if timeout_s is None else min(timeout_s, left_s)

    def may_send_again(self, fate: Fate, is_idempotent: bool) -> bool:
        """Whether a statement whose connection broke may be sent once more, over a new one.

        ``is_idempotent``: the caller said that to run it twice does no harm.
        """
        return fate is Fate.NOT_SENT or (fate is Fate.UNKNOWN and is_idempotent)

    def may_retry(self, error: BaseException, is_harmless: bool) -> bool:
        """Whether a statement may be tried again after the server answered with ``error``.

        ``is_harmless``: the error undid all of it, or the caller marked it idempotent.
        """
        return is_harmless and code_of(error) in TRANSIENT

    def retry_wait_s(
        self, backoff: Backoff, last_s: float, retries_count: int, left_s: float | None
    ) -> float | None:
        """How long to wait before retry number ``retries_count``; None: there is no time for it.

        ``backoff`` is the one for statements, ``last_s`` is the wait before the last retry, ``left_s`` the
        time until the deadline.
        """
        wait_s = backoff(last_s, retries_count)
        return wait_s if left_s is None or wait_s < left_s else None
