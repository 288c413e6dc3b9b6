"""The page as a person uses it, in a real browser."""

import os
import re
import signal
from contextlib import contextmanager
from math import isnan

import psutil
import pytest

from loadtest.server import launch
from loadtest.server.choice import ServerChoice
from loadtest.webui.history import CODES, SERIES
from tests.waiting import wait_until

from .pages import page, shown

UNKNOWN = "\N{EN DASH}"
# What is only shown while a test runs is looked for in one that lasts until it is stopped: on a busy machine
# the first plots take a browser without a graphics card longer than a short test.
UNTIL_STOPPED = "120s"
# Of 90: connections come and go between two samples.
ALL_USED = 88
# Enough for `cached` to use up 90 connections: each new container keeps one.
LOAD = {
    "userCount": "300", "functionTimeout": "2s", "coldStartMs": "300", "workMs": "30",
    "reapProbability": "0.2",
}  # fmt: skip
# A tenth of it, with time to wait: where other tests take the CPU, the manager sinks under what `cached`
# needs to run out (a storm of connects, each slower than the last). What is shown here is the page.
CALMER = {**LOAD, "userCount": "30", "functionTimeout": "20s", "duration": "6s"}


@contextmanager
def tab_of(browser, found, **context):
    """A browser's tab on the page; what its console complains of fails the test, and so do other hosts."""
    with browser.new_context(viewport={"width": 1280, "height": 900}, **context) as made:
        tab = made.new_page()
        complaints = []
        tab.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        asked = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(found.address + "/?tab=connections")
        yield tab
        assert complaints == []
        assert all(url.startswith((found.address, "data:", "blob:")) for url in asked), asked


def fill(tab, **fields):
    tab.wait_for_selector(".lt-scenario select")
    tab.locator('input[name="duration"]').wait_for()  # our script has opened the accordion
    for name, value in fields.items():
        field = tab.locator(f'[name="{name}"]')
        if field.evaluate("one => one.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)


def start(tab, **fields):
    fill(tab, **fields)
    tab.get_by_role("button", name="Start", exact=True).click()


def stop(tab):
    tab.get_by_role("button", name="Stop", exact=True).click()


def new_test(tab):
    tab.get_by_role("button", name="New", exact=True).click()


def ended(tab, number):
    rows = tab.locator(".lt-tests tbody tr")
    wait_until(lambda: rows.count() == number and "report" in rows.nth(number - 1).text_content(), 40)


def test_connections_run_out_without_the_manager_and_not_with_it(browser, mariadb_target, tmp_path):
    with page(mariadb_target, tmp_path) as found, tab_of(browser, found) as tab:
        start(tab, strategy="cached", duration=UNTIL_STOPPED, **LOAD)
        wait_until(lambda: (shown(tab, "used_count") or 0) >= ALL_USED, 40, "all connections used")
        tab.locator(".lt-errors", has_text="1040 ER_CON_COUNT_ERROR").wait_for(timeout=40_000)
        assert "of 90" in tab.locator('[data-name="used_count"] dd').text_content()
        wait_until(lambda: (shown(tab, "errors_count") or 0) > 0, 40, "a second with errors")
        wait_until(lambda: "zombie" in tab.locator(".lt-count").text_content(), 40)
        stop(tab)
        ended(tab, 1)
        tab.screenshot(path=tmp_path / "cached.png", full_page=True)

        new_test(tab)
        start(tab, strategy="managed", **CALMER)
        tab.locator(".lt-arm", has_text="managed").wait_for(timeout=40_000)
        ended(tab, 2)
        assert tab.locator(".lt-errors").text_content() == ""

        assert tab.locator(".lt-compare").is_hidden()
        tab.get_by_label("dashed test 1").check()
        tab.locator(".lt-compare a").wait_for()
        drawn = wait_until(lambda: both(tab), 40, "both tests in the plots")
        # A sample a second is drawn: the last one may have been taken just before the server was full.
        assert max(drawn["other"]) >= ALL_USED
        assert max(drawn["live"]) < max(drawn["other"])
        assert tab.locator(".lt-compare a").get_attribute("href").endswith("/compare/1/2")
        tab.screenshot(path=tmp_path / "both.png", full_page=True)


def both(tab):
    """Used connections of the test that is shown and of the one laid over it, as bokeh has them."""
    drawn = tab.evaluate(
        """() => Object.fromEntries(["live", "other"].map((name) => [
            name,
            Array.from(Bokeh.documents.at(-1).get_model_by_name(`test_${name}`).get_column("used_count")),
        ]))"""
    )
    # A second that nobody sampled is a gap, which is NaN there.
    known = {
        name: [value for value in values if value is not None and not isnan(value)]
        for name, values in drawn.items()
    }
    return known if all(known.values()) else None


def test_a_scenario_fills_the_form(browser, mariadb_target, tmp_path):
    with page(mariadb_target, tmp_path) as found, tab_of(browser, found) as tab:
        tab.get_by_label("scenario").select_option("spike")
        fill(tab)
        value = lambda name: tab.locator(f'[name="{name}"]').input_value()  # noqa: E731
        assert value("userCount") == value("spawnRate") == "800"
        assert value("duration") == "40s"
        assert value("shape").startswith("0:0.0625")
        assert value("scalingPer10s") == "1000"
        tab.locator('[name="userCount"]').fill("20")
        assert value("spawnRate") == "20"
        start(tab, duration="2s", shape="steady", scalingPer10s="500")
        ended(tab, 1)
        run = found.live()["tests"][0]
        assert run["load"].startswith("20/s, 2 s")


@pytest.mark.nightly
def test_a_wrong_value_is_answered_at_the_form(browser, mariadb_target, tmp_path):
    with page(mariadb_target, tmp_path) as found, tab_of(browser, found) as tab:
        start(tab, workMs="fast")
        tab.get_by_text("work_ms cannot be 'fast': expected a number").wait_for(timeout=40_000)
        assert found.live()["tests"] == []


@pytest.mark.nightly
def test_a_server_that_dies_in_mid_test_is_said_and_leaves_a_gap(browser, tmp_path):
    with launch.launched(ServerChoice("local"), 90) as target, page(target, tmp_path) as found:
        with tab_of(browser, found) as tab:
            start(tab, strategy="cached", duration=UNTIL_STOPPED, **{**LOAD, "userCount": "50"})
            wait_until(lambda: (shown(tab, "used_count") or 0) > 5, 40)
            (server,) = [p for p in psutil.process_iter(["cmdline"]) if is_server(p, target)]
            os.kill(server.pid, signal.SIGKILL)
            tab.locator(".lt-trouble", has_text="the server cannot be sampled").wait_for(timeout=40_000)
            wait_until(lambda: tab.locator('[data-name="used_count"] dd').text_content() == UNKNOWN, 40)
            wait_until(lambda: found.live()["live"]["points"]["working_count"][-1] is None, 40, "a gap")
            tab.screenshot(path=tmp_path / "lost.png", full_page=True)


def is_server(process, target):
    words = process.info["cmdline"] or []
    return any(word.endswith(f"--port={target.functions.port}") for word in words)


@pytest.mark.nightly
def test_a_monitor_that_dies_is_said(browser, mariadb_target, tmp_path):
    with page(mariadb_target, tmp_path) as found, tab_of(browser, found) as tab:
        start(tab, strategy="direct", userCount="20", duration=UNTIL_STOPPED)
        wait_until(lambda: (shown(tab, "arrivals_count") or 0) > 5, 40)
        monitors = [
            child for child in psutil.Process(found.locust.pid).children()
            if "loadtest.server.monitor" in " ".join(child.cmdline())
        ]  # fmt: skip
        assert len(monitors) == 1
        monitors[0].kill()
        tab.locator(".lt-trouble", has_text="the monitor is lost").wait_for(timeout=40_000)


@pytest.mark.nightly
def test_workers_are_added_up_and_shown_each(browser, mariadb_target, tmp_path):
    with page(mariadb_target, tmp_path, workers=2) as found, tab_of(browser, found) as tab:
        start(tab, strategy="cached", userCount="40", duration=UNTIL_STOPPED, reapProbability="0.2")
        rows = tab.locator(".lt-workers tbody tr")
        wait_until(lambda: rows.count() == 2, 30, "a row for each worker")
        wait_until(lambda: (shown(tab, "arrivals_count") or 0) > 28, 40, "the sum of both")
        wait_until(lambda: "frozen" in tab.locator(".lt-count").text_content(), 40)
        wait_until(lambda: found.live()["live"]["points"]["at_s"][-1] > 10, 40)
        stop(tab)
        ended(tab, 1)
        points = found.live()["live"]["points"]
        assert max(filter(None, points["arrivals_count"])) > 28
        # One worker alone would have half; either end may be off by some seconds.
        assert found.live()["tests"][0]["arrivals_count"] == pytest.approx(40 * points["at_s"][-1], abs=150)


@pytest.mark.nightly
def test_a_cell_says_what_its_container_is(browser, mariadb_target, tmp_path):
    with page(mariadb_target, tmp_path) as found, tab_of(browser, found) as tab:
        start(tab, strategy="cached", userCount="50", duration=UNTIL_STOPPED, reapProbability="0.0")
        wait_until(lambda: "frozen" in tab.locator(".lt-count").text_content(), 40)
        tab.locator(".lt-fleet canvas").hover(position={"x": 5, "y": 5})
        tip = tab.locator(".lt-tip")
        tip.wait_for(timeout=40_000)
        text = tip.text_content()
        assert re.match(r"container \d+: (cold|busy|frozen), ", text), text
        assert "invocations" in text
        assert "connection" in text


@pytest.mark.nightly
def test_it_follows_the_theme(browser, mariadb_target, tmp_path):
    with page(mariadb_target, tmp_path) as found, tab_of(browser, found, color_scheme="dark") as tab:
        start(tab, strategy="direct", userCount="20", duration="2s")
        ended(tab, 1)
        tab.screenshot(path=tmp_path / "dark.png", full_page=True)
        assert contrast(tab) > 4.5
        dark = background(tab)
        tab.locator("header button, .MuiAppBar-root button").last.click()
        wait_until(lambda: background(tab) != dark, 40, "the other theme")
        assert contrast(tab) > 4.5
        tab.screenshot(path=tmp_path / "light.png", full_page=True)


def background(tab):
    return tab.evaluate("() => getComputedStyle(document.body).backgroundColor")


def contrast(tab):
    """Of the panel's text on the page's background, as WCAG 2.1 defines it."""
    return tab.evaluate(
        """() => {
            const light = (text) => {
                const part = text.match(/[\\d.]+/g).slice(0, 3).map((value) => value / 255)
                    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
                return 0.2126 * part[0] + 0.7152 * part[1] + 0.0722 * part[2];
            };
            const pair = [
                light(getComputedStyle(document.querySelector(".lt-now dd")).color),
                light(getComputedStyle(document.body).backgroundColor),
            ].sort((a, b) => b - a);
            return (pair[0] + 0.05) / (pair[1] + 0.05);
        }"""
    )


def news(codes):
    """What the page is told of a test in which these errors happened."""
    names = [*SERIES, *CODES]
    points = {name: [float(name not in CODES or name in codes)] * 3 for name in names}
    test = {
        "number": 1, "arm": "cached", "trouble": "", "running": True, "now": {}, "workers": [],
        "error_counts": {"1040 ER_CON_COUNT_ERROR": 3}, "step_s": 1.0, "whole": True,
        "points": {"at_s": [1.0, 2.0, 3.0], **points},
    }  # fmt: skip
    return {"tests": [], "state": "ready", "trouble": "", "live": test, "other": None}


LEGENDS = """() => [...Bokeh.index.all_views()].filter((view) => view.model.type === "Legend").map((view) => {
    const [legend, plot] = [view.el, view.parent.el].map((element) => element.getBoundingClientRect());
    return {
        entries: view.model.items.filter((item) => item.visible).map((item) => item.label.value),
        within: legend.left >= plot.left && legend.right <= plot.right && legend.bottom <= plot.bottom,
    };
})"""


@pytest.mark.nightly
def test_no_legend_is_cut_off_however_narrow_the_window_and_many_the_codes(browser, mariadb_target, tmp_path):
    seen = ["1040"]
    with page(mariadb_target, tmp_path) as found, tab_of(browser, found) as tab:
        start(tab, userCount="1", duration="1s")
        tab.route("**/loadtest/live?*", lambda route: route.fulfill(json=news(seen)))
        found.ended(1)
        for width, codes in ((1280, ["1040"]), (700, ["1040"]), (380, ["1040"]), (1280, CODES), (380, CODES)):
            seen[:] = codes
            tab.set_viewport_size({"width": width, "height": 900})
            wait_until(lambda: all_within(tab, {*seen, "refused by the server"}), 40, f"{codes} at {width}")
        tab.locator('[data-plot="errors"]').screenshot(path=tmp_path / "errors.png")


def all_within(tab, entries):
    """Every legend within its plot, one of them with these entries."""
    legends = tab.evaluate(LEGENDS)
    used = any(set(legend["entries"]) == entries for legend in legends)
    return used and len(legends) == 6 and all(legend["within"] for legend in legends)
