"""Who is refused by the page."""

import pytest

from loadtest.webui.guard import is_loopback, refusal

HERE = "127.0.0.1"


@pytest.mark.parametrize("host", ["127.0.0.1:8089", "localhost:8089", "[::1]:8089", "127.0.0.1"])
@pytest.mark.parametrize("origin", [None, "same"])
def test_the_page_itself_and_tools_are_welcome(host, origin):
    assert refusal(host, f"http://{host}" if origin else None, HERE) == ""


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9", "http://localhost:8089", ""]
)
def test_a_page_of_another_origin_is_refused(origin):
    assert "not from this page" in refusal("127.0.0.1:8089", origin, HERE)


@pytest.mark.parametrize(
    "host",
    ["evil.example:8089", "127.0.0.1.evil.example", "", "10.0.0.1:8089", "localhost.evil", "[::1", "[evil]"],
)
def test_a_strange_name_that_points_here_is_refused(host):
    assert "answers at 127.0.0.1 only" in refusal(host, None, HERE)


def test_whoever_listens_elsewhere_is_asked_for_by_any_name_but_from_its_own_page_only():
    assert refusal("load.example:8089", "https://load.example:8089", "0.0.0.0") == ""
    assert refusal("load.example:8089", "http://evil.example", "0.0.0.0")


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://load.example", "load.example"),
        ("https://load.example", "load.example:443"),  # as a proxy that ends TLS may pass it on
        ("https://load.example:443", "load.example"),
        ("http://load.example", "load.example:80"),
        ("https://Load.Example", "load.example:443"),
        ("http://[2001:db8::1]:8089", "[2001:db8::1]:8089"),
        ("https://[2001:db8::1]", "[2001:db8::1]:443"),
    ],
)
def test_the_port_that_a_scheme_means_need_not_be_written_out(origin, host):
    assert refusal(host, origin, "0.0.0.0") == ""


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("http://load.example", "load.example:443"),
        ("https://load.example", "load.example:80"),
        ("https://load.example:8443", "load.example"),
        ("https://load.example.evil", "load.example:443"),
        ("https://load.example@evil.example", "load.example"),
        ("https://evil.example@load.example", "load.example"),
        ("https://evil.example", "127.0.0.1:8089"),  # a proxy that does not pass Host on
        ("ftp://load.example", "load.example"),
        ("//load.example", "load.example"),
        ("https://", ""),
        ("https://load.example:none", "load.example"),
        ("https://load.example", "load.example:none"),
    ],
)
def test_another_origin_stays_another_one_whatever_its_port(origin, host):
    assert "not from this page" in refusal(host, origin, "0.0.0.0")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("localhost", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("0.0.0.0", False),
        ("", False),
    ],
)
def test_loopback_names(name, expected):
    assert is_loopback(name) is expected
