"""A run folder of a handful of rows, and tables with the columns of the row types."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from loadtest.report.frames import Frames
from loadtest.results import csv_rows, parquet, run_folder
from loadtest.results.rows import ROW_TYPES, GeneratorSecond, Sample


def frame_of(row_type: Any, rows: Iterable[Any]) -> pd.DataFrame:
    return pd.DataFrame(list(rows), columns=list(row_type._fields))


def frames_of(meta: dict[str, Any], **rows: Iterable[Any]) -> Frames:
    types = {**ROW_TYPES, "samples": Sample, "generator": GeneratorSecond}
    tables = {kind: frame_of(row_type, rows.get(kind, ())) for kind, row_type in types.items()}
    numeric = {name: tables[name].columns.difference(["error"]) for name in ("samples", "generator")}
    for name, columns in numeric.items():
        tables[name] = tables[name].astype(dict.fromkeys(columns, "float64"))
    for kind in ("connections", "lags", "kills", "invocations"):
        floats = [n for n, t in ROW_TYPES[kind].__annotations__.items() if t is float]
        ints = [n for n, t in ROW_TYPES[kind].__annotations__.items() if t is int]
        tables[kind] = tables[kind].astype(dict.fromkeys(floats, "float64") | dict.fromkeys(ints, "int64"))
    return Frames(**tables, meta=meta)


def table_of(kind: str, rows: Iterable[Any]) -> pa.Table:
    schema = parquet.arrow_schema(kind)
    columns = list(zip(*rows, strict=True)) or [()] * len(schema.names)
    return pa.table(
        {f.name: pa.array(c, type=f.type, from_pandas=True) for f, c in zip(schema, columns, strict=True)}
    )


def generator_second(at_s: float, worker: int = 0, **values: Any) -> GeneratorSecond:
    defaults = GeneratorSecond._field_defaults
    plain = {name: 0 for name in GeneratorSecond._fields[2:] if defaults.get(name, 0) is not None}
    return GeneratorSecond(at_s, worker, **{**plain, "cpu_ratio": 0.5, **values})


PRICES = {
    "functions": {"million_requests": 0.2, "gb_second": 0.00002},
    "database_hour": {"aurora.t4g.medium": 0.1},
    "proxy_hour": {"vcpu": 0.015, "least_vcpus": 2, "acu": 0.015, "least_acus": 8},
}


class Writer:
    """Makes a run folder, repetition by repetition."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.folder = run_folder.RunFolder.create(path)
        self.folder.write_run(
            {
                "settings": {"scenario": "tiny", "slo_ms": 1000.0, "warmup_s": 0.0, **settings},
                "server": {"version": "9.7.0", "max_connections": 90, "path": "host"},
                "environment": {"cpus_count": 2},
                "prices": PRICES,
                "t0": 1_700_000_000.0,
                "warnings": [],
            }
        )

    def repetition(
        self,
        arm: str,
        meta: dict[str, Any] | None = None,
        samples: Iterable[Sample] = (),
        generator: Iterable[GeneratorSecond] = (),
        **rows: list[Any],
    ) -> run_folder.Repetition:
        repetition = self.folder.next_repetition(arm).create()
        for kind in ROW_TYPES:
            if kind not in rows:
                rows[kind] = []
            for worker in {row.worker for row in rows[kind]} or {0}:
                own = [row for row in rows[kind] if row.worker == worker]
                parquet.write_parquet(repetition.whole_file(kind, worker), table_of(kind, own))
        for path, row_type, lines in (
            (repetition.samples, Sample, samples),
            (repetition.generator, GeneratorSecond, generator),
        ):
            appender = csv_rows.CsvAppender(path, row_type)
            for line in lines:
                appender.append(line)
            appender.close()
        repetition.write_meta(
            **(meta or {"start_s": 10.0, "deadline_s": 20.0, "ended_s": 21.0, "cut_off": False})
        )
        return repetition


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return Writer(tmp_path / "run")
