"""Waits between tries, for any random source."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.manager.backoff import decorrelated, full, patient

SEEDS = st.integers(0, 2**32)


@given(SEEDS, st.integers(0, 10_000), st.floats(0, 1))
def test_full_jitter_is_below_the_exponential_bound_and_the_cap(seed, tries, last_s):
    wait_s = full(Random(seed), 0.002, 0.1)(last_s, tries)
    assert 0 <= wait_s <= min(0.1, 0.002 * 2.0 ** min(tries, 64))


@given(SEEDS, st.integers(1, 100), st.floats(0, 1))
def test_decorrelated_jitter_is_between_base_and_thrice_the_last_wait(seed, tries, last_s):
    wait_s = decorrelated(Random(seed), 0.002, 0.1)(last_s, tries)
    assert min(0.002, 0.1) <= wait_s <= min(0.1, max(0.002, last_s * 3))


def waits(make, seed, count):
    backoff, wait_s, found = make(Random(seed)), 0.0, []
    for tries in range(1, count + 1):
        wait_s = backoff(wait_s, tries)
        found.append(wait_s)
    return found


@pytest.mark.parametrize("make", [full, decorrelated, patient])
def test_the_same_seed_gives_the_same_waits(make):
    assert waits(make, 7, 20) == waits(make, 7, 20) != waits(make, 8, 20)


@given(SEEDS)
def test_patience_begins_as_decorrelated_jitter(seed):
    assert waits(patient, seed, 2) == waits(decorrelated, seed, 2)


@given(SEEDS, st.integers(1, 40), st.floats(0, 10))
def test_whoever_waits_spends_little_of_its_time_on_trying(seed, tries, try_s):
    """At most 2.5%, up to tries that take 50 ms; and nobody waits for longer than four seconds at once."""
    wait_s = patient(Random(seed))(0.0, tries, try_s)
    assert min(2.0, 40 * try_s) <= wait_s <= 4.0


@given(SEEDS, st.floats(0.001, 1), st.integers(1, 20))
def test_only_patience_heeds_how_long_a_try_took(seed, try_s, tries):
    for make in (full, decorrelated):
        assert make(Random(seed))(0.0, tries, try_s) == make(Random(seed))(0.0, tries)


@given(SEEDS)
def test_ten_seconds_of_patience_are_at_most_twenty_tries(seed):
    """At a fixed cap of 100 ms they would be two hundred, from each of hundreds of waiters."""
    assert sum(waits(patient, seed, 20)) > 10.0
