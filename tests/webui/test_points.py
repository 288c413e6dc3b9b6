"""Series that a page can draw for hours."""

from hypothesis import given
from hypothesis import strategies as st

from loadtest.webui.points import Points


def filled(count, at_most=600, **more):
    points = Points(("working_count", "p99_ms"), at_most)
    for second in range(1, count + 1):
        points.add({"at_s": float(second), "working_count": float(second), "p99_ms": float(second), **more})
    return points


def test_an_hour_stays_within_the_bound_and_covers_all_of_it():
    points = filled(3600)
    assert len(points) < 600
    assert points.step_s == 8
    assert points.columns["at_s"][0] == 8.0
    assert points.columns["at_s"][-1] == 3600.0


@given(st.integers(1, 300), st.integers(2, 20).map(lambda n: 2 * n))
def test_the_bound_holds_at_every_moment(count, at_most):
    points = Points(("working_count",), at_most)
    for second in range(count):
        points.add({"at_s": float(second), "working_count": 1.0})
        assert len(points) < at_most
        assert {len(column) for column in points.columns.values()} == {len(points)}


def test_neighbours_become_their_mean_and_the_worst_latency_stays():
    points = filled(4, at_most=4)
    assert points.columns == {"at_s": [2.0, 4.0], "working_count": [1.5, 3.5], "p99_ms": [2.0, 4.0]}


def test_what_is_unknown_stays_a_gap_only_where_nothing_is_known():
    points = Points(("working_count",), at_most=4)
    for at_s, working in ((1.0, None), (2.0, None), (3.0, None), (4.0, 8.0)):
        points.add({"at_s": at_s, "working_count": working})
    assert points.columns["working_count"] == [None, 8.0]


def test_a_page_is_told_what_it_lacks():
    points = filled(10)
    tail, whole = points.since(8.0, 1.0)
    assert (tail["at_s"], whole) == ([9.0, 10.0], False)
    assert points.since(10.0, 1.0) == ({"at_s": [], "working_count": [], "p99_ms": []}, False)


def test_a_page_takes_everything_when_it_has_nothing_or_the_steps_have_changed():
    points = filled(10)
    assert points.since(-1.0, 0.0) == (points.columns, True)
    coarser = filled(700)
    assert coarser.since(500.0, 1.0) == (coarser.columns, True)
