"""What a run costs, and which tags its functions have: `--prices`, `--memory-mb`, `--tag`."""

import json
import tomllib

import pytest

from loadtest.errors import UsageError
from loadtest.report.files import write_report
from loadtest.results.run_folder import RunFolder
from loadtest.settings.prices import prices_in, prices_text
from loadtest.settings.profiles import PROFILES
from loadtest.settings.scenario import plan_with
from loadtest.settings.tags import Tag, parts_of_tags, tags_alone, tags_in

FLEET = "a=managed:0.5+b=cached:0.5"


def test_every_profile_that_aws_has_a_price_for_has_one():
    unpriced = [name for name in PROFILES if prices_in("").database_month_usd(name) is None]
    assert unpriced == ["aurora.t4g.small"]  # Aurora has no such class any more


@pytest.mark.parametrize(
    ("profile", "database_usd", "proxy_usd"),
    [
        ("rds.t4g.medium", 0.065 * 730, 0.015 * 2 * 730),
        ("aurora.r6g.xlarge", 0.519 * 730, 0.015 * 4 * 730),
        ("aurora.v2-1", 0.12 * 730, 0.015 * 8 * 730),  # a proxy is paid for 8 ACUs at least
        ("aurora.v2-16", 0.12 * 16 * 730, 0.015 * 16 * 730),
        ("", None, None),
    ],
)
def test_a_month_has_730_hours(profile, database_usd, proxy_usd):
    prices = prices_in("")
    assert prices.database_month_usd(profile) == pytest.approx(database_usd)
    assert prices.proxy_month_usd(profile) == pytest.approx(proxy_usd)


def test_the_command_prints_a_file_that_can_be_used(inside, tmp_path):
    code, out, _ = inside.run("prices")
    assert code == 0
    assert tomllib.loads(out) == tomllib.loads(prices_text())
    mine = tmp_path / "mine.toml"
    mine.write_text(out.replace("gb_second = 0.0000166667", "gb_second = 1"), "utf-8")
    assert prices_in(str(mine)).functions.gb_second == 1.0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("functions = 3", "Expected `object`, got `int` - at `$.functions`"),
        ("[functions]\nmillion_requests = -1\ngb_second = 1", ">= 0"),
        ("x = [", "is not TOML"),
        ("", "missing required field `functions`"),
        (prices_text().replace("rds.m7g.large", "rds.m7g.larg"), "did you mean rds.m7g.large?"),
        (prices_text().replace("region", "regoin"), "regoin"),
        (None, "cannot be read"),
    ],
)
def test_prices_that_make_no_sense_are_refused_before_anything_runs(inside, tmp_path, text, said):
    file = tmp_path / "prices.toml"
    if text is not None:
        file.write_text(text, "utf-8")
    code, _, err = inside.run("bench", "quick", "--server", "local", "--prices", str(file), "--out", "r")
    assert code == 2
    assert said in err
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("team=web", Tag("", "team", "web")),
        ("a:team=web", Tag("a", "team", "web")),
        ("team=", Tag("", "team", "")),
        ("a:cost centre=12=3", Tag("a", "cost centre", "12=3")),
    ],
)
def test_a_tag_is_of_all_functions_or_of_one(text, tag):
    assert tags_in([text], [FLEET]) == [tag]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("team", "write key=value"),
        ("=web", "write key=value"),
        ("c:team=web", "no function is called 'c'"),
        ("", "write"),
    ],
)
def test_a_tag_of_nobody_is_refused(text, said):
    with pytest.raises(UsageError, match=said):
        plan_with("quick", {"strategies": [FLEET], "tags": [text]})


def test_what_is_said_of_one_function_goes_before_what_is_said_of_all_and_that_before_its_files():
    tags = tags_in(["a:team=web", "team=all"], [FLEET])
    described = {"b": {"team": "own", "kind": "api"}}
    assert parts_of_tags(FLEET, tags, described) == {"team=web": ["a"], "team=all": ["b"], "kind=api": ["b"]}


def test_a_run_of_one_strategy_has_its_own_tags_alone():
    assert tags_alone("managed", ["x=1", "a:x=2", "managed:x=3"]) == ["x=1", "managed:x=3"]


def test_a_run_has_costs_and_figures_for_each_tag_and_budgets_for_them(place):
    ran = place.run(
        "bench", "quick", "--server", "local", "--strategies", f"{FLEET},direct", "--rate", "40",
        "--duration", "2s", "--repetitions", "1", "--reruns", "0", "--max-connections", "90",
        "--profile", "rds.t4g.medium", "--memory-mb", "512",
        "--tag", "team=web", "--tag", "a:kind=new", "--out", "r",
        "--budget", f'"{FLEET}".tags."kind=new".error_ratio <= 1',
        "--budget", "direct.cost.million_usd > 0.2",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    assert "- kind=new" in ran.out
    folder = RunFolder.open(place.folder / "r")
    arms = json.loads(folder.summary.read_text())["arms"]
    fleet, direct = arms[FLEET]["median"], arms["direct"]["median"]
    assert list(direct["tags"]) == ["team=web"]
    assert direct["tags"]["team=web"]["arrivals_count"] == direct["arrivals_count"]
    assert fleet["tags"]["kind=new"] == fleet["parts"]["a"]
    # 512 MB are half a GB
    cost = direct["cost"]
    assert cost["million_usd"] == pytest.approx(0.2 + cost["billed_ms"] * 1000 / 2 * 0.0000166667)
    assert cost["month_usd"] == pytest.approx(cost["functions_month_usd"] + 0.065 * 730)

    run = folder.read_run()
    del run["prices"]  # as a run of before has none
    folder.write_run(run)
    median = write_report(folder)[0].arms["direct"].median
    assert median.good_ratio == direct["good_ratio"]
    assert median.cost.million_usd is median.cost.month_usd is None
