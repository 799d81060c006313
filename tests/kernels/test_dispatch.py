"""Which path is taken, what a missing compiler does, how much memory a search needs."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.hard import draw

from audiotok.kernels import RVQStep, cpu, dispatch, reference, rvq_encode, vq_argmin

ROOT = Path(__file__).resolve().parents[2]
needs_library = pytest.mark.skipif(cpu.LIBRARY is None, reason="no compiler at installation")


def test_the_path_is_the_best_there_is_or_the_one_asked_for(monkeypatch):
    monkeypatch.delenv("AUDIOTOK_KERNELS", raising=False)
    assert dispatch.path_for(torch.zeros(1)) == ("compiled" if cpu.LIBRARY else "torch")
    for name in ("reference", "torch", "triton"):
        monkeypatch.setenv("AUDIOTOK_KERNELS", name)
        assert dispatch.path_for(torch.zeros(1)) == name
    monkeypatch.setenv("AUDIOTOK_KERNELS", "cuda")
    with pytest.raises(ValueError, match="'cuda': expected one of reference, torch, compiled"):
        vq_argmin(draw(2, 3), draw(4, 3))


def test_without_the_library_pytorch_stands_in(monkeypatch):
    latents, codebooks = draw(30, 8), draw(2, 16, 8, seed=1)
    expected = reference.rvq_encode(latents, codebooks)
    monkeypatch.setattr(cpu, "LIBRARY", None)
    monkeypatch.delenv("AUDIOTOK_KERNELS", raising=False)
    assert dispatch.path_for(latents) == "torch"
    assert torch.equal(rvq_encode(latents, codebooks), expected)
    monkeypatch.setenv("AUDIOTOK_KERNELS", "compiled")
    with pytest.raises(ValueError, match="there is no compiled library: install audiotok again"):
        rvq_encode(latents, codebooks)


@needs_library
def test_an_unknown_instruction_set_is_explained(monkeypatch):
    monkeypatch.setenv("AUDIOTOK_KERNELS", "compiled")
    monkeypatch.setenv("AUDIOTOK_ISA", "mmx")
    with pytest.raises(ValueError, match="AUDIOTOK_ISA is 'mmx': expected one of scalar"):
        vq_argmin(draw(2, 3), draw(4, 3))


@pytest.fixture
def build(tmp_path, monkeypatch):
    """hatch_build.py, compiling into a folder of its own."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "LIBRARY", tmp_path / "_search.so")
    return module


@pytest.mark.parametrize(
    ("compiler", "reason"),
    [("/nowhere/c++", "/nowhere/c++ cannot be run: No such file"), ("false", "false failed")],
)
def test_a_compiler_that_does_not_work_is_one_line(build, monkeypatch, compiler, reason):
    monkeypatch.setenv("CXX", compiler)
    assert reason in build.compile_library()
    assert not build.LIBRARY.exists()


def test_no_compiler_at_all(build, monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    assert build.compile_library() == "no C++ compiler found"


def test_a_library_of_another_version_is_not_used(tmp_path, monkeypatch):
    (tmp_path / "_search.so").write_bytes(b"not a library")
    monkeypatch.setattr(cpu, "__file__", str(tmp_path / "cpu.py"))
    assert cpu._load() is None


MEMORY = """
import json, os, re, sys, torch
from pathlib import Path
from audiotok.kernels import rvq_encode
torch.set_num_threads(2)
def mib(field):
    return int(re.search(field + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
def needed(dimension, size, stages, rows):
    codebooks = torch.randn(stages, size, dimension)
    latents = torch.randn(rows, dimension)
    rvq_encode(latents[:1000], codebooks)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    before = mib("VmRSS")
    codes = rvq_encode(latents, codebooks)
    return mib("VmHWM") - before - codes.nbytes / 2**20
for case in json.loads(sys.argv[1]):
    if (child := os.fork()) == 0:  # each starts from the memory of a new process
        print(case, needed(*case), flush=True)
        os._exit(0)
    os.waitpid(child, 0)
"""
# distances would be 156 MiB; the latents that a stage leaves, 29 MiB
CASES = [(8, 1024, 1, 40_000), (64, 64, 3, 120_000)]  # dimension, size, stages, rows


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kernels", ["torch", pytest.param("compiled", marks=needs_library)])
def test_a_search_needs_at_most_16_mib_however_many_rows(kernels):
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, json.dumps(CASES)],
        env={**os.environ, "AUDIOTOK_KERNELS": kernels},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    needed = [float(line.split()[-1]) for line in done.stdout.splitlines()]
    assert len(needed) == len(CASES) and max(needed) <= 16, done.stdout + done.stderr


def test_a_step_gives_the_codes_of_its_frame(path):
    codebooks, latents = draw(4, 32, 16), draw(20, 16, seed=1)
    latents[3] = torch.nan
    step = RVQStep(codebooks, num_codebooks=3)
    codes = torch.cat([step(frame[None]).clone() for frame in latents])
    assert torch.equal(codes, reference.rvq_encode(latents, codebooks, 3))
    with pytest.raises(ValueError, match=r"latents are \(2, 16\): expected \(1, 16\)"):
        step(latents[:2])
