"""When arrivals are due."""

from itertools import islice, pairwise, takewhile
from math import inf, isclose, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.errors import UsageError
from loadtest.fleet.arrivals import Profile, client_arrivals, profile
from loadtest.settings.load_shape import NAMED, STEADY, shape_points
from loadtest.settings.plan import Settings
from loadtest.settings.plan_options import build


def until(seconds, arrivals):
    return list(takewhile(lambda a: a.due_s < seconds, arrivals))


def test_the_same_seed_and_client_give_the_same_arrivals():
    def first(seed, client):
        return list(islice(client_arrivals(seed, client, 2.0, False, Profile()), 50))

    assert first(1, 3) == first(1, 3)
    assert first(1, 3) != first(1, 4)
    assert first(1, 3) != first(2, 3)


def test_due_times_rise():
    due = [a.due_s for a in islice(client_arrivals(1, 0, 5.0, False, profile((), 10.0)), 500)]
    assert due == sorted(due)


def test_as_many_arrivals_come_as_the_rate_says():
    total = sum(len(until(60.0, client_arrivals(1, client, 1.0, False, Profile()))) for client in range(500))
    assert abs(total - 30_000) < 4 * sqrt(30_000)  # four standard deviations of a Poisson count


def test_gaps_of_a_poisson_client_spread_as_widely_as_their_mean():
    due = [a.due_s for a in islice(client_arrivals(1, 0, 10.0, False, Profile()), 20_000)]
    gaps = [b - a for a, b in pairwise(due)]
    mean = sum(gaps) / len(gaps)
    deviation = sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert isclose(deviation / mean, 1.0, rel_tol=0.03)


def test_even_clients_send_at_their_own_phase():
    arrivals = [list(islice(client_arrivals(1, client, 2.0, True, Profile()), 3)) for client in range(20)]
    for client in arrivals:
        assert isclose(client[1].due_s - client[0].due_s, 0.5)
        assert isclose(client[2].due_s - client[1].due_s, 0.5)
    assert len({round(client[0].due_s, 6) for client in arrivals}) == 20


def test_half_as_many_arrivals_come_during_a_ramp():
    ramp = profile((), 10.0)
    total = sum(len(until(10.0, client_arrivals(1, client, 1.0, False, ramp))) for client in range(1000))
    assert abs(total - 5_000) < 4 * sqrt(5_000)


def test_nothing_arrives_after_the_load_has_fallen_to_nothing():
    over = Profile([(0.0, 1.0), (5.0, 0.0)])
    assert over.when(2.6) == inf
    assert len(until(1e9, islice(client_arrivals(1, 0, 1.0, False, over), 10))) < 10


def test_a_step_up_is_a_step():
    step = Profile([(0.0, 0.1), (10.0, 0.1), (10.0, 1.0)])
    assert step.level(9.99) == pytest.approx(0.1)
    assert step.level(10.0) == pytest.approx(1.0)
    assert step.when(1.0) == pytest.approx(10.0)
    assert step.when(2.0) == pytest.approx(11.0)


POINTS = st.lists(st.tuples(st.floats(0.01, 20.0), st.floats(0.0, 1.0)), min_size=1, max_size=6).map(
    lambda steps: [(0.0, 0.5), *((sum(s for s, _ in steps[: i + 1]), steps[i][1]) for i in range(len(steps)))]
)


@given(POINTS, st.floats(0.0, 0.999))
def test_the_inverse_of_the_load_is_its_inverse(points, share):
    """By brute force: the area up to when(area) is the area."""
    over = Profile(points)
    whole = over._areas[-1]
    when = over.when(whole * share)
    steps = 2000
    area = sum(over.level(when * (i + 0.5) / steps) for i in range(steps)) * when / steps
    assert area == pytest.approx(whole * share, abs=0.02 * max(1.0, whole))


def test_a_level_is_reached_when_the_ramp_says():
    assert profile((), 10.0).when_level(0.5) == pytest.approx(5.0)
    assert Profile([(0.0, 0.2)]).when_level(0.5) == inf
    assert Profile().when_level(1.0) == 0.0


@pytest.mark.parametrize("name", sorted(NAMED))
def test_a_shape_by_name_spans_the_duration_and_stays_within_the_load(name):
    over = profile(shape_points(name, 40.0), 0.0)
    levels = [over.level(second / 10) for second in range(400)]
    assert all(0 < level <= 1 for level in levels)
    assert max(levels) == pytest.approx(1.0)
    assert (min(levels) < 0.5) == (name != STEADY)


def test_a_spike_is_in_the_middle_fifth():
    over = profile(shape_points("spike", 100.0), 0.0)
    assert [over.level(at) for at in (10, 38, 41, 59, 62, 99)] == pytest.approx([0.1, 0.1, 1, 1, 0.1, 0.1])


def test_steady_is_what_no_shape_is():
    assert build(Settings, {"shape": STEADY}, "options") == Settings()


@pytest.mark.parametrize("text", ["hill", "1:0.5", "0:2", "0:0.5,5:0.5,4:1", "0"])
def test_what_is_no_shape_is_refused_with_an_example(text):
    with pytest.raises(UsageError, match="not a shape"):
        shape_points(text, 10.0)
