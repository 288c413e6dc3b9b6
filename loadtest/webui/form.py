"""The posted form that starts a test, checked before Locust sees it. Pure.

Locust itself accepts any posted option, ignores choices, and answers a wrong number with status 500.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

from loadtest.errors import UsageError
from loadtest.settings.durations import duration_s
from loadtest.settings.nearest import nearest
from loadtest.settings.plan_options import Option

LOCUSTS = ("user_count", "spawn_rate", "host", "run_time", "profile", "user_classes", "shape_class")


class Wanted:
    """``values`` of our options with their types, and what Locust decides."""

    def __init__(self, values: dict[str, Any], users_count: int, run_time_s: float | None) -> None:
        self.values = values
        self.users_count = users_count
        self.run_time_s = run_time_s


def read(
    form: Mapping[str, str],
    options: Collection[Option],
    before: Mapping[str, Any],
    strategies: Collection[str],
) -> Wanted:
    """What the posted ``form`` asks for, its texts by field.

    ``before`` has the values of options that are not posted; ``strategies`` are those that may be chosen.
    Raises :class:`UsageError` with the reason.
    """
    known = {option.name: option for option in options}
    for name in form:
        if name not in known and name not in LOCUSTS and name != "strategy":
            raise UsageError(f"unknown option {name!r}{nearest(name, [*known, 'strategy'])}")
    strategy = form.get("strategy", before["strategy"])
    if strategy not in strategies:
        raise UsageError(
            f"strategy cannot be {strategy!r}{nearest(strategy, strategies)}; take "
            f"{' or '.join(strategies)}, or name your own when you start the page"
        )
    values = {name: before[name] for name in known}
    values |= {name: known[name].number(form[name]) for name in known if name in form}
    users_count = _whole(form.get("user_count", ""), "the number of users")
    spawn_rate = _number(form.get("spawn_rate", ""), "the ramp up")
    if spawn_rate < users_count:
        raise UsageError(
            f"the ramp up has to be at least the number of users ({users_count}), which are there from the "
            "start; let the load rise with Ramp or Shape"
        )
    run_time = form.get("run_time", "").strip()
    return Wanted({**values, "strategy": strategy}, users_count, duration_s(run_time) if run_time else None)


def _whole(text: str, what: str) -> int:
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text.strip()):
        raise UsageError(f"{what} cannot be {text[:40]!r}: expected a whole number of at least 1")
    return int(text)


def _number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise UsageError(f"{what} cannot be {text!r}: expected a number above 0")
    return value
