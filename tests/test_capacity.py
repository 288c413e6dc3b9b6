"""`loadtest capacity` as a stranger calls it, with a real server."""

import json
import os
import signal

import pytest

from tests.places import END_S, ended
from tests.waiting import wait_until

FAST = (
    "--server", "local", "--duration", "1s", "--cold-start-ms", "20", "--function-timeout", "1s",
)  # fmt: skip
# What an emulated `ideal` always holds, whatever else this machine does.
EASY = "error_ratio <= 100%"


def run_json(place, folder):
    return json.loads((place.folder / folder / "run.json").read_text())


def test_a_search_is_a_run_that_report_budgets_and_comparisons_read(place):
    searched = place.run(
        "capacity", *FAST, "--strategies", "ideal", "--slo", EASY, "--from", "20", "--to", "24",
        "--out", "run", "--json", "--budget", "ideal.capacity_per_s >= 10", timeout_s=180,
    )  # fmt: skip
    assert searched.code == 0, searched
    answer = json.loads(searched.out)
    assert answer["schema"] == 1
    found = answer["arms"]["ideal"]
    assert found["capacity_per_s"] == found["value"] == 24
    assert found["limited_by"] == "range"
    assert found["recovers"] is True
    assert [(trial["value"], trial["kind"], trial["verdict"]) for trial in found["trials"]] == [
        (20, "rise", "held"), (24, "rise", "held"), (24, "confirm", "held"), (24, "recovery", "held"),
    ]  # fmt: skip
    theory = found["theory"] or {"connections_count": 88, "mdc_per_s": None}  # no time was valid
    assert (theory["connections_count"], theory["mdc_per_s"]) == (88, None), "the objective has no p99"
    assert "passed ideal.capacity_per_s >= 10: 24.0 against 10" in searched.err
    # The last trial had twice the load for three seconds, and only what came later counts.
    last = run_json(place, f"run/{found['trials'][-1]['folder']}")["settings"]
    assert (last["rate"], last["duration_s"], last["warmup_s"]) == (48, 10, 9)
    assert found["trials"][-1]["figures"]["arrivals_count"] < 24 * 3

    summary = (place.folder / "run" / "summary.json").read_bytes()
    shown = place.run("report", "run", "--budget", "ideal.capacity_per_s >= 1000")
    assert shown.code == 4, shown
    assert "ideal holds up to 24/s" in shown.out
    assert "ideal.capacity_per_s is at least 24.0: range was the limit" in shown.err
    assert (place.folder / "run" / "summary.json").read_bytes() == summary
    for name, words in (
        ("report.html", "<h1>ideal holds up to 24/s"),
        ("report.md", "ideal holds up to 24/s"),
    ):
        assert words in (place.folder / "run" / name).read_text("utf-8")
    assert not (place.folder / "run" / "trials" / "ideal" / "latest").exists()

    trial = place.run("report", f"run/{found['trials'][0]['folder']}")
    assert trial.code == 0, trial
    compared = place.run("compare-reports", "run", "run", "--json")
    assert compared.code == 0, compared
    measures = json.loads(compared.out)["arms"]["ideal"]["measures"]
    assert measures["capacity"]["ratio"] == 1
    assert measures["capacity"]["verdict"] == "none", "a bound on both sides"


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("words", "objective", "edge"),
    [
        (("--from", "20", "--to", "80", "--arrivals", "even"), "arrivals_count <= 45", (30, 50)),
        (
            ("--vary", "max-connections", "--from", "10", "--to", "40"),
            "connections.peak_count >= 19",
            (18, 24),
        ),
    ],
)
def test_it_finds_an_edge_that_is_known(place, words, objective, edge):
    """One that does not depend on how fast this machine is."""
    many = ("--rate", "400", "--work-ms", "100") if "max-connections" in words else ()
    searched = place.run(
        "capacity", *FAST, *many, "--strategies", "ideal", "--slo", objective, *words, "--precision", "20%",
        "--time-limit", "4m", "--out", "run", "--json", timeout_s=400,
    )  # fmt: skip
    found = json.loads(searched.out)["arms"]["ideal"]
    low, high = edge
    assert low <= found["value"] <= high, found
    assert found["limited_by"] == "server"
    assert found["first_broken"] == objective.split()[0]
    assert len(found["trials"]) <= 12


def test_a_search_whose_time_is_over_says_what_is_known_so_far(place):
    searched = place.run(
        "capacity", *FAST, "--strategies", "ideal", "--slo", EASY, "--from", "20", "--to", "500",
        "--time-limit", "1s", "--out", "run", timeout_s=120,
    )  # fmt: skip
    assert searched.code == 0, searched
    said = " ".join(searched.out.split())
    assert "ideal holds up to 20/s; the time was over before the search was, so that is a bound." in said


@pytest.mark.nightly
def test_a_search_that_is_interrupted_keeps_the_trials_that_are_complete(place):
    # So long that the second trial is still under way when it is interrupted, however late that is.
    searching = place.start(
        "capacity",
        *FAST,
        "--duration",
        "6s",
        "--strategies",
        "ideal",
        "--slo",
        EASY,
        "--from",
        "20",
        "--to",
        "500",
        "--out",
        "run",
    )
    first = place.folder / "run" / "trials" / "ideal" / "001"
    second = place.folder / "run" / "trials" / "ideal" / "002" / "run.json"
    wait_until(second.exists, 60, "the second trial")
    searching.send_signal(signal.SIGINT)
    ran = ended(searching, END_S)
    assert ran.code == 130, ran
    assert place.left() == []
    assert os.listdir(first.parent) == ["001"], "the second was not complete"  # noqa: PTH208
    assert "ideal holds up to 20/s" in ran.out
    assert place.run("report", "run").code == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--slo", "error_ratio"), "budget 'error_ratio' makes no sense at its end"),
        (("--slo", "eror_ratio == 0"), "no figure is called 'eror_ratio' (did you mean error_ratio?)"),
        (("--slo", "error_ratio == 0 and"), "makes no sense at its end"),
        (("--from", "100", "--to", "50"), "--from 100 --to 50: the first has to be below the second"),
        (("--vary", "max-connections", "--from", "2.5"), "max-connections has to be a whole number"),
        (("--precision", "0"), "--precision 0: expected a percentage from 0.1% to 100%"),
        (("--time-limit", "soon"), "not a duration: 'soon'"),
        (("--time-limit", "0s"), "--time-limit 0s: a search takes time"),
        (("--model", "closed"), "--vary rate needs the open model"),
        (("--rate", "100"), "--rate is what the search varies; give it --from and --to"),
        (("--strategies", "manged"), "unknown strategy 'manged'"),
        (("--vary", "max-connections", "--server", "mysql://u@127.0.0.1:1/d"), "never reconfigured"),
        (("--vary", "max-connections", "--from", "2"), "ideal has no connection left: --ideal-reserve 2"),
        (("--budget", "managed.capacity_per_h > 1"), "no figure is called 'capacity_per_h'"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_runs(place, words, said):
    assert said in place.refused(2, "capacity", *words)
