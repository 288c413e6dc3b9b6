"""Rows as Parquet files. pyarrow is imported late, since most commands do not need it."""

from array import array
from pathlib import Path
from typing import Any, get_type_hints

from loadtest.results.files import writing
from loadtest.results.rows import ROW_TYPES
from loadtest.results.run_folder import Repetition


def arrow_schema(kind: str) -> Any:
    """The pyarrow schema of a row type; ``kind`` is its name in :data:`ROW_TYPES`, such as "invocations"."""
    import pyarrow as pa

    types = {int: pa.int64(), float: pa.float64(), bool: pa.bool_(), str: pa.string()}
    hints = get_type_hints(ROW_TYPES[kind])
    return pa.schema([(name, types[hints[name]]) for name in ROW_TYPES[kind]._fields])  # type: ignore[attr-defined]


def write_parquet(path: Path, table: Any) -> None:
    """Writes a pyarrow ``table`` atomically; its folder is made if needed. Raises :class:`ResultsError`."""
    import pyarrow.parquet as pq

    temporary = path.with_name(f".{path.name}.tmp")
    with writing(path, temporary):
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, temporary, compression="zstd")
        temporary.replace(path)


def read_rows(repetition: Repetition, kind: str) -> tuple[Any, list[str]]:
    """All rows of one kind as a pyarrow table with the current columns, and warnings."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema, tables, warnings = arrow_schema(kind), [], []
    for file in repetition.row_files(kind):
        try:
            table = pq.read_table(file)
            tables.append(table.select(schema.names).cast(schema))
        except (OSError, KeyError, pa.ArrowException) as error:
            reason = str(error).splitlines()[0]
            warnings.append(f"{repetition.arm}/{repetition.number}: {kind}/{file.name} left out: {reason}")
    return _newest(kind, pa.concat_tables(tables) if tables else schema.empty_table()), warnings


def _newest(kind: str, table: Any) -> Any:
    """Only the newest row of each connection, whose row is written again whenever it changes."""
    import pyarrow as pa

    if kind != "connections" or len(table) == 0:
        return table
    columns = [table.column(name).to_pylist() for name in ("worker", "server_id", "opened_s")]
    newest = {key: row for row, key in enumerate(zip(*columns, strict=True))}
    if len(newest) == len(table):
        return table
    rows = array("q", sorted(newest.values()))
    return table.take(pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(rows)]))


def merge_parts(repetition: Repetition, kind: str, worker: int) -> None:
    """Merges a worker's parts into one file. If it is interrupted at any point, the same rows are read.

    ``kind`` is a name in :data:`ROW_TYPES`. Raises :class:`ResultsError`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    parts = sorted((repetition.path / kind).glob(f"{worker:03d}-*.parquet"))
    tables = [pq.ParquetFile(part).read() for part in parts]  # read_table would import pandas
    merged = pa.concat_tables(tables) if tables else pa.Table.from_batches([], arrow_schema(kind))
    write_parquet(repetition.whole_file(kind, worker), _newest(kind, merged))
    for part in parts:
        part.unlink()
