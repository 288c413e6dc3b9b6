"""What people write who load-test MySQL with Locust: the yardstick of P1. Prints requests a second."""

import os
import time

import pymysql
from locust import User, constant, events, task

counts = {"requests": 0}


class TextbookUser(User):
    wait_time = constant(0)

    def on_start(self):
        self.connection = pymysql.connect(
            host="127.0.0.1", port=int(os.environ["PORT"]), user=os.environ["ACCOUNT"],
            password=os.environ["PASSWORD"], autocommit=True, ssl_disabled=True,
        )  # fmt: skip

    @task
    def query(self):
        started = time.perf_counter()
        with self.connection.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.fetchall()
        self.environment.events.request.fire(
            request_type="mysql", name="select-1", response_time=(time.perf_counter() - started) * 1000,
            response_length=0, exception=None, context={},
        )  # fmt: skip
        counts["requests"] += 1


@events.test_start.add_listener
def begin(**_):
    counts["began"] = time.perf_counter()


@events.test_stop.add_listener
def end(**_):
    print("RATE", counts["requests"] / (time.perf_counter() - counts["began"]))
