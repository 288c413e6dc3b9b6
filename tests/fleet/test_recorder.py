"""Rows on disk: whole, unrounded, and soon."""

import subprocess
import sys
from math import nan

import pytest

from loadtest.errors import ResultsError
from loadtest.fleet.recorder import Recorder
from loadtest.results.parquet import read_rows
from loadtest.results.rows import ConnectionLife, Invocation
from loadtest.results.run_folder import Repetition


@pytest.fixture
def repetition(tmp_path):
    return Repetition(tmp_path / "arms" / "managed" / "01").create()


@pytest.fixture
def recorder(repetition):
    return Recorder(repetition, 0, lambda function: function())


def row(number, **values):
    return Invocation(0, number, 3, 7, "managed", 1 / 3 + number, **values)


def test_a_row_comes_back_as_it_was(repetition, recorder):
    recorder.invocation(
        row(1, started_s=0.1 + 0.2, finished_s=1e-9, cold=True, error="1040 ER_CON_COUNT_ERROR")
    )
    recorder.flush()
    (found,) = read_rows(repetition, "invocations")[0].to_pylist()
    assert found["due_s"] == 1 / 3 + 1
    assert found["started_s"] == 0.1 + 0.2
    assert found["finished_s"] == 1e-9
    assert found["cold"] is True
    assert found["error"] == "1040 ER_CON_COUNT_ERROR"


def test_what_is_unknown_is_null_and_no_zero(repetition, recorder):
    recorder.invocation(row(1, started_s=nan, error="throttled"))
    recorder.flush()
    assert read_rows(repetition, "invocations")[0].to_pylist()[0]["started_s"] is None


def test_rows_are_on_disk_once_they_are_flushed_and_one_file_when_it_ends(repetition, recorder):
    for number in range(10):
        recorder.invocation(row(number))
        recorder.flush()
    assert len(repetition.row_files("invocations")) == 10
    assert read_rows(repetition, "invocations")[0].num_rows == 10
    recorder.close()
    assert [f.name for f in repetition.row_files("invocations")] == ["000.parquet"]
    assert read_rows(repetition, "invocations")[0].column("arrival").to_pylist() == list(range(10))


def test_a_crash_between_merging_and_tidying_doubles_nothing(repetition, recorder):
    recorder.invocation(row(1))
    recorder.flush()
    part = repetition.row_files("invocations")[0]
    kept = part.read_bytes()
    recorder.close()
    part.write_bytes(kept)
    assert read_rows(repetition, "invocations")[0].num_rows == 1


def test_only_the_newest_row_of_a_connection_counts(repetition, recorder):
    for fate in ("open", "zombie", "expired"):
        recorder.connection(ConnectionLife(0, 7, 4711, 1.5, fate=fate))
        recorder.flush()
    recorder.connection(ConnectionLife(0, 7, 4711, 9.5))  # the same id again, after a restart
    recorder.flush()
    fates = read_rows(repetition, "connections")[0].column("fate").to_pylist()
    assert fates == ["expired", "open"]
    recorder.close()
    assert read_rows(repetition, "connections")[0].column("fate").to_pylist() == fates


def test_results_that_cannot_be_written_say_so(repetition, recorder):
    (repetition.path / "invocations").write_text("a file is in the way")
    recorder.invocation(row(1))
    with pytest.raises(ResultsError, match="cannot write"):
        recorder.flush()


def test_a_generator_does_not_import_pandas_for_its_rows(tmp_path):
    """Half a second of CPU and 50 MB in each of them."""
    script = (
        "import sys\n"
        "from loadtest.fleet.recorder import Recorder\n"
        "from loadtest.results.rows import ConnectionLife, Invocation\n"
        "from loadtest.results.run_folder import Repetition\n"
        f"repetition = Repetition.at({str(tmp_path / 'arms' / 'managed' / '01')!r}).create()\n"
        "recorder = Recorder(repetition, 0, lambda function: function())\n"
        "for _ in range(2):\n"
        "    recorder.invocation(Invocation(0, 1, 3, 7, 'managed', 1.0, error='timeout'))\n"
        "    recorder.connection(ConnectionLife(0, 1, 2, 3.0))\n"
        "    recorder.flush()\n"
        "recorder.close()\n"
        "assert 'pyarrow' in sys.modules and 'pandas' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_workers_that_open_a_file_at_the_same_moment_write_one_header(tmp_path):
    """All of them wait at a barrier, again and again, in processes of their own."""
    script = (
        "import multiprocessing, pathlib, sys\n"
        "from loadtest.results.csv_rows import CsvAppender\n"
        "from loadtest.results.rows import GeneratorSecond\n"
        "def open_them(barrier, folder):\n"
        "    for number in range(50):\n"
        "        barrier.wait()\n"
        "        CsvAppender(pathlib.Path(folder) / str(number), GeneratorSecond).close()\n"
        "fork = multiprocessing.get_context('fork')\n"
        "barrier = fork.Barrier(4)\n"
        "all_four = [fork.Process(target=open_them, args=(barrier, sys.argv[1])) for _ in range(4)]\n"
        "for one in all_four: one.start()\n"
        "for one in all_four: one.join()\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=60)
    assert {len(path.read_text().splitlines()) for path in tmp_path.iterdir()} == {1}
