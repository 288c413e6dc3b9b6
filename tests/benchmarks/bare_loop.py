"""Connect, query, close in bare gevent greenlets: the yardstick of P2. Prints rounds a second."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402
import time  # noqa: E402

import gevent  # noqa: E402
import pymysql  # noqa: E402

port, user, password, greenlets, seconds = sys.argv[1:]
rounds = 0
until = time.perf_counter() + float(seconds)


def loop():
    global rounds
    while time.perf_counter() < until:
        connection = pymysql.connect(
            host="127.0.0.1", port=int(port), user=user, password=password, autocommit=True, ssl_disabled=True
        )
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchall()
        connection.close()
        rounds += 1


gevent.joinall([gevent.spawn(loop) for _ in range(int(greenlets))])
print(rounds / float(seconds))
