"""The workers that take part in a test, and whether the whole load was there. Pure.

A single process is a test with one worker. Each worker has a place, counted from 0 without gaps whatever
number Locust gave it; shares of the load and numbers of clients depend on it.
"""

from collections.abc import Iterable


class Roster:
    """``reasons`` say why the load was not what was asked for; empty if it was.

    A ``worker`` is Locust's id of one, ``HOST_number``.
    """

    def __init__(self, ids: Iterable[str], clients_count: int) -> None:
        """``ids`` are Locust's, ``HOST_number``, in the order of their places."""
        self.places = {worker: place for place, worker in enumerate(ids)}
        self.open = set(self.places)  # those that have not said yet that they are done
        self.reasons: list[str] = []
        self._clients_count = clients_count
        self._steady_count = self._joined_count = self._unready_count = 0

    def __repr__(self) -> str:
        return f"<Roster, {len(self.open)} of {len(self.places)} at work>"

    def done(
        self, worker: str, joined_count: int, steady_count: int, unready_count: int = 0, ended: bool = False
    ) -> str:
        """The worker has written its rows. Returns a reason if it was ended before the test was over.

        ``steady_count`` of its ``joined_count`` clients were there from the start to the end;
        ``unready_count`` of its provisioned containers were not there at the start.
        """
        reason = self.lost(worker) if ended else ""
        self.open.discard(worker)
        self._joined_count += joined_count
        self._unready_count += unready_count
        self._steady_count += 0 if ended else steady_count
        return reason

    def lost(self, worker: str) -> str:
        """The worker is silent, or has not ended in time. Returns the reason, "" if it was known."""
        if worker not in self.open:
            return ""
        self.open.discard(worker)
        return self._reason(f"{self.name(worker)} was lost before the end, and with it its clients")

    def came(self, worker: str) -> str:
        """The worker has connected. Returns the reason if that was too late, otherwise ""."""
        if worker in self.places:
            return ""
        return self._reason(f"{self.name(worker)} joined after the start, and took clients of the others")

    def name(self, worker: str) -> str:
        """The worker's name in messages."""
        host = worker.rpartition("_")[0]
        place = self.places.get(worker)
        number = "another worker" if place is None else f"worker {place}"
        return f"{number} (on {host})" if host else number

    def verdict(self) -> list[str]:
        """Why the load was not what was asked for; known once all workers are done or lost."""
        missing, more = self._clients_count - self._steady_count, self._joined_count - self._clients_count
        reasons = list(self.reasons)
        if missing > 0:
            reasons.append(
                f"{missing:,} of {self._clients_count:,} clients were not there from the start to the end, "
                "so arrivals are missing"
            )
        elif more > 0:
            reasons.append(f"{more:,} clients came to the {self._clients_count:,} that were asked for")
        if self._unready_count:
            reasons.append(
                f"{self._unready_count:,} of the provisioned containers were not there at the start: give "
                "them longer with cold-start-ms, or start fewer"
            )
        return reasons

    def _reason(self, text: str) -> str:
        if text in self.reasons:
            return ""
        self.reasons.append(text)
        return text


class Numbers:
    """The numbers of one worker's clients, unique over all workers: worker w of n has w, w + n, w + 2n, …

    w is the worker's ``place``, from 0.
    """

    def __init__(self, place: int, workers_count: int) -> None:
        self._next = place
        self._step = workers_count
        self._free: list[int] = []

    def take(self) -> int:
        if self._free:
            return self._free.pop()
        number, self._next = self._next, self._next + self._step
        return number

    def give_back(self, number: int) -> None:
        """``number`` is free again; the smallest that is free is taken next."""
        self._free.append(number)
        self._free.sort(reverse=True)
