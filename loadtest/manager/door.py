"""Getting in: connects, and waits its turn while the server is full."""

import time
from collections.abc import Mapping
from typing import Any

from loadtest.manager.connect_arguments import is_pymysql, merged, understood
from loadtest.manager.errors import (
    CLASSIC_RETRIED,
    DENIED,
    REFUSED,
    NoConnection,
    code_of,
    may_pass,
)
from loadtest.manager.held import errors_of, named
from loadtest.manager.opening import open_connection, session_settings
from loadtest.manager.options import Options, log
from loadtest.manager.policy import Classic, Managed
from loadtest.manager.stats import Stats

LAST_TRY_S = 0.05  # for the try at the deadline, from the margin


class Door:
    """Tries until it is in, or it is time to tell the caller."""

    __slots__ = ("_options", "_stats", "met_full", "retries_count")

    def __init__(self, options: Options, stats: Stats) -> None:
        self._options = options
        self._stats = stats
        self.retries_count = 0
        self.met_full = False  # of connections, not only out of reach

    def open(
        self, library: Any, config: Mapping[str, Any], deadline: float | None, needed_s: float = 0.0
    ) -> Any:
        """A connection, with time enough left to use it: ``needed_s``, if that is known.

        Raises :class:`NoConnection`, or the library's errors for what will not pass.
        """
        options, started = self._options, time.monotonic()
        # A class's own connect is a method of what it makes.
        connect = library if isinstance(library, type) else getattr(library, "connect", library)
        settings = session_settings(options.lease_s, options.session_variables)
        give_up_at = self._give_up_at(started, deadline, needed_s)
        credentials = self._credentials(library, None)
        wait_s, tries, renewed = 0.0, 0, False
        while True:
            left_s = None if give_up_at is None else max(LAST_TRY_S, give_up_at - time.monotonic())
            try:
                connection = open_connection(connect, merged(config, credentials), settings, left_s)
            except errors_of(library) as error:
                tries += 1
                self._stats.refused_count += 1
                self.retries_count += 1
                self.met_full |= code_of(error) in REFUSED
                if code_of(error) == DENIED and options.credentials and not renewed:
                    renewed, before = True, credentials
                    credentials = self._credentials(library, error)
                    if credentials != before:  # rotated while we had the old ones
                        continue
                if not self._may_retry(error, give_up_at, tries):
                    raise self._given_up(error, started, tries) from error
                wait_s = options.wait_s(wait_s, self.retries_count)
                if give_up_at is not None:
                    # The last try is as late as can be, which is when it is likeliest to succeed.
                    wait_s = min(wait_s, max(0.0, give_up_at - time.monotonic()))
                options.fire("on_retry", error, self.retries_count, wait_s, options.algorithm)
                self._stats.waited_s += wait_s
                time.sleep(wait_s)
            else:
                self.retries_count = 0
                self._stats.connects_count += 1
                log.debug("connected")
                options.fire("on_connect", connection)
                return connection

    def _credentials(self, library: Any, refused: Exception | None) -> Mapping[str, Any]:
        """Raises :class:`ValueError` for an argument that PyMySQL does not know."""
        ask = self._options.credentials
        given = {} if ask is None else ask(refused)
        return understood(given) if given and is_pymysql(library) else given

    def _give_up_at(self, started: float, deadline: float | None, needed_s: float) -> float | None:
        policy = self._options.policy
        if not isinstance(policy, Managed):
            return None
        if deadline is None:
            return started + policy.patience_s
        # Whoever gets in later is cut in the middle, and leaves a connection that nobody can use for a lease.
        return max(started, deadline - max(policy.margin_s, needed_s))

    def _may_retry(self, error: BaseException, give_up_at: float | None, tries: int) -> bool:
        policy = self._options.policy
        if isinstance(policy, Classic):
            # Its flaw: the count is reset by a successful connect only, so a spent budget makes the
            # next invocation's first refusal final.
            return code_of(error) in CLASSIC_RETRIED and self.retries_count <= policy.max_retries
        if policy.max_retries is not None and tries > policy.max_retries:
            return False
        return may_pass(error) and (give_up_at is None or time.monotonic() < give_up_at)

    def _given_up(self, error: Exception, started: float, tries: int) -> Exception:
        told: Exception = error
        if may_pass(error) and isinstance(self._options.policy, Managed):
            waited_s = time.monotonic() - started
            full = "; the server is full" if code_of(error) in REFUSED else ""
            text = f"no connection after {waited_s:.1f} s and {tries} tries: {error.args[-1]}{full}"
            told = NoConnection(code_of(error), text)
        log.warning("no connection: %s after %d tries", named(error), tries)
        self._options.fire("on_connect_error", told)
        return told
