"""A master's clock, learnt from questions and answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.errors import ResultsError
from loadtest.results.clocks import clock_warning
from loadtest.results.run_folder import Repetition
from loadtest.swarm.worker_clock import Exchange, estimate
from loadtest.swarm.worker_files import is_shared

DELAY = st.floats(0.0001, 0.5)


@given(st.floats(-1e6, 1e6), st.lists(st.tuples(DELAY, DELAY), min_size=1, max_size=10))
def test_the_estimate_is_never_wrong_by_more_than_it_says(ahead_s, delays):
    exchanges = [
        Exchange(100.0 + ahead_s, 100.0 + there, 100.0 + ahead_s + there + back) for there, back in delays
    ]
    difference_s, error_s = estimate(exchanges)
    assert abs(difference_s - ahead_s) <= error_s + 1e-6


def test_the_quickest_answer_counts():
    slow, quick = Exchange(10.0, 5.9, 11.0), Exchange(20.0, 15.001, 20.002)
    assert estimate([slow, quick]) == (pytest.approx(5.0), pytest.approx(0.001))


def test_an_error_that_is_more_than_a_stall_of_the_generator_is_said():
    assert clock_warning(0.005) == ""
    assert clock_warning(0.0123).endswith("are known to within 12 ms only")


def test_a_folder_is_shared_when_it_has_the_masters_token(tmp_path):
    repetition = Repetition(tmp_path / "arms" / "direct" / "01").create()
    assert not is_shared(repetition, "abc")
    repetition.write_meta(token="abc")
    assert is_shared(repetition, "abc")
    assert not is_shared(repetition, "")
    assert not is_shared(Repetition(tmp_path / "nowhere" / "01"), "abc")


def test_what_is_packed_arrives_beside_what_is_there(tmp_path):
    theirs = Repetition(tmp_path / "theirs" / "01").create()
    (theirs.path / "invocations").mkdir()
    theirs.whole_file("invocations", 1).write_bytes(b"rows")
    theirs.generator.write_text("at_s,worker\n2.0,1\n")
    ours = Repetition(tmp_path / "ours" / "01").create()
    ours.generator.write_text("at_s,worker\n1.0,0\n")
    ours.unpack(theirs.packed())
    assert ours.whole_file("invocations", 1).read_bytes() == b"rows"
    assert ours.generator.read_text() == "at_s,worker\n1.0,0\n2.0,1\n"


@pytest.mark.parametrize("name", ["../../evil", "invocations/../x.parquet", "run.json", "/etc/passwd"])
def test_a_strange_name_is_not_written(tmp_path, name):
    ours = Repetition(tmp_path / "a" / "ours" / "01").create()
    ours.unpack({name: b"x"})
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_disk_that_is_full_is_said(tmp_path):
    ours = Repetition(tmp_path / "ours" / "01").create()
    (ours.path / "invocations").write_text("a file where a folder should be")
    with pytest.raises(ResultsError, match="cannot write"):
        ours.unpack({"invocations/000.parquet": b"x"})
