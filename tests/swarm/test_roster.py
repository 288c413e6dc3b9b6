"""Whether the load was the one that was asked for, as a master counts it."""

import pytest

from loadtest.swarm.roster import Numbers, Roster

ONE, TWO = "alpha_1f", "beta_host_2e"


@pytest.fixture
def roster():
    return Roster([ONE, TWO], clients_count=10)


def test_a_load_that_was_there_from_the_start_to_the_end_is_right(roster):
    roster.done(ONE, joined_count=5, steady_count=5)
    assert roster.open == {TWO}
    roster.done(TWO, joined_count=5, steady_count=5)
    assert roster.open == set()
    assert roster.verdict() == []


def test_a_worker_that_is_lost_is_named_with_its_host_once(roster):
    roster.done(ONE, 5, 5)
    assert roster.lost(TWO) == "worker 1 (on beta_host) was lost before the end, and with it its clients"
    assert roster.lost(TWO) == ""
    assert roster.open == set()
    assert roster.verdict()[1].startswith("5 of 10 clients were not there from the start to the end")


def test_a_worker_that_was_done_is_not_lost_by_ending(roster):
    roster.done(ONE, 5, 5)
    assert roster.lost(ONE) == ""


def test_a_worker_that_somebody_ended_is_lost_with_the_clients_that_it_gave_to_others(roster):
    assert "worker 0 (on alpha) was lost" in roster.done(ONE, 5, 5, ended=True)
    roster.done(TWO, 10, 5)
    assert len(roster.verdict()) == 2
    assert "5 of 10 clients" in roster.verdict()[1]


def test_a_worker_that_comes_late_is_said_and_one_that_comes_again_is_not(roster):
    assert roster.came(ONE) == ""
    late = "another worker (on gamma) joined after the start, and took clients of the others"
    assert roster.came("gamma_3") == late
    assert roster.verdict()[0] == late


def test_more_clients_than_were_asked_for_are_another_load(roster):
    roster.done(ONE, 5, 5)
    roster.done(TWO, 6, 6)
    assert roster.verdict() == ["1 clients came to the 10 that were asked for"]


def test_numbers_of_clients_are_unique_over_all_places_and_used_again_from_the_lowest():
    workers = [Numbers(place, 3) for place in range(3)]
    assert sorted(worker.take() for worker in workers for _ in range(4)) == list(range(12))
    workers[1].give_back(7)
    workers[1].give_back(1)
    assert [workers[1].take() for _ in range(3)] == [1, 7, 13]
