"""The audit after a repetition: whether each acknowledged write is there, exactly once."""

from collections import Counter
from collections.abc import Sequence

from loadtest.dsn import Dsn
from loadtest.results.parquet import read_rows
from loadtest.results.run_folder import Repetition
from loadtest.server.connections import session


def audit(admins: Sequence[Dsn], repetition: Repetition) -> dict[str, int]:
    """Compares the answered invocations with the ledger's rows, of all servers on which there may be some.

    ``admins`` are the harness's accounts there.

    Acknowledged: answered without an error. Lost: acknowledged but missing. Doubled: there more than once,
    acknowledged or not. Raises :class:`~loadtest.errors.ServerUnavailable`.
    """
    rows = read_rows(repetition, "invocations")[0].select(["client", "arrival", "error"])
    columns = (column.to_pylist() for column in rows.columns)
    acknowledged = {
        f"{client}/{arrival}" for client, arrival, error in zip(*columns, strict=True) if not error
    }
    written: Counter[str] = Counter()
    for admin in admins:
        with session(admin) as cursor:
            cursor.execute("SELECT invocation, COUNT(*) FROM loadtest_ledger GROUP BY invocation")
            written.update({str(name): int(count) for name, count in cursor.fetchall()})
    return {
        "acknowledged_count": len(acknowledged),
        "lost_count": len(acknowledged - written.keys()),
        "doubled_count": sum(count > 1 for count in written.values()),
    }
