"""A runtime of one's own that does as its event says, and notes what the Runtime API answers to each call."""

import http.client
import json
import os
import sys
import time
from pathlib import Path

HOST = os.environ["AWS_LAMBDA_RUNTIME_API"]
ROOT = "/2018-06-01/runtime/"


def content(wanted):
    """A number stands for as many bytes."""
    return b"x" * wanted if isinstance(wanted, int) else wanted.encode()


def call(method, path, body=None, headers=None):
    """On a connection of its own: what breaks one does not break the next."""
    connection = http.client.HTTPConnection(HOST)
    where = path if path.startswith("/") else ROOT + path
    said = {"call": f"{method} {path}", "sent_ms": time.time() * 1000}
    try:
        if method == "HALF A POST":
            connection.putrequest("POST", where)
            connection.putheader("Content-Length", "100")
            connection.endheaders(content(body))
            connection.sock.shutdown(1)
        else:
            connection.request(method, where, None if body is None else content(body), headers or {})
        response = connection.getresponse()
        said |= {"status": response.status, "text": response.read().decode()}
        said |= {"headers": dict(response.getheaders())}
    except (OSError, http.client.HTTPException):
        if path == "invocation/next":
            sys.exit(1)  # the service has gone
        said |= {"status": 0, "text": "", "headers": {}}
    with Path(os.environ["NOTES"]).open("a") as file:
        file.write(json.dumps(said) + "\n")
    return said


def make(calls, identity=""):
    for method, path, *rest in calls:
        if method == "EXIT":
            sys.exit(path)
        if method == "SLEEP":
            time.sleep(path)
            continue
        call(method, path.replace("ID", identity), *rest)


make(json.loads(os.environ["AT_INIT"]))
while True:
    got = call("GET", "invocation/next")
    if got["status"] != 200:
        sys.exit(1)
    make(json.loads(got["text"])["calls"], got["headers"]["Lambda-Runtime-Aws-Request-Id"])
