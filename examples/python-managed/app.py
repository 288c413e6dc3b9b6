"""The connection manager decides at the end of each invocation whether to keep the connection."""

import os
import time

from loadtest.manager import ConnectionManager

db = ConnectionManager(
    host=os.environ["MYSQL_HOST"],
    port=int(os.environ.get("MYSQL_PORT", "3306")),
    user=os.environ["MYSQL_USER"],
    password=os.environ["MYSQL_PASSWORD"],
    database=os.environ["MYSQL_DATABASE"],
    ssl_disabled=os.environ.get("MYSQL_TLS") == "off",
)
WORK_S = float(os.environ.get("WORK_MS", "20")) / 1000


@db.handler
def handler(event, _context):
    rows = db.query("SELECT id, payload FROM loadtest_rows WHERE group_id = %s", (event["group"],))
    time.sleep(WORK_S)
    return len(rows)
