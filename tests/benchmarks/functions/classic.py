"""serverless-mysql's algorithm in our manager, as the strategy `classic` has it."""

import os
import time

from loadtest.manager import Classic, ConnectionManager

db = ConnectionManager(
    host=os.environ["MYSQL_HOST"],
    port=int(os.environ["MYSQL_PORT"]),
    user=os.environ["MYSQL_USER"],
    password=os.environ["MYSQL_PASSWORD"],
    database=os.environ["MYSQL_DATABASE"],
    ssl_disabled=os.environ.get("MYSQL_TLS") == "off",
    policy=Classic(),
)
WORK_S = float(os.environ["WORK_MS"]) / 1000


@db.handler
def handler(event, _context):
    rows = db.query("SELECT id, payload FROM loadtest_rows WHERE group_id = %s", (event["group"],))
    time.sleep(WORK_S)
    return len(rows)
