"""Memory of containers that are frozen (P3): COUNT of STRATEGY against PORT. Prints bytes for each."""

import gc
import resource
import sys
import time

import psutil

from loadtest.dsn import Dsn
from loadtest.fleet.book import Book
from loadtest.fleet.clock import Clock
from loadtest.fleet.fleet import Fleet
from loadtest.fleet.runtime import in_process
from loadtest.settings.plan import Settings
from loadtest.settings.strategy import parse

strategy, count, port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def nothing(_row):
    pass


clock = Clock(time.monotonic())
book = Book(clock, 0, nothing, nothing)
settings = Settings(workload="select-1", work_ms=0.0, rtt_ms=0.0, cold_start_ms=0.0)
server = Dsn("127.0.0.1", port, "someone", "secret", "somewhere")
parts = parse(strategy)
fleet = Fleet(settings, parts, in_process(settings, parts, server, book), clock, nothing)


def frozen(number):
    container = fleet.new_container(strategy)
    row = fleet.invoke(container, number, 0, clock.now())
    assert row.error == "", row.error
    return container


def memory():
    book.flush()
    gc.collect()
    return psutil.Process().memory_info().rss


kept = [frozen(number) for number in range(200)]  # whatever is allocated once, is by now
before = memory()
kept += [frozen(number) for number in range(count)]
print((memory() - before) / count, book.open_count)
