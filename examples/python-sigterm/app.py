"""Keeps its connection as AWS's guides recommend, and closes it when Lambda takes the environment away.

Lambda announces that by SIGTERM, 500 ms before, but only where an extension is registered. The function
registers one itself. Source: AWS Lambda developer guide, "Lambda execution environment lifecycle".
"""

import os
import signal
import threading
import time
from http.client import HTTPConnection

import pymysql

CONFIG = {
    "host": os.environ["MYSQL_HOST"],
    "port": int(os.environ.get("MYSQL_PORT", "3306")),
    "user": os.environ["MYSQL_USER"],
    "password": os.environ["MYSQL_PASSWORD"],
    "database": os.environ["MYSQL_DATABASE"],
    "autocommit": True,
    "ssl_disabled": os.environ.get("MYSQL_TLS") == "off",
}
WORK_S = float(os.environ.get("WORK_MS", "20")) / 1000
API = "/2020-01-01/extension"
connection = None


def register_extension():
    service = HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    service.request(
        "POST", f"{API}/register", b'{"events": []}', {"Lambda-Extension-Name": "close-on-sigterm"}
    )
    answer = service.getresponse()
    answer.read()
    who = {"Lambda-Extension-Identifier": answer.headers["Lambda-Extension-Identifier"]}
    # The init phase ends when every extension has asked for its next event. This one will never get any.
    service.request("GET", f"{API}/event/next", headers=who)
    return service


def close_on_sigterm():
    signal.sigwait({signal.SIGTERM})
    if connection is not None:
        connection.close()
    os._exit(0)


# In a thread: up to Python 3.11 the main one waits for invocations where no signal handler can run.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
threading.Thread(target=close_on_sigterm, daemon=True).start()
extension = register_extension()


def query(group):
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, payload FROM loadtest_rows WHERE group_id = %s", (group,))
        return cursor.fetchall()


def handler(event, _context):
    global connection
    if connection is None:
        connection = pymysql.connect(**CONFIG)
    try:
        rows = query(event["group"])
    except pymysql.OperationalError:  # lost while the function was frozen
        connection = None  # in case that the server is full
        connection = pymysql.connect(**CONFIG)
        rows = query(event["group"])
    time.sleep(WORK_S)
    return len(rows)
