"""Policies and options that cannot be are refused when they are made, with their name."""

import math

import pytest

from loadtest.manager import Classic, ConnectionManager, Managed

NUMBERS = {
    Managed: {
        "gap_s", "unproven_gap_s", "idle_ratio", "calm_ratio", "tight_ratio", "ask_every_s", "ask_again_s",
        "ask_timeout_s", "limit_cache_s", "expiry_margin_s", "patience_s", "margin_s", "slow_connect_s",
    },
    Classic: {"utilisation_ratio", "zombie_min_s", "zombie_max_s", "limit_cache_s", "used_cache_s"},
}  # fmt: skip
WHOLE = {
    Managed: {"lease_s", "long_lease_s", "ask_every_count", "max_retries"},
    Classic: {"max_retries"},
}
CASES = [(policy, name) for fields in (NUMBERS, WHOLE) for policy, names in fields.items() for name in names]


def refused(make, wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=rf"\b{name}\b"):
        make(**wrong)


@pytest.mark.parametrize("policy", [Managed, Classic])
def test_every_field_of_a_policy_is_looked_at(policy):
    assert NUMBERS[policy] | WHOLE[policy] == set(policy.__dataclass_fields__)


@pytest.mark.parametrize(("policy", "name"), sorted(CASES, key=str))
@pytest.mark.parametrize("wrong", [math.nan, math.inf, "1", True, [1], 1 + 1j], ids=repr)
def test_a_number_is_a_finite_one(policy, name, wrong):
    refused(policy, {name: wrong})


@pytest.mark.parametrize(("policy", "name"), sorted(set(CASES) - {(Managed, "expiry_margin_s")}, key=str))
def test_and_not_less_than_nothing(policy, name):
    refused(policy, {name: -1})


@pytest.mark.parametrize(
    "wrong",
    [
        {"lease_s": 0},  # would connect for every statement
        {"lease_s": 1.5},
        {"lease_s": 31_536_001},
        {"long_lease_s": 0},
        {"expiry_margin_s": 1.0},  # as long as the lease: would connect for every statement, too
        {"ask_every_count": 0},
        {"ask_timeout_s": 0},
        {"tight_ratio": 1.1},
        {"max_retries": 1.0},
    ],
    ids=str,
)
def test_what_managed_cannot_be(wrong):
    refused(Managed, wrong)


def test_ratios_stand_in_their_order():
    for wrong in ({"calm_ratio": 0.9, "tight_ratio": 0.1}, {"idle_ratio": 0.6}, {"tight_ratio": 0.4}):
        with pytest.raises(ValueError, match="out of order"):
            Managed(**wrong)
    assert Managed(idle_ratio=0.5, calm_ratio=0.5, tight_ratio=0.5).calm_ratio == 0.5


def test_what_the_published_module_takes_is_taken():
    """Its least may be above its greatest: the recorded decisions have such."""
    assert Classic(zombie_min_s=60, zombie_max_s=5).zombie_min_s == 60
    assert Classic(utilisation_ratio=1, max_retries=0).max_retries == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"backoff": "fibonacci"},
        {"backoff": 3},
        {"query_retry_backoff": "no"},
        {"max_query_retries": -1},
        {"max_query_retries": 1.5},
        {"max_query_retries": True},
        {"policy": Managed},
        {"policy": "classic"},
        {"manage": "no"},
        {"return_final_sql_query": 1},
        {"base_s": -0.1},
        {"base_s": math.nan},
        {"cap_s": "1"},
        {"base_s": 0.2},  # above cap_s
        {"credentials": {"password": "hunter2"}},
        {"on_connect": "print"},
        {"on_query_retry": 1},
        {"rng": 7},
        {"session_variables": ["time_zone"]},
        {"session_variables": {"time_zone": {}}},
        {"session_variables": {"time_zone = 1, x": 1}},
        {"session_variables": {"WAIT_TIMEOUT": 60}},  # the lease would not be what the manager believes
        {"session_variables": {"autocommit": 0}},
    ],
    ids=str,
)
def test_an_option_that_cannot_be_is_refused_at_once(wrong):
    refused(ConnectionManager, wrong)


def test_an_option_that_is_refused_is_not_printed_where_it_may_be_a_secret():
    with pytest.raises(ValueError, match="credentials") as error:
        ConnectionManager(credentials={"password": "hunter2"})
    assert "hunter2" not in str(error.value)


def test_the_lease_of_a_policy_without_one_may_be_set_by_hand():
    ConnectionManager(policy=Classic(), session_variables={"wait_timeout": 60})
