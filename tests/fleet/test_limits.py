from hypothesis import given
from hypothesis import strategies as st

from loadtest.fleet.scaling import SCALING_S, Allowance, share_of


@given(st.integers(0, 10_000), st.integers(1, 20))
def test_the_shares_of_the_workers_add_up_exactly(total, workers):
    shares = [share_of(total, worker, workers) for worker in range(workers)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1


def test_a_burst_gets_the_whole_allowance_and_then_a_tenth_of_it_each_second():
    scaling = Allowance(1000, SCALING_S)
    assert sum(scaling.take(0.0) for _ in range(2000)) == 1000
    assert sum(scaling.take(1.0) for _ in range(2000)) == 100


def test_what_is_not_used_does_not_add_up():
    scaling = Allowance(1000, SCALING_S)
    scaling.take(0.0)
    assert sum(scaling.take(3600.0) for _ in range(5000)) == 1000
