"""Writes rows while they happen, without stalling the loop.

A row is packed into a buffer of machine numbers. About once a second, :meth:`Recorder.flush` hands the
buffers to a native thread, which encodes them and writes complete files.
"""

from collections.abc import Callable
from struct import Struct
from typing import Any, get_type_hints

from loadtest.results.parquet import arrow_schema, merge_parts, write_parquet
from loadtest.results.rows import ROW_TYPES
from loadtest.results.run_folder import Repetition

FORMATS = {int: "q", float: "d", bool: "?", str: "q"}


class Rows:
    """Rows of one kind, packed; text is stored as an index into the texts seen so far.

    ``kind`` is a name in :data:`ROW_TYPES`, such as "invocations".
    """

    def __init__(self, kind: str) -> None:
        hints = get_type_hints(ROW_TYPES[kind])
        types = [hints[name] for name in ROW_TYPES[kind]._fields]  # type: ignore[attr-defined]
        self.kind = kind
        self._struct = Struct("=" + "".join(FORMATS[t] for t in types))
        self._text_indices = [i for i, t in enumerate(types) if t is str]
        self._codes: dict[str, int] = {}
        self._buffer = bytearray()

    def __len__(self) -> int:
        return len(self._buffer) // self._struct.size

    def append(self, row: tuple[Any, ...]) -> None:
        """``row`` is one of the kind's row type, as a tuple of its fields."""
        values: list[Any] = list(row)
        codes = self._codes
        for i in self._text_indices:
            values[i] = codes.setdefault(values[i], len(codes))
        self._buffer += self._struct.pack(*values)

    def take(self) -> tuple[bytearray, list[str]]:
        """The rows since the last call, packed, and the texts that their indices refer to."""
        taken, self._buffer = self._buffer, bytearray()
        return taken, list(self._codes)


class Recorder:
    """All row kinds of one worker in one repetition.

    ``run_elsewhere(function)`` runs a function off the loop and returns when it is done.
    """

    def __init__(
        self, repetition: Repetition, worker: int, run_elsewhere: Callable[[Callable[[], None]], None]
    ) -> None:
        self._repetition = repetition
        self._worker = worker
        self._run_elsewhere = run_elsewhere
        self._part = 0
        self._rows = {kind: Rows(kind) for kind in ROW_TYPES}
        self.invocation = self._rows["invocations"].append
        self.attempt = self._rows["attempts"].append
        self.start = self._rows["starts"].append
        self.connection = self._rows["connections"].append
        self.kill = self._rows["kills"].append
        self.pin = self._rows["pins"].append
        self.lag = self._rows["lags"].append
        self._warm_up()

    def _warm_up(self) -> None:
        """Creates a table now, since the first one takes some imports."""
        for rows in self._rows.values():
            _arrow_table(rows.kind, *rows.take())

    def flush(self) -> None:
        """Writes the rows that have come. Raises :class:`~loadtest.errors.ResultsError`."""
        self._part += 1
        part = self._part
        taken = [(rows.kind, *rows.take()) for rows in self._rows.values() if len(rows)]
        if taken:
            self._run_elsewhere(lambda: self._write(taken, part))

    def _write(self, taken: list[tuple[str, bytearray, list[str]]], part: int) -> None:
        for kind, packed, texts in taken:
            write_parquet(
                self._repetition.part_file(kind, self._worker, part), _arrow_table(kind, packed, texts)
            )

    def close(self) -> None:
        """Writes the last rows, and merges the parts of each kind into one file."""
        self.flush()
        self._run_elsewhere(self._merge)

    def _merge(self) -> None:
        for kind in ROW_TYPES:
            merge_parts(self._repetition, kind, self._worker)


def _arrow_table(kind: str, packed: bytearray, texts: list[str]) -> Any:
    """Packed rows as a pyarrow table; NaN becomes null.

    Made of buffers: ``pa.array`` imports pandas whatever it is given, 0.6 s of CPU in each generator (``time
    python -c 'import pandas'``).
    """
    import numpy as np
    import pyarrow as pa

    schema, columns = arrow_schema(kind), []
    numpy_types = {"string": "i8", "int64": "i8", "double": "f8", "bool": "?"}
    rows = np.frombuffer(packed, dtype=[(field.name, numpy_types[str(field.type)]) for field in schema])
    known = _text_array(texts)
    for field in schema:
        values, valid = np.ascontiguousarray(rows[field.name]), None
        if pa.types.is_string(field.type):
            codes = pa.Array.from_buffers(pa.int64(), len(rows), [None, pa.py_buffer(values)])
            columns.append(known.take(codes))
            continue
        if pa.types.is_floating(field.type):
            valid = pa.py_buffer(np.packbits(~np.isnan(values), bitorder="little"))
        elif pa.types.is_boolean(field.type):
            values = np.packbits(values, bitorder="little")
        columns.append(pa.Array.from_buffers(field.type, len(rows), [valid, pa.py_buffer(values)]))
    return pa.Table.from_arrays(columns, schema=schema)


def _text_array(texts: list[str]) -> Any:
    import numpy as np
    import pyarrow as pa

    encoded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(texts), buffers)
