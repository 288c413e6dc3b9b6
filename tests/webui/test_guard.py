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
    "host", ["evil.example:8089", "127.0.0.1.evil.example", "", "10.0.0.1:8089", "localhost.evil"]
)
def test_a_strange_name_that_points_here_is_refused(host):
    assert "answers at 127.0.0.1 only" in refusal(host, None, HERE)


def test_whoever_listens_elsewhere_is_asked_for_by_any_name_but_from_its_own_page_only():
    assert refusal("load.example:8089", "https://load.example:8089", "0.0.0.0") == ""
    assert refusal("load.example:8089", "http://evil.example", "0.0.0.0")


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
