"""Functions as people write them, for the tests of real runtimes."""

import os
import subprocess
import sys
import threading
import time
from itertools import pairwise

import pymysql

ARGUMENTS = {
    "host": os.environ.get("MYSQL_HOST"), "port": int(os.environ.get("MYSQL_PORT", "0")),
    "user": os.environ.get("MYSQL_USER"), "password": os.environ.get("MYSQL_PASSWORD"),
    "database": os.environ.get("MYSQL_DATABASE"), "autocommit": True, "ssl_disabled": True,
}  # fmt: skip
STATEMENT = "SELECT id, payload FROM loadtest_rows WHERE group_id = %s"
connection = None
ticks = []
kept = []


def rows(of, event):
    with of.cursor() as cursor:
        cursor.execute(STATEMENT, (event["group"],))
        return len(cursor.fetchall())


def direct(event, _context):
    own = pymysql.connect(**ARGUMENTS)
    try:
        return rows(own, event)
    finally:
        own.close()


def writes(event, _context):
    own = pymysql.connect(**ARGUMENTS)
    try:
        with own.cursor() as cursor:
            cursor.execute("INSERT INTO loadtest_ledger (invocation, amount) VALUES (%s, 1)", (event["id"],))
    finally:
        own.close()


def leaks(event, _context):
    kept.append(pymysql.connect(**ARGUMENTS))
    return rows(kept[-1], event)


def encrypted(event, _context):
    own = pymysql.connect(**{**ARGUMENTS, "ssl_disabled": False, "ssl": {}})
    try:
        assert own._secure
        return rows(own, event)
    finally:
        own.close()


def cached(event, _context):
    global connection
    if connection is None:
        connection = pymysql.connect(**ARGUMENTS)
    return rows(connection, event)


def slow(event, context):
    cached(event, context)
    with connection.cursor() as cursor:
        cursor.execute("SELECT SLEEP(5)")


def about(event, context):
    return {
        "event": event, "id": context.aws_request_id, "left_ms": context.get_remaining_time_in_millis(),
        "name": context.function_name, "arn": context.invoked_function_arn, "pid": os.getpid(),
    }  # fmt: skip


def fails(_event, _context):
    raise ValueError("no")


def exits(_event, _context):
    os._exit(3)


def prints(_event, _context):
    for _ in range(3000):
        print("x" * 1000)


def large(_event, _context):
    return "x" * (6 * 1024 * 1024 + 99)  # in quotes a byte more than Lambda takes


def tick():
    while True:
        ticks.append(time.time())
        time.sleep(0.01)


def ticking(_event, _context):
    """How often a thread ran, the longest it stood still, and a child process's number."""
    if not ticks:
        threading.Thread(target=tick, daemon=True).start()
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        ticks.append(time.time())
        ticking.child = child.pid
    time.sleep(0.1)
    gaps = [after - before for before, after in pairwise(ticks)]
    return {"count": len(ticks), "longest_s": max(gaps, default=0.0), "child": ticking.child}
