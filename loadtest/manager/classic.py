"""The published algorithm of serverless-mysql 2.1.0, its flaws included. Pure."""

from dataclasses import dataclass

from loadtest.manager.backoff import Backoff
from loadtest.manager.checks import number, whole
from loadtest.manager.decision import Ask, AskProcessList, Close, Decision, Keep, Kill, Situation
from loadtest.manager.errors import CLASSIC_CONNECT_RETRIED, CLASSIC_QUERY_RETRIED, code_of
from loadtest.manager.fate import Fate
from loadtest.manager.policy import Policy


@dataclass(frozen=True, slots=True)
class Classic(Policy):
    """serverless-mysql 2.1.0, decision for decision. Seconds and ratios.

    It counts the rows of the whole process list, whoever they belong to, and takes their greatest TIME as
    the age of the oldest connection. On MySQL 8.0 and later that row is the event scheduler's, and its
    TIME is the server's uptime, so younger zombies are never killed there.

    Raises :class:`ValueError` for a parameter out of its range, with the reason. As in the published
    module, ``zombie_min_s`` may be greater than ``zombie_max_s``.
    """

    utilisation_ratio: float = 0.8
    zombie_min_s: float = 3.0
    zombie_max_s: float = 900.0
    limit_cache_s: float = 15.0
    used_cache_s: float = 0.0
    max_retries: int = 50

    default_backoff = "full"
    checks_before_use = False
    guards_session = False
    heeds_refusals = False
    raises_no_connection = False
    # A flaw: a spent budget makes the next invocation's first refusal final.
    keeps_refused_count = True

    def __post_init__(self) -> None:
        number(self, "utilisation_ratio", 0, 1)
        for name in ("zombie_min_s", "zombie_max_s", "limit_cache_s", "used_cache_s"):
            number(self, name, 0)
        whole(self, "max_retries", 0)

    @property
    def ask_timeout_s(self) -> None:
        """It waits for its census as long as it takes."""
        return None

    def decide(self, situation: Situation) -> Decision | Ask:
        """What the published ``end()`` does: it looks at the process list every time, then decides."""
        census = situation.census
        if census is None or not situation.is_fresh:
            return AskProcessList(self.used_cache_s, self.limit_cache_s)
        if census.pressure_ratio > self.utilisation_ratio:
            idle_s = min(max(census.oldest_s, self.zombie_min_s), self.zombie_max_s)
            return Kill(idle_s, close_if_none_died=True) if idle_s <= census.oldest_s else Close()
        if census.oldest_s > self.zombie_max_s:
            return Kill(self.zombie_max_s, close_if_none_died=False)
        return Keep()

    def connect_limit_s(self, left_s: float | None, needed_s: float) -> float | None:
        """It counts its tries and knows no deadline."""
        del left_s, needed_s
        return None

    def may_connect_again(self, error: BaseException, tries_count: int, refused_count: int) -> bool:
        """For its list of codes, ``max_retries`` times since the last success."""
        del tries_count
        return code_of(error) in CLASSIC_CONNECT_RETRIED and refused_count <= self.max_retries

    def statement_limit_s(self, left_s: float | None, timeout_s: float | None) -> float | None:
        """It knows no deadline."""
        del left_s
        return timeout_s

    def may_send_again(self, fate: Fate, is_idempotent: bool) -> bool:
        """A flaw: a statement whose answer was lost runs again, even if it writes.

        ``is_idempotent`` changes nothing.
        """
        del is_idempotent
        return fate in (Fate.NOT_SENT, Fate.UNKNOWN)

    def may_retry(self, error: BaseException, is_harmless: bool) -> bool:
        """By its list of codes alone, whether ``is_harmless`` or not."""
        del is_harmless
        return code_of(error) in CLASSIC_QUERY_RETRIED

    def retry_wait_s(
        self, backoff: Backoff, last_s: float, retries_count: int, left_s: float | None
    ) -> float | None:
        """A flaw: ``backoff`` is asked with the count of connects, so the wait never grows."""
        del last_s, retries_count, left_s
        return backoff(0.0, 0)
