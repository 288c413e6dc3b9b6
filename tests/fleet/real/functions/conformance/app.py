"""Functions in Python, by what the event tells them to do; each says how often its process has served."""

import json
import os
import signal
import sys
import time
from pathlib import Path

LARGEST = 6 * 1024 * 1024 + 100
served = 0


class OutOfStock(Exception):
    pass


def fails():
    raise ValueError("no")


def fails_in_its_own_way():
    raise OutOfStock("none left")


def prints():
    for _ in range(3000):
        print("x" * 1000)


DOES = {
    "answer": lambda: None,
    "fail": fails,
    "fail in its own way": fails_in_its_own_way,
    "print three megabytes": prints,
    "exit 0": lambda: os._exit(0),
    "exit 3": lambda: os._exit(3),
    "sys.exit": lambda: sys.exit(3),
    "be killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "crash": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "take too long": lambda: time.sleep(60),
}
ANSWERS = {
    "answer a set": {1, 2},
    "answer just enough": "x" * (LARGEST - 2),
    "answer a byte too much": "x" * (LARGEST - 1),
}


def handler(event, _context):
    global served
    served += 1
    if event["do"] in ANSWERS:
        return ANSWERS[event["do"]]
    DOES[event["do"]]()
    return {"served": served}


def initialised():
    """For functions whose module-level code is what is tried: notes that it has begun."""
    with Path(os.environ["NOTES"]).open("a") as file:
        file.write(json.dumps({"call": "init"}) + "\n")
