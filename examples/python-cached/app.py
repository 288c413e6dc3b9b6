"""Connects once and keeps the connection, as AWS's guides recommend; connects again when it is lost."""

import os
import time

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
connection = None


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
