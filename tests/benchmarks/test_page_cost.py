"""What an open page costs the generator that serves it."""

import statistics
import threading
import urllib.request

from tests.webui.pages import LOCUSTFILES, page

ROUNDS = 5
CONTAINERS = 1000  # as many as the page shows
FORM = {
    "user_count": CONTAINERS, "spawn_rate": CONTAINERS, "strategy": "ideal", "duration": "8s", "work_ms": "0",
    "rtt_ms": "0", "cold_start_ms": "0", "workload": "select-1", "think_time_ms": "0", "lifetime": "1000s",
    "reap_probability": "0",
}  # fmt: skip


class Looking:
    """Asks as often as the tab's scripts do."""

    def __init__(self, address):
        self._address = address
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self):
        while not self._over.wait(1.0):
            for path in ("live?live=-1", "fleet"):
                with urllib.request.urlopen(f"{self._address}/loadtest/{path}", timeout=10) as answer:
                    answer.read()

    def __enter__(self):
        self._thread.start()

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


def test_two_open_pages_cost_less_than_three_percent_of_the_throughput(mariadb_target, tmp_path, say):
    with page(mariadb_target, tmp_path, locustfile=LOCUSTFILES / "containers.py") as found:
        answered = {"open": [], "closed": []}
        for number in range(1, 2 * ROUNDS + 1):
            kind = ("open", "closed")[number % 2]
            assert found.json("/swarm", FORM)["success"]
            if kind == "open":
                with Looking(found.address), Looking(found.address):
                    state = found.ended(number)
            else:
                state = found.ended(number)
            answered[kind].append(state["tests"][number - 1]["arrivals"])
    ratio = statistics.median(answered["open"]) / statistics.median(answered["closed"])
    say(f"two open pages: {ratio:.3f} of the throughput ({statistics.median(answered['open']) / 8:,.0f}/s)")
    assert ratio >= 0.97
