"""The audit after a repetition of the workload ``ledger``: what became of each write.

Runs as ``python -m loadtest.server.ledger REPETITION`` after a test of plain Locust, in a process that
gevent has not patched, and prints the counts as JSON.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Sequence

from loadtest.dsn import Dsn
from loadtest.errors import LoadtestError
from loadtest.results.parquet import read_rows
from loadtest.results.run_folder import Repetition
from loadtest.server.connections import session

# Errors after which nothing can have been written: the server said so, or there was no connection.
NO_CONNECTION = frozenset({2002, 2003, 2005})
# Errors of the server that leave open what became of the statement, or of the COMMIT.
UNCLEAR = frozenset({1053, 1152, 1158, 1159, 1160, 1161, 1317, 1927, 3024})


def audit(admins: Sequence[Dsn], repetition: Repetition) -> dict[str, int]:
    """Compares what the callers of all arrivals of ``repetition`` were told with the ledger's rows.

    Acknowledged: answered without an error, at least once; lost: of those, the ones that are not there.
    Doubled: there more than once, whatever its caller was told. Unknown: its caller could not know, and so
    nobody may complain; unknown and written: of those, the ones that are there. Unexpected: it failed for
    certain, and is there.

    ``admins`` are accounts that may read the ledger, of each server on which there may be rows. Raises
    :class:`~loadtest.errors.ServerUnavailable`.
    """
    acknowledged: set[str] = set()
    failed: set[str] = set()
    unknown: set[str] = set()
    # An event that a queue delivers again may have been written by an earlier attempt.
    for kind in ("invocations", "attempts"):
        rows = read_rows(repetition, kind)[0].select(["client", "arrival", "error"])
        for client, arrival, error in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            told = acknowledged if not error else failed if is_certain(error) else unknown
            told.add(f"{client}/{arrival}")
    unknown -= acknowledged
    failed -= acknowledged | unknown
    written: Counter[str] = Counter()
    for admin in admins:
        with session(admin) as cursor:
            cursor.execute("SELECT invocation, COUNT(*) FROM loadtest_ledger GROUP BY invocation")
            written.update({str(name): int(count) for name, count in cursor.fetchall()})
    return {
        "acknowledged_count": len(acknowledged),
        "lost_count": len(acknowledged - written.keys()),
        "doubled_count": sum(count > 1 for count in written.values()),
        "unknown_count": len(unknown),
        "unknown_written_count": len(unknown & written.keys()),
        "unexpected_count": len(failed & written.keys()),
    }


def is_certain(error: str) -> bool:
    """Whether a transaction that ended with ``error``, as a row has it, cannot have taken effect."""
    number = error.split(" ")[0]
    if not number.isdecimal():
        return error == "throttled"
    code = int(number)
    return code in NO_CONNECTION or (not 2000 <= code < 3000 and code not in UNCLEAR)


def main() -> int:
    try:
        given = os.environ.get("LOADTEST_ADMIN_DSN") or os.environ["LOADTEST_DSN"]
        counts = audit([Dsn.parse(given)], Repetition.at(sys.argv[1]))
    except LoadtestError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(counts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
