import pytest

from loadtest.errors import UsageError
from loadtest.fleet.connection import shortage_of
from loadtest.fleet.strategies import check
from loadtest.settings.plan import Settings
from loadtest.settings.strategy import arm_name, parse, part_names


def test_a_built_in_strategy_is_one_part():
    (part,) = parse("managed")
    assert (part.name, part.spec, part.share) == ("managed", "managed", 1.0)


def test_a_mixed_fleet_has_a_part_for_each_function():
    parts = parse("managed:0.3+cached:0.7")
    assert [(part.name, part.share) for part in parts] == [("managed", 0.3), ("cached", 0.7)]


def test_two_versions_of_ones_own_stand_side_by_side_under_their_names():
    assert arm_name("base=package.module:attribute") == "base"
    (part,) = parse("base=package.module:attribute")
    assert (part.name, part.spec) == ("base", "package.module:attribute")


def test_an_arm_of_real_functions_is_named_without_their_paths():
    text = "shop=lambda:python:./shop/app.handler:0.3+managed:0.7"
    assert arm_name(text) == "shop:0.3+managed:0.7"
    assert part_names(text) == part_names(arm_name(text)) == ["shop", "managed"]
    assert arm_name("shop=lambda:python:./shop/app.handler") == "shop"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("managd", "did you mean managed"),
        ("managed:0.3+cached:0.6", "add up to 0.9"),
        ("managed+cached", "no share"),
        ("ideal:0.5+cached:0.5", "cannot share"),
        ("cached:0.5+cached:0.5", "named twice"),
        ("../../etc=managed", "letters, digits"),
        ("", "letters, digits"),
    ],
)
def test_a_wrong_strategy_is_refused_with_the_reason(text, reason):
    with pytest.raises(UsageError, match=reason):
        parse(text)


def test_a_module_that_is_not_there_is_named():
    with pytest.raises(UsageError, match="no_such_module cannot be imported"):
        check(parse("no_such_module:thing"), "", Settings())


def test_an_error_that_is_its_own_cause_is_followed_once():
    """Whatever functions raise: the load goes on."""
    error = ValueError("mine")
    error.__cause__ = error
    assert shortage_of(error) == ""
