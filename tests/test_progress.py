"""What is said while a run goes on."""

import json

import pytest

from loadtest.bench.progress import Progress, ProgressLog

DURATION_S = 30.0


def seconds(arm="direct", drained_s=5.0):
    """What a bench tells of a repetition, about once a second, and of the answers that come after its end."""
    for at_s in range(int(DURATION_S + drained_s)):
        yield Progress(arm, "01", "1/1", min(at_s + 0.3, DURATION_S), DURATION_S, at_s, 0, 3, 0)
    yield Progress(arm, "01", "1/1", DURATION_S, DURATION_S, 99, 0, 3, 0, done=True)


@pytest.fixture
def said():
    return []


def log(said, **how):
    return ProgressLog(lambda text, **_: said.append(text), **{"as_json": False, "on_terminal": False, **how})


def test_in_a_pipeline_a_repetition_is_a_line_every_ten_seconds_and_one_at_its_end(said):
    written = log(said)
    for arm in ("direct", "cached"):
        for progress in seconds(arm):
            written.progress(progress)
    assert [line.split(",")[0] for line in said] == [
        f"{arm} 1/1: {at} of 30 s" for arm in ("direct", "cached") for at in (10, 20, 30)
    ]


def test_json_has_the_same_lines(said):
    written = log(said, as_json=True)
    for progress in seconds():
        written.progress(progress)
    assert [json.loads(line)["event"] for line in said] == ["progress", "progress", "repetition"]


def test_on_a_terminal_one_line_is_overwritten(said):
    written = log(said, on_terminal=True)
    for progress in seconds():
        written.progress(progress)
    assert len(said) > DURATION_S
    assert all(line.startswith("\r") for line in said)
