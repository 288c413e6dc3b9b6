"""What a proxy says of itself: how many clients it has, and what they wait for."""

import base64
import csv
import json
import socket
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

TIMEOUT_S = 0.3  # the server is to be sampled five times a second
LISTENS_S = 5.0
API = "/api/20190715"  # of MySQL Router's HTTP interface
ROUTE, POOL = "functions", "main"


class Status(NamedTuple):
    """``connections_count``: of the server, that clients hold; None where the proxy does not say.

    ``waiting_count``: clients that wait for one. ``idle_count``: connections of the server that are free for
    anybody; None where each client keeps its own.
    """

    clients_count: int
    connections_count: int | None = None
    waiting_count: int | None = None
    idle_count: int | None = None


def ask(status: str) -> Status:
    """``status`` is a URL of MySQL Router, or the path of HAProxy's socket.

    Raises OSError or ValueError if it does not answer, or otherwise than is known.
    """
    return _router(status) if status.startswith("http") else _haproxy(status)


def listens(host: str, port: int) -> bool:
    """Whether something there lets one connect, within :data:`LISTENS_S`."""
    try:
        socket.create_connection((host, port), LISTENS_S).close()
    except OSError:
        return False
    return True


def _router(url: str) -> Status:
    import urllib.request  # 30 ms, and most monitors have no proxy to ask
    from http.client import HTTPException

    parts = urlsplit(url)
    account = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    login = f"Basic {base64.b64encode(account.encode()).decode()}"

    def get(path: str) -> Any:
        request = urllib.request.Request(
            f"http://{parts.hostname}:{parts.port}{API}{path}", headers={"Authorization": login}
        )
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310 - on loopback
                return json.load(answer)
        except HTTPException as error:  # it ended in the middle
            raise ValueError(f"MySQL Router did not finish its answer: {error!r}") from None

    pool = get(f"/connection_pool/{POOL}/status")
    clients = get(f"/routes/{ROUTE}/status")
    try:
        # What is stashed is a client's of before, and anybody's to take.
        idle_count = int(pool["idleServerConnections"]) + int(pool["stashedServerConnections"])
        return Status(int(clients["activeConnections"]), idle_count=idle_count)
    except (KeyError, TypeError) as error:
        raise ValueError(f"MySQL Router answers otherwise than is known: {error!r}") from None


def _haproxy(path: str) -> Status:
    with socket.socket(socket.AF_UNIX) as asked:
        asked.settimeout(TIMEOUT_S)
        asked.connect(path)
        asked.sendall(b"show stat\n")
        said = b""
        while piece := asked.recv(65_536):
            said += piece
    rows = {row["svname"]: row for row in csv.DictReader(said.decode().removeprefix("# ").splitlines())}
    try:
        return Status(
            clients_count=int(rows["FRONTEND"]["scur"]),
            connections_count=int(rows["mysql"]["scur"]),
            waiting_count=int(rows["BACKEND"]["qcur"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"HAProxy answers otherwise than is known: {error!r}") from None
