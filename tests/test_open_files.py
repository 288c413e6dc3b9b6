import resource

import pytest

from loadtest import open_files


@pytest.mark.parametrize(
    ("hard", "most", "expected"),
    [
        (4096, 4096, 4096),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, resource.RLIM_INFINITY),
        (resource.RLIM_INFINITY, 1_048_576, 1_048_576),  # Linux
        (resource.RLIM_INFINITY, 10_240, 10_240),  # macOS
        (resource.RLIM_INFINITY, 100, 50),  # nothing of all that: it stays as it was
    ],
)
def test_a_process_may_open_as_many_files_as_the_system_lets_it(monkeypatch, hard, most, expected):
    limits = {resource.RLIMIT_NOFILE: (50, hard)}

    def setrlimit(kind, pair):
        if most != resource.RLIM_INFINITY and not 0 <= pair[0] <= most:
            raise ValueError("current limit exceeds maximum limit")
        limits[kind] = pair

    monkeypatch.setattr(resource, "getrlimit", limits.__getitem__)
    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    open_files.allow_open_files()
    assert limits[resource.RLIMIT_NOFILE] == (expected, hard)
