"""Runs that were cut off at any moment, and files that are not what they should be."""

import contextlib
import json
import math
import random

import pyarrow as pa
import pytest

from loadtest.errors import LoadtestError, NothingMeasured, UsageError
from loadtest.report.files import write_report
from loadtest.report.frame_reader import read_repetition
from loadtest.report.render.terminal import run_text
from loadtest.report.run_summary import summarise_run
from loadtest.results import parquet, run_folder
from loadtest.results.rows import ConnectionLife, GeneratorSecond, Invocation, Sample, Start
from loadtest.results.summary import as_json

from .conftest import generator_second, table_of
from .summaries import summary_of


def rows(count, **changes):
    return [
        Invocation(0, i, 0, 0, "x", 10 + i / 10, 10 + i / 10, 10.02 + i / 10)._replace(**changes)
        for i in range(count)
    ]


LIFE = ConnectionLife(0, 0, 1, 10.0)
GENERATOR = [generator_second(float(at)) for at in range(11, 21)]


def only(summary, arm="x"):
    return summary["arms"][arm]["repetitions"][0]


def test_a_killed_repetition_keeps_its_counts_and_is_not_valid_for_times(writer):
    meta = {"start_s": 10.0, "deadline_s": 20.0}
    writer.repetition("x", meta, generator=GENERATOR, invocations=rows(50), connections=[LIFE])
    summary = summary_of(writer.folder)
    found = only(summary)
    assert found["valid"] is False
    assert found["reasons"] == ["it was cut off before its end"]
    assert found["arrivals_count"] == 50
    assert found["throughput_per_s"] is None, "nobody knows when arrivals ended"
    assert summary["valid"] is False
    assert summary["warnings"] == [
        "x/01: samples.csv is missing or empty",
        "x/01 is not valid for times: it was cut off before its end",
    ]


def test_functions_that_go_to_another_server_are_named(writer):
    starts = [Start(0, 0, "x", 10.0, 0.1)]
    writer.repetition("x", generator=GENERATOR, invocations=rows(50), starts=starts)
    writer.repetition("y", generator=GENERATOR, invocations=rows(50), connections=[LIFE], starts=starts)
    (said,) = (text for text in summary_of(writer.folder)["warnings"] if "connected" in text)
    assert said.startswith(
        "x/01: its functions answered, and none of them connected to this server: look where"
    )


def test_a_run_of_an_older_version_lacks_the_newest_columns_and_is_whole(writer):
    meta = {"start_s": 10.0, "deadline_s": 20.0, "ended_s": 20.5, "cut_off": False}
    tables = {"invocations": rows(50), "connections": [LIFE]}
    columns = GeneratorSecond._fields
    count = len(columns) - columns.index("functions_cpu_ratio")
    samples_count = len(Sample._fields) - Sample._fields.index("opened_count")
    seconds = [second._replace(functions_cpu_ratio=math.nan) for second in GENERATOR]
    folder = writer.repetition("x", meta, [Sample(11.0)], seconds, **tables)
    now = summary_of(writer.folder)
    lines = folder.generator.read_text().splitlines()
    folder.generator.write_text("\n".join(line.rsplit(",", count)[0] for line in lines) + "\n")
    assert folder.generator.read_text().splitlines()[0].endswith(",zombies_count")
    lines = folder.samples.read_text().splitlines()
    folder.samples.write_text("\n".join(line.rsplit(",", samples_count)[0] for line in lines) + "\n")
    assert folder.samples.read_text().splitlines()[0].endswith(",error")
    for file in folder.row_files("starts"):
        file.unlink()
    assert summary_of(writer.folder) == now
    assert only(now)["generator"]["functions_cpu_ratio"] is None
    assert only(now)["starts"]["count"] is None
    assert {one["holds"] for one in only(now)["reconciliation"]} == {None}


def test_an_interrupted_repetition_has_the_throughput_of_the_time_it_had(writer):
    meta = {"start_s": 10.0, "deadline_s": 20.0, "ended_s": 15.0, "cut_off": True}
    writer.repetition("x", meta, invocations=rows(50))
    assert only(summary_of(writer.folder))["throughput_per_s"] == 10.0


def test_an_arm_without_a_row_has_no_figures_and_a_warning(writer):
    writer.repetition("x", generator=GENERATOR, invocations=rows(50), connections=[LIFE])
    writer.folder.next_repetition("killed-at-once").create()
    summary = summary_of(writer.folder)
    found = only(summary, "killed-at-once")
    assert found["arrivals_count"] == 0
    assert found["errors"] == {}
    for name in ("good_ratio", "error_ratio", "throughput_per_s", "containers_peak_count"):
        assert found[name] is None, name
    for name in ("connections", "zombies", "kills", "generator"):
        assert set(found[name].values()) == {None}, name
    assert found["latency_ms"]["p50"] is None
    assert "killed-at-once/01: no invocations were recorded" in summary["warnings"]
    assert "killed-at-once" in run_text(summarise_run(writer.folder), 80, False)
    assert only(summary)["valid"]


def test_nothing_at_all_is_an_error_with_its_own_exit_code(writer):
    writer.repetition("x")
    with pytest.raises(NothingMeasured, match="not a single arrival") as raised:
        summary_of(writer.folder)
    assert raised.value.exit_code == 4


def test_a_folder_without_arms_measured_nothing(writer):
    with pytest.raises(NothingMeasured):
        summary_of(writer.folder)


def test_a_corrupt_part_is_left_out_with_a_warning(writer):
    repetition = writer.repetition("x", generator=GENERATOR, connections=[LIFE])
    repetition.whole_file("invocations", 0).unlink()
    for part, some in enumerate((rows(10), rows(20))):
        parquet.write_parquet(repetition.part_file("invocations", 0, part), table_of("invocations", some))
    broken = repetition.part_file("invocations", 0, 1)
    broken.write_bytes(broken.read_bytes()[:200])
    summary = summary_of(writer.folder)
    assert only(summary)["arrivals_count"] == 10
    assert any("x/01: invocations/000-000001.parquet left out" in w for w in summary["warnings"])


def test_a_table_that_cannot_be_read_gives_unknown_not_zero(writer):
    repetition = writer.repetition("x", invocations=rows(10), connections=[LIFE])
    writer.repetition("x", invocations=rows(10), connections=[LIFE])
    repetition.whole_file("connections", 0).write_bytes(b"no parquet")
    repetition.whole_file("lags", 0).write_bytes(b"")
    found = only(summary_of(writer.folder))
    assert found["connections"]["opened_count"] is None
    assert found["zombies"]["left_count"] is None
    assert found["generator"]["disturbed_ratio"] is None
    assert "the generator's own figures are missing, so it is unknown whether it kept up" in found["reasons"]
    repetition.whole_file("invocations", 0).write_bytes(b"PAR1")
    assert only(summary_of(writer.folder))["arrivals_count"] is None


@pytest.mark.parametrize(
    "changes",
    [
        {"due_s": math.nan},
        {"due_s": math.inf},
        {"finished_s": 1.0},
        {"started_s": math.nan},
        {"cold_start_s": -1.0},
        {"query_s": math.nan},
        {"error": None},
        {"worker": None},
        {"cold": None},
    ],
)
def test_rows_that_cannot_be_true_are_left_out_and_counted(writer, changes):
    bad = rows(1, **changes)
    repetition = writer.repetition("x", connections=[LIFE])
    parquet.write_parquet(repetition.whole_file("invocations", 0), table_of("invocations", rows(9) + bad))
    frames = read_repetition(repetition)
    assert len(frames.invocations) == 9
    assert any("x/01: 1 of 10 rows of invocations left out" in w for w in frames.warnings)


def test_columns_of_the_wrong_type_are_left_out(writer):
    repetition = writer.repetition("x", invocations=rows(3))
    table = table_of("invocations", rows(3))
    wrong = table.set_column(5, "due_s", pa.array(["soon", "now", "later"]))
    parquet.write_parquet(repetition.whole_file("invocations", 1), wrong)
    frames = read_repetition(repetition)
    assert len(frames.invocations) == 3
    assert any("invocations/001.parquet left out" in w for w in frames.warnings)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"nonsense\n1\n",
        b"\xff\xfe\x00\n\x00\n",
        b"at_s\n1\n",
        ",".join(Sample._fields).encode()
        + b"\n1,2\nx,1,1,1,1,1,1,1,1,\n1,-5,1,1,1,1,1,1,90,\n1,2,3,4,5,6,7,8,9,,,,\n",
    ],
)
def test_samples_that_are_none_give_a_warning_and_unknown_figures(writer, content):
    repetition = writer.repetition("x", invocations=rows(3))
    repetition.samples.write_bytes(content)
    summary = summary_of(writer.folder)
    assert only(summary)["connections"]["peak_count"] is None
    assert any("samples.csv" in w for w in summary["warnings"])


def test_a_sample_that_failed_leaves_a_gap_and_no_warning(writer):
    samples = [Sample(11.0, 5, refused_count=1), Sample(12.0, error="gone"), Sample(13.0, 6, refused_count=3)]
    writer.repetition("x", samples=samples, generator=GENERATOR, invocations=rows(3), connections=[LIFE])
    summary = summary_of(writer.folder)
    assert only(summary)["connections"] == {
        "peak_count": 6,
        "opened_count": 1,
        "refused_count": 2,
        "expired_count": 0,
    }
    assert summary["warnings"] == []


@pytest.mark.parametrize("counts", [[5], [5, 9, 2], [None, None]])
def test_a_counter_that_went_back_or_was_seen_once_tells_nothing(writer, counts):
    samples = [Sample(11.0 + i, 5, refused_count=n) for i, n in enumerate(counts)]
    writer.repetition("x", samples=samples, invocations=rows(3))
    assert only(summary_of(writer.folder))["connections"]["refused_count"] is None


@pytest.mark.parametrize(
    "meta",
    [
        "",
        "[]",
        '{"start_s": "soon", "deadline_s": true}',
        '{"start_s": NaN}',
        "{",
        pytest.param('{"start_s": 1%s}' % ("0" * 400), id="a number of 401 digits"),
    ],
)
def test_a_broken_repetition_json_makes_the_repetition_invalid_and_nothing_else(writer, meta):
    repetition = writer.repetition("x", generator=GENERATOR, invocations=rows(3))
    repetition.meta.write_text(meta)
    found = only(as_json(write_report(writer.folder)[0]))
    assert found["valid"] is False
    assert "the times at which its arrivals began and ended are unknown" in found["reasons"]
    assert found["arrivals_count"] == 3
    assert found["throughput_per_s"] is None


@pytest.mark.parametrize("count", [None, "two", [2]])
def test_a_number_of_workers_that_is_none_leaves_the_balance_undecided(writer, count):
    repetition = writer.repetition("x", generator=GENERATOR, invocations=rows(3))
    repetition.write_meta(workers_count=count)
    assert only(summary_of(writer.folder))["arrivals_count"] == 3


def test_a_run_json_without_settings_is_refused_with_a_sentence(writer):
    writer.repetition("x", invocations=rows(3))
    writer.folder.run.write_text(json.dumps({"schema": 1}))
    with pytest.raises(UsageError, match="it has no settings"):
        summary_of(writer.folder)
    writer.folder.run.write_text(json.dumps({"schema": 1, "settings": {"slo_ms": "fast"}}))
    with pytest.raises(UsageError, match="slo_ms"):
        summary_of(writer.folder)
    for value in ("NaN", "1" + 400 * "0"):
        for name in ("slo_ms", "warmup_s"):
            writer.folder.run.write_text(f'{{"schema": 1, "settings": {{"{name}": {value}}}}}')
            with pytest.raises(UsageError, match=name):
                summary_of(writer.folder)


def test_what_a_later_version_adds_to_the_settings_is_no_error_and_nan_never_reaches_json(writer):
    writer.repetition("x", generator=GENERATOR, invocations=rows(3), connections=[LIFE])
    run = writer.folder.read_run()
    run["settings"]["a_field_of_tomorrow"] = 1
    run["environment"] = {"load": math.nan}
    writer.folder.run.write_text(json.dumps(run))
    summary = as_json(write_report(writer.folder)[0])
    assert json.loads(writer.folder.summary.read_text()) == summary
    assert summary["environment"] == {"load": None}


def test_the_whole_is_valid_when_every_arm_has_a_valid_repetition(writer):
    for arm in ("x", "y"):
        writer.repetition(arm, generator=GENERATOR, invocations=rows(100), connections=[LIFE])
    cut = {"start_s": 10.0, "deadline_s": 20.0}
    writer.repetition("y", cut, generator=GENERATOR, invocations=rows(50), connections=[LIFE])
    summary = summary_of(writer.folder)
    assert summary["valid"] is True
    assert [r["valid"] for r in summary["arms"]["y"]["repetitions"]] == [True, False]
    assert summary["arms"]["y"]["median"]["arrivals_count"] == 100


def test_an_arm_that_fails_wholly_is_a_finding_and_valid(writer):
    failed = rows(100, error="1040 ER_CON_COUNT_ERROR")
    writer.repetition("x", generator=GENERATOR, invocations=failed, connections=[LIFE])
    summary = summary_of(writer.folder)
    assert summary["valid"] is True
    assert only(summary)["error_ratio"] == 1
    assert only(summary)["latency_ms"]["mean"] is None


def test_a_busy_generator_makes_times_invalid_but_not_the_count_of_errors(writer):
    busy = [generator_second(float(at), cpu_ratio=0.93) for at in range(11, 21)]
    writer.repetition("x", generator=busy, invocations=rows(100), connections=[LIFE])
    summary = summary_of(writer.folder)
    assert only(summary)["reasons"] == [
        "a generator process used 93% of a core (limit: 80%); use more --processes or a lower rate"
    ]
    median = summary["arms"]["x"]["median"]
    assert (median["latency_ms"]["p50"], median["error_ratio"]) == (None, 0.0)


def test_arms_stand_in_the_order_in_which_they_were_asked_for(tmp_path):
    from .conftest import Writer

    writer = Writer(tmp_path / "run", strategies=["managed", "b=pkg:new", "cached"])
    for arm in ("cached", "b", "managed", "aaa"):
        writer.repetition(arm, invocations=rows(3))
    assert list(summary_of(writer.folder)["arms"]) == ["managed", "b", "cached", "aaa"]


@pytest.mark.parametrize(
    "seed", [*range(8), *(pytest.param(seed, marks=pytest.mark.nightly) for seed in range(8, 40))]
)
def test_no_garbled_truncated_or_missing_file_ends_in_a_traceback(writer, seed):
    for arm in ("x", "y"):
        writer.repetition(arm, generator=GENERATOR, invocations=rows(60), connections=[LIFE])
    chance = random.Random(seed)
    files = sorted(f for f in writer.folder.path.rglob("*") if f.is_file())
    for file in chance.sample(files, 3):
        content = bytearray(file.read_bytes())
        how = chance.choice(("missing", "truncated", "garbled"))
        if how == "missing":
            file.unlink()
            continue
        if how == "truncated":
            content = content[: chance.randrange(len(content) + 1)]
        for _ in range(20 if how == "garbled" else 0):
            content[chance.randrange(len(content))] = chance.randrange(256)
        file.write_bytes(content)
    with contextlib.suppress(LoadtestError):  # one clear sentence is as good as a report
        assert run_text(write_report(run_folder.RunFolder.open(writer.folder.path))[0], 80, False)
