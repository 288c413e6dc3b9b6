"""What may be posted to start a test, and with which words the rest is refused."""

import pytest

from loadtest.errors import UsageError
from loadtest.settings.plan_options import options
from loadtest.settings.strategy import STRATEGIES
from loadtest.webui import form

OURS = [option for option in options() if option.name not in ("model", "rate", "containers")]
BEFORE = {"strategy": "managed", **{option.name: option.default for option in OURS}}
GOOD = {"user_count": "20", "spawn_rate": "20", "host": "mysql", "run_time": ""}


def read(**posted):
    return form.read({**GOOD, **posted}, OURS, BEFORE, STRATEGIES)


def test_what_is_not_posted_stays_as_it_was():
    wanted = read()
    assert wanted.users_count == 20
    assert wanted.run_time_s is None
    assert wanted.values == BEFORE


def test_numbers_arrive_as_numbers():
    wanted = read(work_ms="2.5", concurrency_limit="40", duration="5s", run_time="2m", strategy="cached")
    assert wanted.values["work_ms"] == 2.5
    assert wanted.values["concurrency_limit"] == 40
    assert wanted.values["duration"] == "5s"
    assert wanted.values["strategy"] == "cached"
    assert wanted.run_time_s == 120.0


@pytest.mark.parametrize(
    ("posted", "said"),
    [
        ({"work_ms": "fast"}, "work_ms cannot be 'fast': expected a number"),
        ({"seed": "1.5"}, "seed cannot be '1.5': expected a whole number"),
        ({"strategy": "cacht"}, "strategy cannot be 'cacht' (did you mean cached?)"),
        ({"strategy": "os:system"}, "strategy cannot be 'os:system'"),
        ({"loglevel": "DEBUG"}, "unknown option 'loglevel'"),
        ({"csv_prefix": "/tmp/x"}, "unknown option 'csv_prefix'"),
        ({"zombie_rato": "1"}, "did you mean zombie_ratio?"),
        ({"user_count": "0"}, "the number of users cannot be '0'"),
        ({"user_count": "many"}, "the number of users cannot be 'many'"),
        ({"user_count": "²"}, "the number of users cannot be '²'"),
        ({"user_count": "9" * 5000}, "the number of users cannot be '9999"),
        ({"user_count": "-1"}, "the number of users cannot be '-1'"),
        ({"user_count": "1e3"}, "the number of users cannot be '1e3'"),
        ({"seed": "²"}, "seed cannot be '²': expected a whole number"),
        ({"spawn_rate": "nan"}, "the ramp up cannot be 'nan'"),
        ({"spawn_rate": ""}, "the ramp up cannot be ''"),
        ({"run_time": "-1s"}, "not a duration: '-1s'"),
        ({"strategy": ""}, "strategy cannot be ''"),
        ({"user_count": ""}, "the number of users cannot be ''"),
        ({"spawn_rate": "inf"}, "the ramp up cannot be 'inf'"),
        ({"spawn_rate": "1"}, "the ramp up has to be at least the number of users (20)"),
        ({"run_time": "soon"}, "not a duration: 'soon'"),
    ],
)
def test_what_is_wrong_is_refused_with_the_reason(posted, said):
    with pytest.raises(UsageError) as refused:
        read(**posted)
    assert said in str(refused.value)
