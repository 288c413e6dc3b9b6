"""Addresses are answered on the spot, names by another thread: in a process that gevent has patched."""

import subprocess
import sys

SCRIPT = """
from gevent import monkey; monkey.patch_all()
import gevent, socket
from loadtest.fleet import resolver
resolver.install()
hub = gevent.get_hub()
assert socket.getaddrinfo("127.0.0.1", 3306, 0, socket.SOCK_STREAM)[0][4] == ("127.0.0.1", 3306)
assert hub.threadpool.size == 0
assert "127.0.0.1" in {found[4][0] for found in socket.getaddrinfo("localhost", 3306, socket.AF_INET)}
assert hub.threadpool.size > 0
try:
    socket.getaddrinfo("no.such.host.invalid", 3306)
except socket.gaierror:
    print("told apart")
resolver.forget("127.0.0.1", is_nameless=True)
try:
    socket.create_connection(("127.0.0.1", 3306))
except socket.gaierror as error:
    assert error.errno == socket.EAI_AGAIN
    print("nameless")
assert socket.getaddrinfo("127.0.0.2", 3306)
resolver.forget("127.0.0.1", is_nameless=False)
assert socket.getaddrinfo("127.0.0.1", 3306)
"""


def test_an_address_needs_no_thread_a_name_is_still_looked_up_and_one_host_can_be_forgotten():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert done.stdout == "told apart\nnameless\n", done.stderr
