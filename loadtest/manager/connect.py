"""Connects for a container: tries again while the server is full or out of reach."""

import time
from collections.abc import Mapping
from typing import Any

from loadtest.manager.connect_arguments import is_pymysql, merged, understood
from loadtest.manager.errors import (
    DENIED,
    REFUSED,
    NoConnection,
    code_of,
    error_name,
    library_errors,
)
from loadtest.manager.fate import may_pass
from loadtest.manager.handshake import open_connection, session_settings
from loadtest.manager.options import Options, log
from loadtest.manager.stats import Stats

LAST_TRY_S = 0.05  # for the try at the last moment, taken from the margin
# A server that is away is not back in a few milliseconds, as one that is full may be: the first wait for it
# is that of a later try, or hundreds of containers knock at it, and all are there when it returns.
AWAY_SKIPS_COUNT = 3


class Connector:
    """Tries until there is a connection, or it is time to tell the caller.

    ``refused_count`` counts failed connects since the last success. ``met_full``: the server had no
    connection to give; it was not only out of reach. ``try_s`` is how many seconds the last try took.
    """

    __slots__ = ("_options", "_stats", "met_full", "refused_count", "try_s")

    def __init__(self, options: Options, stats: Stats) -> None:
        self._options = options
        self._stats = stats
        self.refused_count = 0
        self.met_full = False
        self.try_s = 0.0

    def connect(
        self, library: Any, config: Mapping[str, Any], left_s: float | None, needed_s: float = 0.0
    ) -> Any:
        """A connection of ``library``, made with ``config``, in time to use it.

        ``left_s`` is the time until the deadline (None: there is none), ``needed_s`` what the
        invocation is expected to take. Raises :class:`NoConnection`, at once where a breaker is open,
        or the library's errors for what waiting cannot cure.
        """
        options, policy, started = self._options, self._options.policy, time.monotonic()
        # A class's own connect is a method of its instances.
        connect = library if isinstance(library, type) else getattr(library, "connect", library)
        settings = session_settings(policy.lease_s, options.session_variables)
        limit_s = policy.connect_limit_s(left_s, needed_s)
        give_up_at = None if limit_s is None else started + limit_s
        if options.breaker is not None:
            options.breaker.check()
        credentials = self._credentials(library, None)
        wait_s, tries_count, renewed = 0.0, 0, False
        while True:
            began = time.monotonic()
            allowed_s = None if give_up_at is None else max(LAST_TRY_S, give_up_at - began)
            try:
                connection = open_connection(connect, merged(config, credentials), settings, allowed_s)
            except library_errors(library) as error:
                self.try_s = time.monotonic() - began
                tries_count += 1
                self._stats.refused_count += 1
                self.refused_count += 1
                self.met_full |= code_of(error) in REFUSED
                if code_of(error) == DENIED and options.credentials and not renewed:
                    renewed, before = True, credentials
                    credentials = self._credentials(library, error)
                    if credentials != before:  # rotated while we had the old ones
                        continue
                has_time = give_up_at is None or time.monotonic() < give_up_at
                if not has_time or not policy.may_connect_again(error, tries_count, self.refused_count):
                    told = self._given_up(error, started, tries_count)
                    if options.breaker is not None:
                        options.breaker.failed()
                    if told is error:  # not "from error": it would be its own cause
                        raise
                    raise told from error
                wait_s = self._wait(error, wait_s, give_up_at)
            else:
                self.try_s = time.monotonic() - began
                self.refused_count = 0
                if options.breaker is not None:
                    options.breaker.succeeded()
                self._stats.connects_count += 1
                log.debug("connected")
                options.fire("on_connect", connection)
                return connection

    def _credentials(self, library: Any, refused: Exception | None) -> Mapping[str, Any]:
        """Raises :class:`ValueError` for an argument that PyMySQL does not know."""
        ask = self._options.credentials
        given = {} if ask is None else ask(refused)
        return understood(given) if given and is_pymysql(library) else given

    def _wait(self, error: Exception, last_s: float, give_up_at: float | None) -> float:
        """Waits, but no longer than until the last moment, when a try is likeliest to succeed."""
        options = self._options
        # Only where the server was full: a try that ran into its timeout cost nobody any work.
        try_s = self.try_s if code_of(error) in REFUSED else 0.0
        is_own = callable(options.backoff)  # it has been promised the number of tries
        skipped_count = 0 if is_own or code_of(error) in REFUSED else AWAY_SKIPS_COUNT
        wait_s = options.wait_s(last_s, self.refused_count + skipped_count, try_s)
        if give_up_at is not None:
            wait_s = min(wait_s, max(0.0, give_up_at - time.monotonic()))
        options.fire("on_retry", error, self.refused_count, wait_s, options.algorithm)
        self._stats.waited_s += wait_s
        time.sleep(wait_s)
        return wait_s

    def _given_up(self, error: Exception, started: float, tries_count: int) -> Exception:
        told: Exception = error
        if may_pass(error) and self._options.policy.raises_no_connection:
            waited_s = time.monotonic() - started
            full = "; the server is full" if code_of(error) in REFUSED else ""
            text = f"no connection after {waited_s:.1f} s and {tries_count} tries: {error.args[-1]}{full}"
            told = NoConnection(code_of(error), text)
        log.warning("no connection: %s after %d tries", error_name(error), tries_count)
        self._options.fire("on_connect_error", told)
        return told
