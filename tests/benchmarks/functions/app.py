"""Functions that show what the way to a function costs."""

import os

import pymysql

DIRECT_PORT = os.environ.get("SERVERS_PORT", "")  # without the relay
connection = None


def empty(_event, _context):
    """What its time shows is the exchange with the Runtime API, and the process that has to wake up."""


def one_query(event, _context):
    global connection
    if connection is None:
        connection = pymysql.connect(
            host="127.0.0.1", port=int(DIRECT_PORT or os.environ["MYSQL_PORT"]),
            user=os.environ["MYSQL_USER"], password=os.environ["MYSQL_PASSWORD"],
            database=os.environ["MYSQL_DATABASE"], autocommit=True, ssl_disabled=True,
        )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SELECT id, payload FROM loadtest_rows WHERE group_id = %s", (event["group"],))
        return len(cursor.fetchall())
