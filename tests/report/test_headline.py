# ruff: noqa: RUF001
"""The sentence: right for any arms, and never more than the figures show."""

import pytest

from loadtest.report.headline import sentence
from loadtest.report.wording import code, count, number, percent, times

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
            "Without the manager 74% of 15,000 invocations failed as cached, mostly with 1040, and "
            "none as direct; with it none did as managed, at 1.2 × the latency of a perfect pool, and "
            "18% as classic, all throttled."
        ),
    ),
    "one on each side": (
        {
            "cached": arm(15000, {E1040: 11100}),
            "managed": arm(15000, mean=27.6),
            "ideal": arm(15000, mean=23.0),
        },
        (
            "Without the manager 74% of 15,000 invocations failed, all with 1040; with it none did, "
            "at 1.2 × the latency of a perfect pool."
        ),
    ),
    "no error anywhere": (
        {"cached": arm(100), "managed": arm(100, mean=24.0), "ideal": arm(100, mean=24.0)},
        (
            "None of 200 invocations failed, with the manager or without it; managed answered at 1.0 × the "
            "latency of a perfect pool."
        ),
    ),
    "no error anywhere and no ideal": (
        {"direct": arm(100), "managed": arm(100)},
        "None of 200 invocations failed, with the manager or without it.",
    ),
    "managed is worse": (
        {
            "direct": arm(1000),
            "managed": arm(990, {"timeout": 300, "throttled": 299, "a": 201}),
            "ideal": arm(1000),
        },
        (
            "Without the manager none of 1,000 invocations failed as direct; with it 81% of 990 invocations "
            "failed, most often with timeout."
        ),
    ),
    "only ideal": ({"ideal": arm(3000)}, "A perfect pool (ideal): none of 3,000 invocations failed."),
    "only managed": ({"managed": arm(3000)}, "With the manager none of 3,000 invocations failed."),
    "only classic": (
        {"classic": arm(3000, {"throttled": 1})},
        "With the manager <0.1% of 3,000 invocations failed as classic, throttled.",
    ),
    "only without": (
        {"cached": arm(3000, {E1040: 3000})},
        "Without the manager all of 3,000 invocations failed, all with 1040.",
    ),
    "nearly all": (
        {"cached": arm(30000, {E1040: 29999})},
        "Without the manager >99.9% of 30,000 invocations failed, all with 1040.",
    ),
    "own arms only": (
        {"base": arm(100, {"my error": 5}), "candidate": arm(100)},
        "base: 5.0% of 100 invocations failed, all with my error; candidate: none of 100 invocations failed.",
    ),
    "many own arms": (
        {name: arm(10) for name in "abcde"},
        (
            "a: none of 10 invocations failed; b: none of 10 invocations failed; c: none of 10 invocations "
            "failed; 2 more arms are in the table."
        ),
    ),
    "latency not compared: disturbed": (
        {"managed": arm(100, mean=50.0, disturbed=["mean"]), "ideal": arm(100, mean=20.0)},
        "With the manager none of 100 invocations failed.",
    ),
    "latency not compared: ideal invalid": (
        {"managed": arm(100, mean=50.0), "ideal": arm(100, mean=20.0, valid=False)},
        "With the manager none of 100 invocations failed.",
    ),
    "latency not compared: too many failed": (
        {"managed": arm(100, {E1040: 50}, mean=20.0), "ideal": arm(100, mean=20.0)},
        "With the manager 50% of 100 invocations failed, all with 1040.",
    ),
    "an arm without arrivals is not spoken of": (
        {"cached": arm(0), "managed": arm(100)},
        "With the manager none of 100 invocations failed.",
    ),
    "nothing": ({}, "No arrival counted, so there is nothing to say."),
    "null figures": ({"managed": arm(None)}, "No arrival counted, so there is nothing to say."),
}


@pytest.mark.parametrize(("arms", "expected"), CASES.values(), ids=CASES.keys())
def test_the_sentence_says_what_the_figures_show(arms, expected):
    assert sentence(summary(arms)) == expected


def test_one_bad_repetition_of_many_is_not_hidden_by_the_median():
    several = arm(100)
    several["repetitions"] += [arm(100)["repetitions"][0], arm(100, {E1040: 1})["repetitions"][0]]
    assert sentence(summary({"managed": several})) == (
        "With the manager 0.3% of 300 invocations failed, with 1040."
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
    assert [times(r) for r in (0.5, 0.999, 1.04, 9.96, 12.3, 1234)] == [
        "0.50 ×", "1.0 ×", "1.0 ×", "10 ×", "12 ×", "1,200 ×",
    ]  # fmt: skip
    assert code("1040 ER_CON_COUNT_ERROR") == "1040"
    assert "\x1b" not in code("boom\x1b[31m")
