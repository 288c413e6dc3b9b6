"""Whatever a fault has changed is put back, also on a server that another fault has left in trouble."""

import time
from collections.abc import Callable

import pymysql

from loadtest.errors import ServerUnavailable
from loadtest.server import connections

BACK_S = 60.0
LOOK_S = 0.02


def put_back(step: Callable[[], None], what: str, by_hand: str) -> None:
    """Repeats ``step`` until it succeeds, for a minute at most.

    Args:
        step: puts it back; raises PyMySQL's errors, or one of ours, where it cannot.
        what: is put back, in words.
        by_hand: what a person has to do if that never succeeds.

    Raises:
        ServerUnavailable: it did not succeed.
    """
    until_s = time.monotonic() + BACK_S
    while True:
        try:
            step()
            return
        except (ServerUnavailable, pymysql.Error, OSError, RuntimeError) as error:
            if time.monotonic() > until_s:
                raise ServerUnavailable(
                    f"{what} could not be put back ({connections.short(error)}): {by_hand}"
                ) from None
        time.sleep(LOOK_S)
