import pytest


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch):
    """None of the machine's own passwords and accounts."""
    monkeypatch.delenv("LOADTEST_PASSWORD", raising=False)
    monkeypatch.delenv("LOADTEST_ADMIN_DSN", raising=False)
