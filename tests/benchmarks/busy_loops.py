"""Other work on the machine: two processes that are busy for 5 s, then idle for 5 to 25 s.

`python -m tests.benchmarks.busy_loops 560` beside a run of that many seconds; it ends by itself.
"""

import sys
import time
from multiprocessing import Process
from random import Random

BUSY_S = 5.0


def loop(seed: int, until_s: float) -> None:
    rng = Random(seed)
    while (began_s := time.monotonic()) < until_s:
        while time.monotonic() < min(began_s + BUSY_S, until_s):
            pass
        time.sleep(min(rng.uniform(5.0, 25.0), max(0.0, until_s - time.monotonic())))


if __name__ == "__main__":
    ends_s = time.monotonic() + float(sys.argv[1])
    loops = [Process(target=loop, args=(seed, ends_s)) for seed in (1, 2)]
    for one in loops:
        one.start()
    for one in loops:
        one.join()
