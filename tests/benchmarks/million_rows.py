"""Makes a run of FOLDER SEED ROWS: five arms of five repetitions of ROWS invocations."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from loadtest.results import csv_rows, parquet, run_folder
from loadtest.results.rows import GeneratorSecond, Sample

ARMS = ["direct", "cached", "classic", "managed", "ideal"]
REPETITIONS = 5


def column(name, kind, count, rng, arm):
    """Draws that look like a burst's; times over 30 s from the tenth second on."""
    due = np.sort(rng.uniform(10, 40, count))
    drawn = {
        "due_s": due, "started_s": due, "finished_s": due + rng.lognormal(-3.7, 0.3, count),
        "opened_s": due, "closed_s": due + 1, "gone_s": due + 1.1,
        "reaped_s": np.where(rng.random(count) < 0.2, due + 0.5, np.nan),
        "connect_s": rng.exponential(0.001, count), "query_s": rng.exponential(0.002, count),
        "container": rng.integers(0, 200, count), "server_id": np.arange(count),
        "client": np.arange(count) % 500, "cold": rng.random(count) < 0.01,
        "error": np.where(rng.random(count) < 0.02, "1040 ER_CON_COUNT_ERROR", ""),
        "part": np.full(count, arm), "fate": np.full(count, "closed"),
    }  # fmt: skip
    return pa.array(drawn.get(name, np.zeros(count)), from_pandas=True).cast(kind)


def write(repetition, arm, rng, rows_count):
    for kind, count in (
        ("invocations", rows_count),
        ("connections", rows_count // 20),
        ("kills", 0),
        ("lags", 0),
    ):
        schema = parquet.arrow_schema(kind)
        state = rng.bit_generator.state
        columns = []
        for part in schema:
            rng.bit_generator.state = state  # the same draws for each column, so that times belong together
            columns.append(column(part.name, part.type, count, rng, arm))
        parquet.write_parquet(repetition.whole_file(kind, 0), pa.table(columns, schema=schema))
    samples = csv_rows.CsvAppender(repetition.samples, Sample)
    for at in np.arange(10, 40, 0.2):
        samples.append(Sample(float(at), int(rng.integers(20, 90)), 4, 16, 1.0, int(at), 0, 100, 90))
    samples.close()
    generator = csv_rows.CsvAppender(repetition.generator, GeneratorSecond)
    for at in range(11, 41):
        generator.append(GeneratorSecond(float(at), 0, 1.0, 1.0, 0.3, 0.5))
    generator.close()
    repetition.write_meta(start_s=10.0, deadline_s=40.0, ended_s=41.0, cut_off=False)


def main(path, seed, rows_count):
    rng = np.random.default_rng(seed)
    folder = run_folder.RunFolder.create(Path(path))
    folder.write_run(
        {
            "settings": {"scenario": "burst", "slo_ms": 1000.0, "warmup_s": 0.0, "strategies": ARMS},
            "server": {"version": "9.7.0", "max_connections": 90, "path": "host"},
            "environment": {"cpus_count": 2},
            "t0": 1_700_000_000.0,
            "warnings": [],
        }
    )
    for _ in range(REPETITIONS):
        for arm in ARMS:
            write(folder.next_repetition(arm).create(), arm, rng, rows_count)


main(sys.argv[1], *map(int, sys.argv[2:]))
