"""The options of a manager, checked once, and the callbacks that it calls."""

import inspect
import logging
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, replace
from typing import Any

from loadtest.manager import backoff as backoffs
from loadtest.manager import checks
from loadtest.manager.backoff import Backoff
from loadtest.manager.breaker import CircuitBreaker
from loadtest.manager.classic import Classic
from loadtest.manager.managed import Managed
from loadtest.manager.policy import Policy
from loadtest.manager.sql import escape

log = logging.getLogger("loadtest.manager")
_shared_rng = random.SystemRandom()  # containers that are restored from one snapshot must not draw alike
# One for all: a fleet has thousands of managers.
_NOTHING: Mapping[str, Any] = {}


@dataclass(slots=True, kw_only=True)
class Options:
    """What each means stands in :class:`~loadtest.manager.connection.ConnectionManager`.

    Raises :class:`ValueError` for a value that cannot be, with its name.
    """

    policy: Policy = field(default_factory=Managed)
    manage: bool = True
    backoff: str | Backoff | None = None
    base_s: float = backoffs.BASE_S
    cap_s: float = backoffs.CAP_S
    max_query_retries: int = 0
    query_retry_backoff: str | Backoff | None = None
    return_final_sql_query: bool = False
    credentials: Callable[[Exception | None], Mapping[str, Any]] | None = None
    session_variables: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    rng: random.Random = field(default_factory=lambda: _shared_rng)
    breaker: CircuitBreaker | None = None
    on_connect: Callable[[Any], object] | None = None  # the connection
    on_connect_error: Callable[[Exception], object] | None = None
    on_retry: Callable[[Exception, int, float, str], object] | None = None  # error, count, wait, algorithm
    on_close: Callable[[], object] | None = None
    on_error: Callable[[Exception], object] | None = None
    on_kill: Callable[[int, float], object] | None = None  # connection id, seconds it had slept
    on_kill_error: Callable[[Exception], object] | None = None
    on_query_retry: Callable[[Exception, int, float, str], object] | None = None
    wait_s: Backoff = field(init=False)
    algorithm: str = field(init=False)
    query_wait_s: Backoff = field(init=False)
    query_algorithm: str = field(init=False)
    _other: "Options | None" = field(init=False, default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._check()
        self.wait_s, self.algorithm = self._backoff("backoff", self.backoff)
        self.query_wait_s, self.query_algorithm = self._backoff(
            "query_retry_backoff", self.query_retry_backoff
        )

    def with_policy(self, policy: Policy) -> "Options":
        """These with another ``policy``; managers that share these keep theirs."""
        if policy == self.policy:
            return self
        if self._other is None or self._other.policy != policy:
            self._other = replace(self, policy=policy)
        return self._other

    def _check(self) -> None:
        if not isinstance(self.policy, Policy):
            raise checks.wrong(self, "policy", "a Policy, such as Managed(…) or Classic(…)")
        for name in ("manage", "return_final_sql_query"):
            if not isinstance(getattr(self, name), bool):
                raise checks.wrong(self, name, "True or False")
        checks.number(self, "base_s", 0)
        checks.number(self, "cap_s", 0)
        checks.in_order(self, "base_s", "cap_s")
        checks.whole(self, "max_query_retries", 0)
        for name in CALLED:
            if not (getattr(self, name) is None or callable(getattr(self, name))):
                raise ValueError(f"{name} is not a function, but of {type(getattr(self, name))}")
        if not callable(getattr(self.rng, "uniform", None)):
            raise checks.wrong(self, "rng", "a random.Random")
        if not (self.breaker is None or isinstance(self.breaker, CircuitBreaker)):
            raise checks.wrong(self, "breaker", "a CircuitBreaker")
        self._check_session_variables()

    def _check_session_variables(self) -> None:
        if not isinstance(self.session_variables, Mapping):
            raise checks.wrong(self, "session_variables", "a mapping")
        for name, value in self.session_variables.items():
            plain = str(name).lower()
            if not re.fullmatch(r"\w+(\.\w+)?", plain, re.ASCII):
                raise ValueError(f"session_variables: {name!r} is not the name of a variable")
            if plain == "autocommit" or (plain == "wait_timeout" and self.policy.lease_s is not None):
                where = "the config" if plain == "autocommit" else "the policy's lease_s"
                raise ValueError(f"session_variables: {name} is set by {where}")
            try:
                escape(value)
            except Exception as error:
                raise ValueError(f"session_variables: {name} has no literal: {error}") from None

    def _backoff(self, name: str, chosen: str | Backoff | None) -> tuple[Backoff, str]:
        if callable(chosen):
            return _with_three_arguments(chosen), "custom"
        algorithm: Any = chosen or self.policy.default_backoff
        if not isinstance(algorithm, str) or algorithm not in backoffs.BY_NAME:
            known = ", ".join(backoffs.BY_NAME)
            raise ValueError(f"{name} is {algorithm!r}; there are {known}, or a function")
        return backoffs.BY_NAME[algorithm](self.rng, self.base_s, self.cap_s), algorithm

    def fire(self, event: str, *args: Any) -> None:
        """Calls the user's callback ``event`` with ``args``; its exceptions are logged and change nothing."""
        callback = getattr(self, event)
        if callback is not None:
            try:
                callback(*args)
            except Exception:
                log.exception("the callback %s failed", event)


def _with_three_arguments(own: Backoff) -> Backoff:
    """A function of a user's own may leave out the third: how long the failed try took."""
    try:
        inspect.signature(own).bind(0.0, 1, 0.0)
    except (TypeError, ValueError):  # it takes two; or it is written in C, and does not say
        return lambda last_s, tries_count, _try_s=0.0: own(last_s, tries_count)
    return own


CALLED = (
    "credentials", *(name for name in Options.__dataclass_fields__ if name.startswith("on_")),
)  # fmt: skip
NAMES = frozenset(name for name, made in Options.__dataclass_fields__.items() if made.init)
DEFAULT = Options()
# What a manager is given when nothing is chosen; None where the default is an object of its own.
UNCHOSEN = {
    name: None if made.default is MISSING else made.default
    for name, made in Options.__dataclass_fields__.items()
    if made.init
}
# Where a mistyped name may belong.
ELSEWHERE = (
    *NAMES,
    *(f"{kind.__name__}.{name}" for kind in (Classic, Managed) for name in kind.__slots__),
)


def options_of(**options: Any) -> Options:
    """One object for all managers that choose nothing: a fleet has thousands."""
    if options == UNCHOSEN:
        return DEFAULT
    return Options(**{name: value for name, value in options.items() if value is not None})
