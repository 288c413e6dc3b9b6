"""The table at any width: whole lines, whole figures, and what is missing is said."""

import re

import pytest

from loadtest.report.render.run_table import COLUMNS
from loadtest.report.render.terminal import run_text, table
from loadtest.report.wording import NOTHING
from loadtest.results.summary import Starts

from .summaries import arm, summary

ARMS = {
    "direct": arm(15000, {"1040 ER_CON_COUNT_ERROR": 33, "timeout": 2}, mean=39.5),
    "cached": arm(15000, {"1040 ER_CON_COUNT_ERROR": 14555}, mean=1999.0, valid=False),
    "classic": arm(15000, {"throttled": 2700}, mean=19712.0, disturbed=["p99"]),
    "managed": arm(15000, mean=27.6),
    "ideal": arm(15000, mean=23.0),
}


@pytest.mark.parametrize("width", [1, 20, 40, 60, 80, 120, 200])
@pytest.mark.parametrize("color", [False, True])
def test_no_line_is_wider_than_the_terminal(width, color):
    shown = re.sub(r"\x1b\[[0-9;]*m", "", run_text(summary(ARMS, ["x" * 30 + " " + "y" * 100]), width, color))
    assert max(map(len, shown.splitlines())) <= max(width, 20)


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_what_is_left_out_is_named_and_the_rest_is_whole(width):
    shown = table(summary(ARMS), width, False)
    header = shown.splitlines()[0].split()
    _, _, said = " ".join(shown.splitlines()).partition("Not shown, for lack of space: ")
    left_out = said.split(".")[0].split(", ")
    assert sorted([*header, *filter(None, left_out)]) == sorted(["strategy", *(c.title for c in COLUMNS)])
    assert "…" not in shown
    for name in ARMS:
        assert f"\n{name}" in shown


def test_eighty_columns_show_what_matters_most():
    head = table(summary(ARMS), 80, False).splitlines()[0].split()
    assert {"strategy", "arrivals", "good", "errors", "mean", "p50", "p99", "conns"} <= set(head)


def test_a_wide_terminal_shows_every_column():
    row = table(summary(ARMS), 200, False).splitlines()[3]
    cells = "direct 15,000 99.8% 0.2% 1040 0 39.5 39.5 39.5 39.5 90 2 1.25 s 0.123"
    assert " ".join(row.split()) == cells


def test_a_run_of_real_functions_has_columns_for_their_starts():
    shop = arm(100)
    shop.median.starts = Starts(4, 81.5, 120.0, 31.25, 44.0)
    shown = table(summary({"direct": ARMS["direct"], "shop": shop}), 200, False)
    head, _, _, direct, real = shown.splitlines()[:5]
    assert head.split()[-2:] == ["init", "first"]
    assert direct.split()[-2:] == [NOTHING, NOTHING]
    assert real.split()[-2:] == ["81.5", "31.2"]
    assert "init: the init phase of a container" in shown


def test_a_very_narrow_terminal_gets_lists_instead_of_a_table():
    shown = table(summary(ARMS), 30, False)
    assert "managed\n  arrivals: 15,000\n  good: 100%\n  errors: 0%\n" in shown


def test_a_disturbed_figure_is_marked_and_explained():
    shown = table(summary(ARMS), 120, False)
    classic = next(line for line in shown.splitlines() if line.startswith("classic"))
    assert "19,700~" in classic
    assert "~ disturbed by the load generator" in shown


def test_an_arm_that_is_not_valid_for_times_shows_none_and_says_so():
    shown = table(summary(ARMS), 120, False)
    cached = next(line for line in shown.splitlines() if line.startswith("cached"))
    assert cached.startswith("cached† ")
    assert cached.count("–") == 4  # noqa: RUF001
    assert "97% 1040" in cached
    assert "† no repetition is valid for times" in shown


def test_there_is_no_footnote_without_a_mark():
    shown = table(summary({"managed": arm(10)}), 200, False)
    assert "~" not in shown
    assert "†" not in shown
    assert len(shown.splitlines()) == 4


def test_a_mark_in_a_name_is_no_reason_for_a_footnote():
    assert "disturbed" not in table(summary({"a~b": arm(10)}), 200, False)


def test_color_is_the_callers_choice(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b" not in table(summary(ARMS), 120, False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" in table(summary(ARMS), 120, True)


def test_what_a_stranger_named_is_neither_markup_nor_control():
    evil = {"x": arm(10, {"[red]boom\x1b[2J\n": 10})}
    shown = run_text(summary(evil, ["a\x1b[2Jb"]), 200, False)
    assert "[red]boom" in shown
    assert "\x1b" not in shown


def test_the_text_leads_with_the_finding_and_ends_with_the_warnings():
    shown = run_text(summary(ARMS, ["direct/01: something"]), 120, False)
    assert shown.startswith(
        "Without the manager, 97% of 15,000 invocations failed with cached (all 1040), and"
    )
    assert shown.endswith("\n\nwarning: direct/01: something\n")


def test_unknown_is_a_dash_and_an_empty_summary_has_no_traceback():
    shown = table(summary({"x": arm(0)}), 200, False)
    assert shown.splitlines()[3].split().count("–") >= 5  # noqa: RUF001
    assert run_text(summary({}), 80, False).startswith("No arrivals were counted")
