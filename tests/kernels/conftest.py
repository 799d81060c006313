"""Every test that takes `path` runs on each way of searching that this machine has."""

import pytest

from audiotok.kernels import cpu

PATHS = ["torch", *(f"compiled-{isa}" for isa in cpu.isas())]


@pytest.fixture(params=PATHS)
def path(request, monkeypatch):
    """Forces a path and, where it is compiled, an instruction set."""
    kernels, _, isa = request.param.partition("-")
    monkeypatch.setenv("AUDIOTOK_KERNELS", kernels)
    if isa:
        monkeypatch.setenv("AUDIOTOK_ISA", isa)
    return request.param
