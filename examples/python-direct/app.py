"""Connects in every invocation. The server's address comes from the environment, as on AWS."""

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


def handler(event, _context):
    connection = pymysql.connect(**CONFIG)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id, payload FROM loadtest_rows WHERE group_id = %s", (event["group"],))
            rows = cursor.fetchall()
        time.sleep(WORK_S)
        return len(rows)
    finally:
        connection.close()
