"""Whether an idle connection is still alive, judged by its socket alone."""

import _socket
import socket
from typing import Any


def is_readable(sock: Any) -> bool:
    """Whether there is anything to read on ``sock``, be it its end; True for a closed or missing socket.

    Takes about 5 µs. ``select`` would fail from descriptor 1024 on. gevent's sockets wrap one that never
    blocks, and a TLS socket's own ``recv`` takes no flags, so the plain socket's method is called.
    """
    if sock is None or sock.fileno() < 0:
        return True
    inner = getattr(sock, "_sock", sock)
    timeout = sock.gettimeout()
    try:
        if inner is sock:
            sock.settimeout(0.0)
        _socket.socket.recv(inner, 1, socket.MSG_PEEK)
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        return True
    finally:
        if inner is sock:
            sock.settimeout(timeout)
    return True
