"""Reads the rows of a repetition from its folder, and checks them.

What is missing or broken becomes a warning, and the rest is used, so a run that was killed at any moment
still has a report. Impossible rows are left out and counted.
"""

import csv
from math import isnan
from typing import Any, get_type_hints

import numpy as np
import pandas as pd

from loadtest.errors import UsageError
from loadtest.report.frames import Bools, Frames
from loadtest.results.parquet import read_rows
from loadtest.results.rows import LATER, MAY_BE_UNKNOWN, ROW_TYPES, GeneratorSecond, Sample
from loadtest.results.run_folder import Repetition

CLOCK_NOISE_S = 1e-6  # rounding errors of differences; no clock goes back by this much
EARLY_S = 0.01  # a timer may fire a little early; no answer comes earlier than that

# A negative duration means that a clock or a writer was wrong. `manage_s` is not listed: it is a difference
# of measured and nominal times, and may be slightly negative.
NOT_NEGATIVE = {"invocations": ("cold_start_s", "connect_s", "query_s")}
SPANS = {
    "invocations": (("started_s", "finished_s"),),
    "attempts": (("started_s", "finished_s"),),
    "connections": (("opened_s", "closed_s"), ("opened_s", "reaped_s"), ("opened_s", "gone_s")),
    "lags": (("started_s", "finished_s"),),
}


def read_repetition(repetition: Repetition) -> Frames:
    """All tables of one repetition. Broken files become warnings, never errors."""
    warnings: list[str] = []
    unknown: set[str] = set()
    tables = {kind: _rows(repetition, kind, warnings, unknown) for kind in ROW_TYPES}
    if tables["invocations"].empty:  # otherwise a missing file means that there was nothing to write
        unknown |= {
            kind for kind in ("attempts", "kills", "lags", "pins", "starts") if not repetition.row_files(kind)
        }
    return Frames(
        **tables,
        samples=_csv(repetition, "samples", Sample, warnings, unknown),
        generator=_csv(repetition, "generator", GeneratorSecond, warnings, unknown),
        meta=_meta(repetition, warnings),
        warnings=[f"{repetition.arm}/{repetition.number}: {text}" for text in warnings],
        unknown=frozenset(unknown),
    )


def _meta(repetition: Repetition, warnings: list[str]) -> dict[str, Any]:
    try:
        meta = repetition.read_meta()
    except UsageError as error:
        warnings.append(str(error))
        return {}
    if not meta:
        warnings.append("its start and end are unknown: it has no repetition.json")
    return meta


def _rows(repetition: Repetition, kind: str, warnings: list[str], unknown: set[str]) -> pd.DataFrame:
    files = repetition.row_files(kind)
    prefix = f"{repetition.arm}/{repetition.number}: "
    try:
        table, problems = read_rows(repetition, kind)
        frame: pd.DataFrame = table.to_pandas(strings_to_categorical=True)
    except (ValueError, OSError, NotImplementedError) as error:  # ValueError: Arrow's errors, and bad UTF-8
        table, frame = None, _empty(ROW_TYPES[kind])
        problems = [f"{kind} left out: {(str(error).splitlines() or [type(error).__name__])[0]}"]
    warnings += [problem.removeprefix(prefix) for problem in problems]
    if table is None or (files and len(problems) >= len(files)):
        unknown.add(kind)
    elif not files and kind in ("invocations", "connections"):
        warnings.append(f"no {kind} were recorded")
        if kind == "connections":  # no invocation is answered without one
            unknown.add(kind)
    return _checked(kind, frame, warnings)


def _checked(kind: str, frame: pd.DataFrame, warnings: list[str]) -> pd.DataFrame:
    """Drops impossible rows, and gives the columns their plain types."""
    row_type = ROW_TYPES[kind]
    hints = get_type_hints(row_type)
    wrong = np.zeros(len(frame), dtype=np.bool_)
    for name in row_type._fields:  # type: ignore[attr-defined]
        if not _may_be_unknown(row_type, name):
            wrong |= frame[name].isna().to_numpy()
        if hints[name] is float:
            wrong |= np.isinf(frame[name].to_numpy(dtype=np.float64))
    for name in NOT_NEGATIVE.get(kind, ()):
        wrong |= (frame[name] < 0).to_numpy()
    for begin, end in SPANS.get(kind, ()):
        wrong |= (frame[end] < frame[begin] - CLOCK_NOISE_S).to_numpy()
    if kind == "invocations":
        wrong |= _answered_at_no_time(frame)
        wrong |= (frame["query_s"].isna() != frame["manage_s"].isna()).to_numpy()
        wrong |= (frame["connect_s"].isna() & frame["query_s"].notna()).to_numpy()
    if wrong.any():
        warnings.append(
            f"{int(wrong.sum())} of {len(frame)} rows of {kind} left out: a time that is missing or "
            "not finite, a negative duration, or an empty field"
        )
        frame = frame[~wrong].reset_index(drop=True)
    return frame.astype({name: t for name, t in hints.items() if t in (int, float, bool)})


def _answered_at_no_time(frame: pd.DataFrame) -> Bools:
    answered = (frame["error"] == "").to_numpy(dtype=np.bool_)
    no_times = frame[["started_s", "finished_s"]].isna().any(axis=1).to_numpy()
    too_early = (frame["finished_s"] < frame["due_s"] - EARLY_S).to_numpy()
    wrong: Bools = (answered & no_times) | too_early
    return wrong


def _may_be_unknown(row_type: Any, name: str) -> bool:
    default = row_type._field_defaults.get(name, 0)
    return name in MAY_BE_UNKNOWN or default is None or (isinstance(default, float) and isnan(default))


def _csv(
    repetition: Repetition, name: str, row_type: Any, warnings: list[str], unknown: set[str]
) -> pd.DataFrame:
    try:
        rows = repetition.csv_rows(getattr(repetition, name))
    except (OSError, ValueError, csv.Error) as error:
        warnings.append(f"{name}.csv left out: {error}")
        rows = []
    else:
        if not rows:
            warnings.append(f"{name}.csv is missing or empty")
    missing = set(row_type._fields) - set(rows[0] if rows else row_type._fields) - set(LATER)
    if missing:
        warnings.append(f"{name}.csv left out: it has no column {', '.join(sorted(missing))}")
        rows = []
    if not rows:
        unknown.add(name)
        return _empty(row_type)
    return _numbers(name, rows, row_type, warnings)


def _numbers(name: str, rows: list[dict[str, str]], row_type: Any, warnings: list[str]) -> pd.DataFrame:
    """CSV fields as floats (NaN for an empty one), but ``error`` as text."""
    wrong = np.array([None in row or None in row.values() for row in rows], dtype=np.bool_)
    columns: dict[str, Any] = {}
    for field in row_type._fields:
        text = pd.Series([row.get(field) or "" for row in rows], dtype=object)
        if field == "error":
            columns[field] = text
            continue
        values = pd.to_numeric(text, errors="coerce").to_numpy(dtype=np.float64)
        empty = (text == "").to_numpy(dtype=np.bool_)
        wrong |= ~np.isfinite(values) & ~(empty & _may_be_unknown(row_type, field))
        wrong |= (values < 0) & (field != "at_s")
        columns[field] = values
    frame = pd.DataFrame(columns)
    if wrong.any():
        warnings.append(f"{int(wrong.sum())} of {len(frame)} rows of {name}.csv left out: not all numbers")
    return frame[~wrong].reset_index(drop=True)


def _empty(row_type: Any) -> pd.DataFrame:
    plain = {int: "int64", float: "float64", bool: "bool", str: "object"}
    hints = get_type_hints(row_type)
    return pd.DataFrame(
        {name: pd.Series(dtype=plain.get(hints[name], "float64")) for name in row_type._fields}
    )
