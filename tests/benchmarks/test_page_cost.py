"""What an open page costs the generator that serves it."""

import statistics
import threading
import time
import urllib.request
from contextlib import ExitStack

import psutil

from tests.waiting import wait_until
from tests.webui.pages import LOCUSTFILES, page

CONTAINERS = 1000  # as many as the page shows
FORM = {
    "user_count": CONTAINERS, "spawn_rate": CONTAINERS, "strategy": "ideal", "duration": "90s",
    "think_time_ms": "4000", "lifetime": "1000s", "cold_start_ms": "0", "reap_probability": "0",
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


def cpu_s(process):
    times = process.cpu_times()
    return times.user + times.system


def test_two_open_pages_cost_less_than_three_percent_of_a_generator(mariadb_target, tmp_path, say, pick):
    """By the CPU that they take from the one core that a generator has, at a load that leaves some: at
    saturation what they take is what the load lacks, but there the pace itself wavers by 10%."""
    with page(mariadb_target, tmp_path, locustfile=LOCUSTFILES / "containers.py") as found:
        assert found.json("/swarm", FORM)["success"]
        wait_until(lambda: found.live()["tests"] and found.live()["tests"][0]["arrivals_count"] > 2000, 40)
        generator, costs = psutil.Process(found.locust.pid), {0: [], 2: []}
        for _ in range(pick(8, 2)):
            for pages, found_costs in costs.items():
                with ExitStack() as stack:
                    for _ in range(pages):
                        stack.enter_context(Looking(found.address))
                    before_s, began_s = cpu_s(generator), time.monotonic()
                    time.sleep(pick(4.0, 2.0))
                    found_costs.append((cpu_s(generator) - before_s) / (time.monotonic() - began_s))
        assert found.live()["tests"][0]["running"]
        assert len(found.json("/loadtest/fleet")) > CONTAINERS * 0.9
        found.get("/stop", {})
    extra = statistics.median(costs[2]) - statistics.median(costs[0])
    say(
        f"two open pages: {extra:.1%} of a core, beside {statistics.median(costs[0]):.0%} for the load itself"
    )
    assert extra < pick(0.03, 0.3)
