"""Waits between tries, for any random source."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from loadtest.manager.backoff import decorrelated, full

SEEDS = st.integers(0, 2**32)


@given(SEEDS, st.integers(0, 10_000), st.floats(0, 1))
def test_full_jitter_is_below_the_exponential_bound_and_the_cap(seed, tries, last_s):
    wait_s = full(0.002, 0.1)(last_s, tries, Random(seed))
    assert 0 <= wait_s <= min(0.1, 0.002 * 2.0 ** min(tries, 64))


@given(SEEDS, st.integers(1, 100), st.floats(0, 1))
def test_decorrelated_jitter_is_between_base_and_thrice_the_last_wait(seed, tries, last_s):
    wait_s = decorrelated(0.002, 0.1)(last_s, tries, Random(seed))
    assert min(0.002, 0.1) <= wait_s <= min(0.1, max(0.002, last_s * 3))


def test_the_same_seed_gives_the_same_waits():
    def waits(seed):
        rng, wait_s, found = Random(seed), 0.0, []
        for tries in range(20):
            wait_s = decorrelated()(wait_s, tries, rng)
            found.append(wait_s)
        return found

    assert waits(7) == waits(7) != waits(8)
