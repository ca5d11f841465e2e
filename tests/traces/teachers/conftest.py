import pytest


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests to the loopback must not go through a proxy of the machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
