"""The audit after a repetition: whether each acknowledged write is there, exactly once."""

from loadtest.dsn import Dsn
from loadtest.results.parquet import read_rows
from loadtest.results.run_folder import Repetition
from loadtest.server.connections import session


def audit(admin: Dsn, repetition: Repetition) -> dict[str, int]:
    """Compares the answered invocations with the ledger's rows.

    Acknowledged: answered without an error. Lost: acknowledged but missing. Doubled: there more than once,
    acknowledged or not. Raises :class:`~loadtest.errors.ServerUnavailable`.
    """
    rows = read_rows(repetition, "invocations")[0].select(["client", "arrival", "error"])
    columns = (column.to_pylist() for column in rows.columns)
    acknowledged = {
        f"{client}/{arrival}" for client, arrival, error in zip(*columns, strict=True) if not error
    }
    with session(admin) as cursor:
        cursor.execute("SELECT invocation, COUNT(*) FROM loadtest_ledger GROUP BY invocation")
        written = {str(name): int(count) for name, count in cursor.fetchall()}
    return {
        "acknowledged_count": len(acknowledged),
        "lost_count": len(acknowledged - written.keys()),
        "doubled_count": sum(count > 1 for count in written.values()),
    }
