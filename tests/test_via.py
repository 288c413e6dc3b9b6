"""`--via`: what one writes, what is refused, and a run of each kind of proxy on a real server."""

import json

import pytest

from loadtest.errors import UsageError
from loadtest.settings.plan import Plan
from loadtest.settings.plan_options import build
from loadtest.settings.strategy import arm_name, parse, part_names
from loadtest.settings.via import Via, alone, via_in, vias_in
from tests.places import ROOT, ended
from tests.waiting import wait_until

OWN = "rds=mysql://app@127.0.0.1:6033/shop"


@pytest.mark.parametrize(
    ("text", "name", "spec", "via"),
    [
        ("cached@router", "cached@router", "cached", "router"),
        ("a=cached@haproxy", "a", "cached", "haproxy"),
        ("shop.module:Mine@rds", "shop.module:Mine@rds", "shop.module:Mine", "rds"),
        ("f=lambda:python:./app.handler@rds", "f", "lambda:python:./app.handler", "rds"),
        ("cached", "cached", "cached", ""),
    ],
)
def test_a_strategy_goes_through_a_proxy_by_name(text, name, spec, via):
    (part,) = parse(text)
    assert (part.name, part.spec, part.via) == (name, spec, via)
    assert arm_name(text) == name


def test_parts_of_a_fleet_may_go_both_ways():
    text = "managed@router:0.25+managed:0.75"
    assert [(p.name, p.via, p.share) for p in parse(text)] == [
        ("managed@router", "router", 0.25), ("managed", "", 0.75),
    ]  # fmt: skip
    assert part_names(text) == ["managed@router", "managed"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("router", Via("router", "router")),
        ("haproxy", Via("haproxy", "haproxy")),
        (OWN, Via("rds", "given", "mysql://app@127.0.0.1:6033/shop")),
    ],
)
def test_a_proxy_is_one_of_ours_or_an_address(text, found):
    assert via_in(text) == found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ruter", "unknown proxy 'ruter' (did you mean router?); write router, haproxy, or NAME=mysql://"),
        ("", "unknown proxy ''"),
        ("mysql://app:secret@h/d", "unknown proxy 'mysql://…'"),
        ("router=mysql://a@h/d", "a proxy of your own cannot be called 'router'"),
        ("a b=mysql://a@h/d", "cannot be called 'a b'"),
        ("mysql://app:secret@h/d?ssl=1", "unknown proxy 'mysql://…'"),
        ("mysql://app:se=secret@h/d", "unknown proxy 'mysql://…'"),
        ("rds=mysql://app:secret@h/d", "proxy 'rds': leave the password out, and set LOADTEST_PASSWORD"),
        ("rds=postgres://a@h/d", "malformed DSN"),
        ("rds=", "malformed DSN"),
    ],
)
def test_what_is_no_proxy_is_refused_without_its_password(text, said):
    with pytest.raises(UsageError) as refused:
        via_in(text)
    assert said in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("vias", "strategies", "said"),
    [
        ([], ["cached@router"], "goes through 'router', which no --via names: give --via router"),
        ([], ["cached@rds"], "which no --via names: give --via rds=mysql://user@host:port/database"),
        ([OWN], ["cached@rd"], "goes through 'rd', which no --via names (did you mean rds?)"),
        (["router"], ["cached@rooter"], "goes through 'rooter', which no --via names (did you mean router?)"),
        (["router"], ["cached"], "no strategy goes through 'router': write one as in cached@router"),
        (["router", "router"], ["cached@router"], "two proxies are called 'router'"),
        (["router", OWN], ["a=cached@router:0.5+b=cached@rds:0.5"], "goes through rds and router: take one"),
    ],
)
def test_proxies_and_strategies_have_to_fit(vias, strategies, said):
    with pytest.raises(UsageError) as refused:
        vias_in(vias, strategies)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"faults": ["delay:ms=50@1+1"]}, "fault 'delay:ms=50@1+1' is between functions and the server"),
        ({"faults": ["dns@1+1"]}, "fault 'dns@1+1' is between functions and the server"),
        ({"workers": 2}, "workers elsewhere do not hear of the proxy 'router': leave out --workers"),
    ],
)
def test_what_cannot_be_together_is_refused(more, said):
    with pytest.raises(UsageError) as refused:
        build(Plan, {"strategies": ["cached@router"], "via": ["router"], **more}, "options")
    assert said in str(refused.value)


def test_a_run_of_one_strategy_has_its_proxy_alone():
    texts = ["router", "haproxy", OWN]
    assert alone("cached@rds", texts) == {"strategies": ["cached@rds"], "via": [OWN]}
    assert alone("cached", texts) == {"strategies": ["cached"], "via": []}


@pytest.mark.parametrize("command", ["bench", "capacity"])
def test_commands_refuse_before_anything_starts(inside, command):
    said = inside.refused(2, command, "quick", "--strategies", "cached", "--via", "router")
    assert "no strategy goes through 'router'" in said


@pytest.mark.parametrize("command", ["bench", "capacity"])
def test_a_proxy_on_another_machine_has_to_be_allowed(inside, command):
    own = "rds=mysql://app@192.0.2.7:6033/shop"  # TEST-NET-1, which is nobody's
    words = ["quick", "--server", "mysql://app@127.0.0.1:1/shop", "--strategies", "cached@rds", "--via", own]
    seen, out, err = inside.run(command, *words)
    assert (seen, out) == (2, "")
    assert "192.0.2.7:6033 is not this machine" in err
    assert "Nothing was sent there. If it may come to harm, allow it: --allow-remote" in err


def test_plain_locust_does_not_know_of_proxies(place):
    said = place.run(
        "-f", ROOT / "locustfiles" / "clients.py", "--headless", "-u", "1", "--strategy", "cached@router",
        module="locust", env={"LOADTEST_DSN": "mysql://a:b@127.0.0.1:1/d"},
    )  # fmt: skip
    assert said.code == 2
    assert "goes through router, which only `loadtest bench` and `loadtest web` put in front" in said.err


@pytest.mark.nightly
def test_a_proxy_that_ends_in_mid_run_ends_the_run(place):
    """The server is there all the time: nothing of this repetition is its."""
    bench = place.start(
        "bench", "quick", "--server", "local", "--via", "haproxy", "--strategies", "direct@haproxy",
        "--rate", "40", "--duration", "5s", "--repetitions", "2", "--reruns", "0", "--rate-per-user", "5",
    )  # fmt: skip
    wait_until(place.arrivals_recorded, 60)
    for process in place.processes("haproxy"):
        process.kill()
    ran = ended(bench, 90)
    assert ran.code == 3
    assert "the proxy 'haproxy' was lost in direct@haproxy/01: nothing listens on 127.0.0.1:" in ran.err
    said = " ".join((ran.out + ran.err).split())
    assert "direct@haproxy/01 is not valid for times: it was cut off before its end" in said


@pytest.mark.usefixtures("router_image")
@pytest.mark.nightly
def test_behind_router_a_manager_waits_for_a_server_that_is_away(place):
    """Router says so with an error of its own, on a connection that works."""
    ran = place.run(
        "bench", "quick", "--server", "docker", "--via", "router", "--strategies", "managed@router",
        "--rate", "20", "--duration", "8s", "--repetitions", "1", "--reruns", "0", "--rate-per-user", "5",
        "--fault", "kill@2+1", "--function-timeout", "10s", "--work-ms", "0", "--json",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    (figures,) = json.loads(ran.out)["arms"]["managed@router"]["repetitions"]
    assert figures["arrivals_count"] > 100, "the load went on"
    assert "2003 CR_CONN_HOST_ERROR" not in figures["errors"], figures["errors"]


@pytest.mark.usefixtures("router_image")
def test_a_run_compares_ways_to_the_server(place):
    """More containers than the server has connections, each with a connection that it keeps."""
    ran = place.run(
        "bench", "quick", "--server", "docker", "--via", "router", "--via", "haproxy",
        "--strategies", "cached,cached@router,managed@router,direct@haproxy,managed@router:0.5+managed:0.5",
        "--max-connections", "20", "--rate", "60", "--work-ms", "250", "--duration", "3s",
        "--repetitions", "1", "--rtt-ms", "0", "--cold-start-ms", "20", "--function-timeout", "9s",
        "--slo-ms", "9000", "--json", "--reap-probability", "0", "--workload", "ledger",
    )  # fmt: skip
    assert ran.code == 0, ran.err
    arms = {name: arm["repetitions"][0] for name, arm in json.loads(ran.out)["arms"].items()}
    assert arms["cached"]["errors"]["1040 ER_CON_COUNT_ERROR"] > 0
    assert "proxy" not in arms["cached"]
    for name in ("cached@router", "managed@router", "direct@haproxy"):
        assert arms[name]["integrity"]["lost_count"] == arms[name]["integrity"]["doubled_count"] == 0
        assert arms[name]["connections"]["peak_count"] <= 20
    for name in ("cached@router", "managed@router"):
        proxy = arms[name]["proxy"]
        assert proxy["clients_peak_count"] > 15
        assert proxy["waiting_peak_count"] is None, "Router does not say it"
        assert proxy["pinned_peak_count"] is not None
        held = {one["name"]: one["holds"] for one in arms[name]["reconciliation"]}
        assert held["arrivals"] is held["connections"] is True
        assert held["connects"] is held["statements"] is None
    haproxy = arms["direct@haproxy"]
    assert haproxy["errors"] == {}
    assert haproxy["proxy"]["waiting_peak_count"] > 0
    assert {one["holds"] for one in haproxy["reconciliation"]} == {True}
    (mixed,) = (arms[name] for name in arms if "+" in name)
    assert set(mixed["parts"]) == {"managed@router", "managed"}
    assert mixed["proxy"]["pinned_peak_count"] is None, "others are on the server, too"
