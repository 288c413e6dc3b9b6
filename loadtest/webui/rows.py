"""``python -m loadtest.webui.rows RUN_FOLDER FILE``: all invocations of a run as one CSV or Parquet file."""

import sys
from pathlib import Path

from loadtest.errors import LoadtestError
from loadtest.results.files import write_text
from loadtest.results.parquet import read_rows, write_parquet
from loadtest.results.run_folder import RunFolder


def main(folder: str, file: str) -> int:
    """Writes the invocations of the run in ``folder`` to ``file``: Parquet if its name says so, else CSV.

    Raises :class:`UsageError` and :class:`ResultsError`. Returns the exit code.
    """
    import pyarrow as pa
    import pyarrow.csv

    run, path = RunFolder.open(Path(folder)), Path(file)
    repetitions = [repetition for arm in run.arms() for repetition in run.repetitions(arm)]
    table = pa.concat_tables([read_rows(repetition, "invocations")[0] for repetition in repetitions])
    if path.suffix == ".parquet":
        write_parquet(path, table)
        return 0
    buffer = pa.BufferOutputStream()
    pyarrow.csv.write_csv(table, buffer)
    write_text(path, buffer.getvalue().to_pybytes().decode())
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except LoadtestError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
