"""Two functions with SQLAlchemy: `direct` connects in every invocation, `cached` keeps one connection."""

import os
import time

from sqlalchemy import URL, NullPool, create_engine, text

ADDRESS = URL.create(
    "mysql+pymysql",
    username=os.environ["MYSQL_USER"],
    password=os.environ["MYSQL_PASSWORD"],
    host=os.environ["MYSQL_HOST"],
    port=int(os.environ.get("MYSQL_PORT", "3306")),
    database=os.environ["MYSQL_DATABASE"],
)
ARGUMENTS = {"ssl_disabled": os.environ.get("MYSQL_TLS") == "off"}
WORK_S = float(os.environ.get("WORK_MS", "20")) / 1000
ROWS = text("SELECT id, payload FROM loadtest_rows WHERE group_id = :group")

# An engine connects at its first statement, so the one that a function does not use costs nothing.
connects_each_time = create_engine(ADDRESS, connect_args=ARGUMENTS, poolclass=NullPool)
# Pre-ping, not pool_recycle: a frozen function's connection is lost to KILLs and restarts, too, not only to
# its age. It takes a round trip in each invocation.
keeps_one = create_engine(ADDRESS, connect_args=ARGUMENTS, pool_size=1, max_overflow=0, pool_pre_ping=True)


def work(engine, group):
    with engine.connect() as connection:
        rows = connection.execute(ROWS, {"group": group}).all()
        time.sleep(WORK_S)
    return len(rows)


def direct(event, _context):
    return work(connects_each_time, event["group"])


def cached(event, _context):
    return work(keeps_one, event["group"])
