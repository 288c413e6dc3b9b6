"""SQLAlchemy over the connection manager, which decides at the end of each invocation what is kept."""

import os
import time

from sqlalchemy import URL, create_engine, text

from loadtest.manager.sqlalchemy import ManagedPool, managed_handler

engine = create_engine(
    URL.create(
        "mysql+pymysql",
        username=os.environ["MYSQL_USER"],
        password=os.environ["MYSQL_PASSWORD"],
        host=os.environ["MYSQL_HOST"],
        port=int(os.environ.get("MYSQL_PORT", "3306")),
        database=os.environ["MYSQL_DATABASE"],
    ),
    poolclass=ManagedPool,
    connect_args={"ssl_disabled": os.environ.get("MYSQL_TLS") == "off"},
)
WORK_S = float(os.environ.get("WORK_MS", "20")) / 1000
ROWS = text("SELECT id, payload FROM loadtest_rows WHERE group_id = :group")


@managed_handler(engine)
def handler(event, _context):
    with engine.connect() as connection:
        rows = connection.execute(ROWS, {"group": event["group"]}).all()
        time.sleep(WORK_S)
    return len(rows)
