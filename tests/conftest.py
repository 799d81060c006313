"""What all tests share: none of them reads or fills the user's cache."""

import pytest


@pytest.fixture(autouse=True)
def cache_of_its_own(monkeypatch, tmp_path_factory, request):
    folder = tmp_path_factory.getbasetemp() / "caches" / str(abs(hash(request.node.nodeid)))
    monkeypatch.setenv("AUDIOTOK_CACHE", str(folder))
