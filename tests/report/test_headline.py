# ruff: noqa: RUF001
"""The headline: right for any arms, and never more than the figures show."""

import pytest

from loadtest.report.headline import headline
from loadtest.report.wording import code, count, multiple, number, percent

from .summaries import arm, summary

E1040 = "1040 ER_CON_COUNT_ERROR"
CASES = {
    "all five, as the article has it": (
        {
            "direct": arm(15000),
            "cached": arm(15000, {E1040: 11000, "timeout": 100}),
            "classic": arm(15000, {"throttled": 2700}),
            "managed": arm(15000, mean=27.6),
            "ideal": arm(15000, mean=23.0),
        },
        (
            "Without the manager, 74% of 15,000 invocations failed with cached (mostly 1040), and none with "
            "direct. With it, none failed with managed, at 1.2 × the mean latency of a perfect pool, and 18% "
            "with classic (all throttled)."
        ),
    ),
    "one on each side": (
        {
            "cached": arm(15000, {E1040: 11100}),
            "managed": arm(15000, mean=27.6),
            "ideal": arm(15000, mean=23.0),
        },
        (
            "Without the manager, 74% of 15,000 invocations failed (all 1040). With it, none did, at 1.2 × "
            "the mean latency of a perfect pool."
        ),
    ),
    "two without, one with": (
        {"cached": arm(100, {E1040: 60}), "direct": arm(100), "managed": arm(100, {"timeout": 1})},
        (
            "Without the manager, 60% of 100 invocations failed with cached (all 1040), and none with "
            "direct. With it, 1.0% did (timeout)."
        ),
    ),
    "one without, two with": (
        {"cached": arm(100, {E1040: 60}), "managed": arm(100), "classic": arm(90, {"timeout": 9})},
        (
            "Without the manager, 60% of 100 invocations failed (all 1040). With it, none failed with "
            "managed, and 10% of 90 invocations with classic (all timeout)."
        ),
    ),
    "both sides fail": (
        {"cached": arm(100, {E1040: 60}), "managed": arm(100, {E1040: 30})},
        "Without the manager, 60% of 100 invocations failed (all 1040). With it, 30% did (all 1040).",
    ),
    "no error anywhere": (
        {"cached": arm(100), "managed": arm(100, mean=24.0), "ideal": arm(100, mean=24.0)},
        (
            "None of 200 invocations failed, with or without the manager. The mean latency of managed was "
            "1.0 × that of a perfect pool."
        ),
    ),
    "no error anywhere and no ideal": (
        {"direct": arm(100), "managed": arm(100)},
        "None of 200 invocations failed, with or without the manager.",
    ),
    "managed is worse": (
        {
            "direct": arm(1000),
            "managed": arm(990, {"timeout": 300, "throttled": 299, "a": 201}),
            "ideal": arm(1000),
        },
        (
            "Without the manager, none of 1,000 invocations failed with direct. With it, 81% of 990 "
            "invocations failed (timeout, throttled and others)."
        ),
    ),
    "two errors, as often": (
        {"managed": arm(100, {E1040: 5, "timeout": 5})},
        "With the manager, 10% of 100 invocations failed (1040 and timeout).",
    ),
    "only ideal": (
        {"ideal": arm(3000)},
        "With a perfect pool (ideal), none of 3,000 invocations failed.",
    ),
    "only ideal, and it fails": (
        {"ideal": arm(3000, {"throttled": 30})},
        "With a perfect pool (ideal), 1.0% of 3,000 invocations failed (all throttled).",
    ),
    "only managed": ({"managed": arm(3000)}, "With the manager, none of 3,000 invocations failed."),
    "only managed and ideal": (
        {"managed": arm(3000, mean=30.0), "ideal": arm(3000, mean=20.0)},
        ("With the manager, none of 3,000 invocations failed, at 1.5 × the mean latency of a perfect pool."),
    ),
    "only classic": (
        {"classic": arm(3000, {"throttled": 1})},
        "With the manager, <0.1% of 3,000 invocations failed with classic (throttled).",
    ),
    "only with, both": (
        {"managed": arm(3000), "classic": arm(3000, {"timeout": 30})},
        (
            "With the manager, none of 3,000 invocations failed with managed, and 1.0% with classic (all "
            "timeout)."
        ),
    ),
    "only without": (
        {"cached": arm(3000, {E1040: 3000})},
        "Without the manager, all 3,000 invocations failed (all 1040).",
    ),
    "only without, both": (
        {"cached": arm(3000, {E1040: 3000}), "direct": arm(3000)},
        "Without the manager, all 3,000 invocations failed with cached (all 1040), and none with direct.",
    ),
    "nearly all": (
        {"cached": arm(30000, {E1040: 29999})},
        "Without the manager, >99.9% of 30,000 invocations failed (all 1040).",
    ),
    "own arms only": (
        {"base": arm(100, {"my error": 5}), "candidate": arm(100)},
        "5.0% of 100 invocations failed with base (all my error), and none with candidate.",
    ),
    "own arms of different sizes": (
        {"base": arm(100), "candidate": arm(90)},
        "None of 100 invocations failed with base, and none of 90 invocations with candidate.",
    ),
    "own arms beside built-in ones": (
        {"cached": arm(100, {E1040: 60}), "managed": arm(100), "mine": arm(100, {E1040: 100})},
        (
            "Without the manager, 60% of 100 invocations failed (all 1040). With it, none did. All 100 "
            "invocations failed with mine (all 1040)."
        ),
    ),
    "many own arms": (
        {name: arm(10) for name in "abcde"},
        ("None of 10 invocations failed with a, none with b, and none with c. 2 more arms are in the table."),
    ),
    "latency not compared: disturbed": (
        {"managed": arm(100, mean=50.0, disturbed=["mean"]), "ideal": arm(100, mean=20.0)},
        "With the manager, none of 100 invocations failed.",
    ),
    "latency not compared: ideal invalid": (
        {"managed": arm(100, mean=50.0), "ideal": arm(100, mean=20.0, valid=False)},
        "With the manager, none of 100 invocations failed.",
    ),
    "latency not compared: too many failed": (
        {"managed": arm(100, {E1040: 50}, mean=20.0), "ideal": arm(100, mean=20.0)},
        "With the manager, 50% of 100 invocations failed (all 1040).",
    ),
    "an arm without arrivals is not spoken of": (
        {"cached": arm(0), "managed": arm(100)},
        "With the manager, none of 100 invocations failed.",
    ),
    "nothing": ({}, "No arrivals were counted, so there is no result."),
    "null figures": ({"managed": arm(None)}, "No arrivals were counted, so there is no result."),
}


@pytest.mark.parametrize(("arms", "expected"), CASES.values(), ids=CASES.keys())
def test_the_headline_says_what_the_figures_show(arms, expected):
    assert headline(summary(arms)) == expected


def test_one_bad_repetition_of_many_is_not_hidden_by_the_median():
    several = arm(100)
    several.repetitions += [*arm(100).repetitions, *arm(100, {E1040: 1}).repetitions]
    assert headline(summary({"managed": several})) == (
        "With the manager, 0.3% of 300 invocations failed (1040)."
    )


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0, "0%"), (1e-9, "<0.1%"), (0.00099, "<0.1%"), (0.001, "0.1%"), (0.0949, "9.5%"), (0.1, "10%"),
        (0.7412, "74%"), (0.994, "99%"), (0.996, "99.6%"), (0.9991, ">99.9%"), (1 - 1e-9, ">99.9%"),
        (1, "100%"), (None, "–"),
    ],
)  # fmt: skip
def test_a_share_is_never_rounded_to_none_or_all(ratio, expected):
    assert percent(ratio) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "–"), (0, "0"), (0.0123, "0.012"), (0.123, "0.123"), (0.00004, "<0.001"), (9.526, "9.53"),
        (23.44, "23.4"), (99.96, "100"), (104.4, "104"), (19_712, "19,700"), (1.0, "1.00"),
    ],
)  # fmt: skip
def test_a_time_has_three_significant_digits(value, expected):
    assert number(value) == expected


def test_counts_multiples_and_codes_are_short():
    assert [count(15000), count(2.5), count(None)] == ["15,000", "2.5", "–"]
    assert [multiple(r) for r in (0.5, 0.999, 1.04, 9.96, 12.3, 1234)] == [
        "0.50 ×", "1.0 ×", "1.0 ×", "10 ×", "12 ×", "1,200 ×",
    ]  # fmt: skip
    assert code("1040 ER_CON_COUNT_ERROR") == "1040"
    assert "\x1b" not in code("boom\x1b[31m")
