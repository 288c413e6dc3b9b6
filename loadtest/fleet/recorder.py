"""Rows while they happen, without stalling the loop.

A row is appended to columns of machine numbers. About once a second :meth:`Recorder.flush` hands
the columns to a writer, which encodes them elsewhere (a native thread) and puts them on disk whole.
"""

from array import array
from collections.abc import Callable
from typing import Any, get_type_hints

from loadtest.records import ROW_TYPES
from loadtest.store import Repetition, arrow_schema, merge_parts, write_parquet

TYPECODES = {int: "q", float: "d", bool: "b"}


class Columns:
    """Rows of one kind as columns; text is kept as codes into a list of the texts seen."""

    def __init__(self, kind: str) -> None:
        hints = get_type_hints(ROW_TYPES[kind])
        self.kind = kind
        self._types: list[type] = [hints[name] for name in ROW_TYPES[kind]._fields]  # type: ignore[attr-defined]
        self._codes: dict[str, int] = {}
        self._start()

    def _start(self) -> None:
        self._arrays = [array(TYPECODES.get(t, "l")) for t in self._types]
        self._adders: list[Callable[[Any], None]] = [
            self._text_adder(a) if t is str else a.append
            for t, a in zip(self._types, self._arrays, strict=True)
        ]

    def _text_adder(self, column: "array[int]") -> Callable[[str], None]:
        codes, add = self._codes, column.append

        def append(text: str) -> None:
            code = codes.get(text)
            if code is None:
                code = codes[text] = len(codes)
            add(code)

        return append

    def __len__(self) -> int:
        return len(self._arrays[0])

    def append(self, row: tuple[Any, ...]) -> None:
        for add, value in zip(self._adders, row, strict=True):
            add(value)

    def take(self) -> tuple[list["array[Any]"], list[str]]:
        """What has come since the last time, and the texts that its codes mean."""
        taken = self._arrays
        self._start()
        return taken, list(self._codes)


class Recorder:
    """All row kinds of one worker in one repetition.

    ``run_elsewhere(function)`` runs an encoding off the loop and returns when it is done.
    """

    def __init__(
        self, repetition: Repetition, worker: int, run_elsewhere: Callable[[Callable[[], None]], None]
    ) -> None:
        self._repetition = repetition
        self._worker = worker
        self._run_elsewhere = run_elsewhere
        self._part = 0
        self._columns = {kind: Columns(kind) for kind in ROW_TYPES}
        self.invocation = self._columns["invocations"].append
        self.connection = self._columns["connections"].append
        self.kill = self._columns["kills"].append
        self.lag = self._columns["lags"].append
        self._warm_up()

    def _warm_up(self) -> None:
        """The first arrow array costs 0.6 s of imports: now, not while the load runs."""
        for columns in self._columns.values():
            arrow_table(columns.kind, *columns.take())

    def flush(self) -> None:
        """Puts on disk what has come. Raises :class:`~loadtest.errors.ResultsError`."""
        self._part += 1
        part = self._part
        taken = [(c.kind, *c.take()) for c in self._columns.values() if len(c)]
        if taken:
            self._run_elsewhere(lambda: self._write(taken, part))

    def _write(self, taken: list[tuple[str, list["array[Any]"], list[str]]], part: int) -> None:
        for kind, arrays, texts in taken:
            write_parquet(
                self._repetition.part_file(kind, self._worker, part), arrow_table(kind, arrays, texts)
            )

    def close(self) -> None:
        """The last rows, and one file of each kind in place of the parts."""
        self.flush()
        self._run_elsewhere(self._merge)

    def _merge(self) -> None:
        for kind in ROW_TYPES:
            merge_parts(self._repetition, kind, self._worker)


def arrow_table(kind: str, arrays: list["array[Any]"], texts: list[str]) -> Any:
    """Columns as a pyarrow table; NaN becomes null."""
    import numpy as np
    import pyarrow as pa

    schema, columns = arrow_schema(kind), []
    for field, values in zip(schema, arrays, strict=True):
        numbers = (
            np.frombuffer(values, dtype=values.typecode) if len(values) else np.empty(0, values.typecode)
        )
        if pa.types.is_string(field.type):
            codes = pa.array(numbers.astype("int32"))
            columns.append(
                pa.DictionaryArray.from_arrays(codes, pa.array(texts, pa.string())).cast(pa.string())
            )
        else:
            columns.append(pa.array(numbers, from_pandas=True).cast(field.type))
    return pa.Table.from_arrays(columns, schema=schema)
