"""MySQL Router in front of a server, in Docker Compose, with connection sharing.

Its clients share the server's connections, as with RDS Proxy: a connection of the server is taken for a
statement or a transaction and then goes to whoever needs one. For that Router has to know its clients'
passwords, which it learns over TLS only: without, each client has a connection of the server to itself.
"""

import base64
import hashlib
import os
import secrets
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pymysql

from loadtest.dsn import Dsn
from loadtest.errors import ServerUnavailable
from loadtest.server import certificate, compose, connections, flavour, ports
from loadtest.server.target import Target

SERVICE = "router"
IMAGE_VARIABLE = "MYSQL_ROUTER_IMAGE"
IMAGE = "mysql-router:9.7"
INSTEAD = "leave out --via router"
CLIENTS_AT_MOST = 20_000
START_S = 30.0
USER = "monitor"  # of Router's own HTTP interface
KDF_ROUNDS = 1_000
INSIDE = "/etc/loadtest"  # the container's

CONFIGURATION = """\
[DEFAULT]
logging_folder=
runtime_folder=/tmp
data_folder=/tmp
max_total_connections={clients}
[logger]
level=warning
[routing:functions]
bind_address=127.0.0.1
bind_port={port}
protocol=classic
routing_strategy=first-available
destinations={server}
max_connections={clients}
max_connect_errors=4294967295
connect_timeout=5
connection_sharing=1
connection_sharing_delay=0
client_ssl_mode=PREFERRED
client_ssl_cert={inside}/certificate.pem
client_ssl_key={inside}/key.pem
server_ssl_mode=PREFERRED
[connection_pool]
max_idle_server_connections={idle}
[http_server]
bind_address=127.0.0.1
port={status_port}
[rest_api]
[rest_routing]
require_realm=monitor
[rest_connection_pool]
require_realm=monitor
[http_auth_backend:monitor]
backend=file
filename={inside}/passwords
[http_auth_realm:monitor]
backend=monitor
method=basic
name=monitor
"""


class Router(NamedTuple):
    """``status`` is the URL of its HTTP interface, with the account."""

    functions: Dsn
    status: str


def start(folder: Path, target: Target) -> Router:
    """Starts a Router in front of ``target``; returns when a function can connect through it.

    ``folder`` is the project's own. Raises :class:`ServerUnavailable`. The caller has to take down whatever
    was started by then.
    """
    if target.flavour != flavour.MYSQL:
        raise ServerUnavailable(f"MySQL Router does not work with {target.flavour}: take MySQL, or {INSTEAD}")
    engine = compose.engine()
    if not engine.shares_network:
        raise ServerUnavailable(f"Docker does not share this machine's network here, so {INSTEAD}")
    image = os.environ.get(IMAGE_VARIABLE) or IMAGE
    compose.new_project(folder, engine, SERVICE, image, f"{IMAGE_VARIABLE}, or {INSTEAD}")
    chosen, password = ports.free(), secrets.token_hex(16)
    if certificate.make(folder) is None:
        raise ServerUnavailable(f"MySQL Router needs a certificate: install openssl, or {INSTEAD}")
    (folder / "passwords").write_text(f"{USER}:{_hashed(password)}\n", "utf-8")
    server = target.functions
    host = f"[{server.host}]" if ":" in server.host else server.host
    (folder / "router.conf").write_text(
        CONFIGURATION.format(
            clients=CLIENTS_AT_MOST, port=chosen.functions, server=f"{host}:{server.port}", inside=INSIDE,
            idle=target.functions_max_connections, status_port=chosen.admin,
        ),
        "utf-8",
    )  # fmt: skip
    values = {
        "LOADTEST_ROUTER": str(folder), "LOADTEST_OWNER": f"{os.getuid()}:{os.getgid()}",
        IMAGE_VARIABLE: image,
    }  # fmt: skip
    compose.up(folder, SERVICE, values)
    functions = Dsn("127.0.0.1", chosen.functions, server.user, server.password, server.database)
    _wait(folder, functions)
    return Router(functions, f"http://{USER}:{quote(password)}@127.0.0.1:{chosen.admin}")


def _wait(folder: Path, functions: Dsn) -> None:
    until_s = time.monotonic() + START_S
    while True:
        try:
            connections.connect_with_tls(functions, timeout_s=2.0).close()
            return
        except (pymysql.Error, OSError) as error:
            problem = compose.trouble(folder)
            if problem or time.monotonic() > until_s:
                said = problem or f"no answer in {START_S:g} s, last: {connections.short(error)}"
                raise ServerUnavailable(f"MySQL Router did not start: {said}") from None
        time.sleep(0.1)


def _hashed(password: str) -> str:
    """``password`` as `mysqlrouter_passwd --kdf pbkdf2-sha256` writes it."""
    salt = secrets.token_bytes(16)
    made = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, KDF_ROUNDS)
    return f"$pbkdf2-sha256${KDF_ROUNDS}${_base64(salt)}${_base64(made)}"


def _base64(value: bytes) -> str:
    return base64.b64encode(value, b"./").decode().rstrip("=")
