"""The page of a run: what it says, what it must not, and how a real browser draws it."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.report.courses import pressure_of
from loadtest.report.files import write_report
from loadtest.report.render import palette
from loadtest.report.render.markdown import escaped
from loadtest.report.series import Series
from loadtest.results.rows import ConnectionLife, Invocation, Sample

from .conftest import Writer, frames_of, generator_second

HOSTILE = "1040 </script><script>alert(1)</script>&<b>'\""


def made(path, arms=("cached", "managed"), error="1040 ER_CON_COUNT_ERROR", **settings):
    writer = Writer(path, strategies=list(arms), seed=1, **settings)
    for arm in arms:
        for _ in range(2):
            rows = [
                Invocation(
                    0, i, 0, i % 7, arm, 10 + i / 100, 10 + i / 100, 10.025 + i / 100 + (i % 13) / 1000,
                    cold=i < 7, connect_s=0.002, query_s=0.003, manage_s=0.001,
                    error=error if arm == "cached" and i % 3 == 0 else "",
                )
                for i in range(900)
            ]  # fmt: skip
            writer.repetition(
                arm,
                samples=[Sample(10.0 + i / 4, 20 + i % 70, 4, 16, 1.0, 3 * i, 0, 100, 90) for i in range(40)],
                generator=[generator_second(float(at), containers_count=at) for at in range(11, 21)],
                invocations=rows,
                connections=[
                    ConnectionLife(0, 0, i, 10.0, reaped_s=12.0 + i, gone_s=13.0 + i) for i in range(4)
                ],
            )
    return writer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    writer = made(tmp_path_factory.mktemp("page") / "run")
    write_report(writer.folder)
    return writer.folder


def test_it_leads_with_the_finding_and_has_every_section(folder):
    page = folder.report_html.read_text("utf-8")
    text = re.sub(r"<[^>]+>", " ", page[page.index("<body>") : page.index("<script>")])
    assert "Without the manager, 33% of 1,800 invocations failed (all 1040)" in " ".join(text.split())
    for section in (
        "Connections over time",
        "Latency",
        "Errors over time",
        "Containers",
        "Zombies",
        "What was run",
    ):
        assert f"<h2>{section}" in page
    assert page.index("<h1>") < page.index("<table>") < page.index("data-root-id")


def test_it_is_one_file_of_bounded_size_that_asks_nobody_for_anything(folder):
    page = folder.report_html.read_text("utf-8")
    body = page[: page.index("<script>")]
    assert "http" not in body
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=.(?!data:)", body)
    assert len(page) < 3_000_000


def test_markdown_and_junit_say_the_same(folder):
    md = folder.report_md.read_text("utf-8")
    assert md.startswith("Without the manager, 33% of 1,800 invocations failed (all 1040)")
    assert "| cached | 900 | 67% | 33% 1040 |" in md
    assert '<testcase classname="tiny" name="managed"' in folder.junit.read_text("utf-8")


def test_whatever_comes_from_outside_is_escaped(tmp_path):
    writer = made(tmp_path / "run", error=HOSTILE, description=HOSTILE)
    run = writer.folder.read_run()
    run |= {"warnings": [HOSTILE], "command": HOSTILE, "t0": "yesterday"}
    run["server"]["version"] = HOSTILE
    writer.folder.run.write_text(json.dumps(run), "utf-8")
    write_report(writer.folder)
    page = writer.folder.report_html.read_text("utf-8")
    assert "<script>alert" not in page
    assert page.count("</script>") == 2  # bokeh's and the drawing
    assert "<b>" not in page[: page.index("<script>")]
    assert "<script>" not in writer.folder.report_md.read_text("utf-8")
    assert "<b>" not in writer.folder.junit.read_text("utf-8")


def test_ten_thousand_error_codes_and_arms_of_any_name_make_a_page_of_bounded_size(tmp_path):
    writer = Writer(tmp_path / "run", strategies=["x"])
    for arm in ("x", "a b <i>", "..."):
        rows = [Invocation(0, i, 0, 0, arm, 10 + i / 2000, error=f"{i} <i>{i}") for i in range(10_000)]
        writer.repetition(arm, invocations=rows)
    summary, _ = write_report(writer.folder)
    assert len(summary.arms["x"].repetitions[0].errors) == 10_000
    page = writer.folder.report_html.read_text("utf-8")
    assert len(page) < 3_000_000
    assert "<i>" not in page[: page.index("<script>")]
    assert len(writer.folder.report_md.read_text("utf-8")) < 100_000


@given(st.text())
def test_markdown_has_no_markup_of_a_stranger_s(words):
    safe = escaped(words)
    assert "\n" not in safe
    assert "<" not in safe
    assert not re.search(r"(?<!\\)[|`*_@\[]", safe.replace("\\\\", ""))


def test_a_run_without_rows_of_connections_still_has_a_page(tmp_path):
    writer = Writer(tmp_path / "run", strategies=["x"])
    writer.repetition("x", invocations=[Invocation(0, 0, 0, 0, "x", 10.0, 10.0, 10.1)])
    write_report(writer.folder)
    assert "<h2>What was run" in writer.folder.report_html.read_text("utf-8")


def test_zombies_of_which_none_was_dropped_leave_no_empty_plot(tmp_path, caplog):
    writer = Writer(tmp_path / "run", strategies=["x"])
    writer.repetition(
        "x",
        invocations=[Invocation(0, 0, 0, 0, "x", 10.0, 10.0, 10.1)],
        samples=[Sample(10.0 + i, 20, 4, 16, 1.0, 3, 0, 100, 90) for i in range(4)],
        connections=[ConnectionLife(0, 0, 1, 10.0, reaped_s=12.0)],
    )
    write_report(writer.folder)
    page = writer.folder.report_html.read_text("utf-8")
    assert "Zombies alive" in page
    assert "Zombies gone within" not in page
    assert caplog.text == "", "Bokeh warns of empty plots"


def test_a_strategy_has_one_colour_and_all_are_different():
    styles = palette.styles(["mine", "managed", "direct", "cached", "classic", "ideal", "other"])
    assert styles["managed"] == palette.STRATEGIES["managed"]
    assert len({colour for colour, _ in styles.values()}) == len(styles)


# Series


META = {"start_s": 10.0, "deadline_s": 20.0, "ended_s": 21.0, "cut_off": False}


def test_connections_are_split_by_what_they_do():
    """At 12 s: of ten one works, two are zombies, seven are idle."""
    frames = frames_of(
        META,
        invocations=[
            Invocation(0, 0, 0, 1, "x", 11.9, 11.9, 12.1),
            Invocation(0, 1, 0, 1, "x", 12.5, 12.5, 12.6),
        ],
        connections=[
            ConnectionLife(0, 2, 2, 10.0, reaped_s=11.0, gone_s=12.5),
            ConnectionLife(0, 3, 3, 10.0, reaped_s=11.5),
            ConnectionLife(0, 4, 4, 10.0, reaped_s=11.8, gone_s=11.0),  # gone before its container: no zombie
        ],
        samples=[Sample(12.0, 10, 1, 9, 1.0, 0, 0, 0, 90), Sample(13.0, 9, 1, 8, 1.0, 4, 0, 0, 90)],
    )  # fmt: skip
    seen = pressure_of(frames, 10.0)
    assert list(seen.at_s) == [2.0, 3.0]
    assert list(seen.working_count) == [1.0, 0.0]
    assert list(seen.zombies_count) == [2.0, 1.0]
    assert list(seen.idle_count) == [7.0, 8.0]
    assert (list(seen.refused_at_s), list(seen.refused_count)) == ([3.0], [4.0])


def test_what_nobody_saw_is_a_gap():
    samples = [Sample(at, 10, 1, 9, 1.0, 0, 0, 0, 90) for at in (10.0, 10.25, 14.0, 14.25)]
    samples.insert(1, Sample(10.1, error="no answer"))
    seen = pressure_of(frames_of(META, samples=samples), 10.0)
    assert [value == value for value in seen.idle_count] == [True, False, True, False, True]


def test_the_distribution_is_over_the_rows_of_all_repetitions_that_count():
    series = Series()
    for ms, valid in ((500, False), (20, True), (30, True), (900, False)):
        rows = [
            Invocation(0, i, 0, 1, "x", 10 + i / 100, 10 + i / 100, 10 + i / 100 + ms / 1000)
            for i in range(100)
        ]
        series.add("x", f"{ms}", frames_of(META, invocations=rows), valid)
    found = series.arms["x"]
    assert found.course.number == "20"
    share, latency_ms = found.levels()
    assert latency_ms[0] == pytest.approx(20)
    assert latency_ms[-1] == pytest.approx(30)
    assert share[-1] == pytest.approx(1 - 10 / 200)


# In a browser


def test_a_browser_draws_it_and_asks_nobody(folder, browser):
    asked, complaints = [], []
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.on("request", lambda request: asked.append(request.url))
    page.on(
        "console", lambda said: complaints.append(said.text) if said.type in ("error", "warning") else None
    )
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(folder.report_html.as_uri())
    places = page.locator("[data-root-id]").count()
    page.wait_for_function("n => document.querySelectorAll('[data-root-id] > *').length >= n", arg=places)
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert complaints == []
    assert places == 11


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_sticks_out(folder, browser, scheme):
    page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme=scheme)
    page.goto(folder.report_html.as_uri())
    page.wait_for_selector("[data-root-id] > *")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") is (scheme == "light")
