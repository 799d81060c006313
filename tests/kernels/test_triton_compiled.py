"""Triton kernels compiled for sm_90, without a GPU: shared memory, spills, tensor cores.

What is compiled is recorded from real calls, so sizes and settings are those of a launch.
"""

import os
import re

import pytest
import torch

pytest.importorskip("triton", reason="Triton is not installed")
if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("the interpreter does not compile", allow_module_level=True)

from support.ahead_of_time import TOOLS, compile_launch, recorded

from audiotok.kernels import triton_gpu

if not (TOOLS / "nvdisasm").exists():
    pytest.skip("this Triton brings no nvdisasm", allow_module_level=True)

MOST_SHARED = 227 * 1024
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


def stack(count, width, size, stages):
    triton_gpu.rvq_encode(torch.zeros(count, width), torch.rand(stages, size, width))


def single(count, width, size, metric="euclidean"):
    triton_gpu.vq_argmin(torch.zeros(count, width), torch.rand(size, width), metric)


def train():
    latents = torch.zeros(9000, 128, requires_grad=True)
    triton_gpu.vq_straight_through(latents, torch.rand(1024, 128)).commitment.backward()
    triton_gpu.code_statistics(latents, torch.zeros(9000, dtype=torch.int64), 1024)


def pack():
    codes = triton_gpu.fsq_encode(torch.zeros(1000, 4), (8, 5, 5, 5))
    triton_gpu.fsq_decode(codes, (8, 5, 5, 5))
    triton_gpu.lfq_decode(triton_gpu.lfq_encode(torch.zeros(1000, 13)), 13)


def decode():
    triton_gpu.rvq_decode(torch.zeros(1000, 8, dtype=torch.int64), torch.rand(8, 1024, 128))


def step():
    triton_gpu.prepare_step(torch.rand(2, 2048, 256), 1)(torch.zeros(1, 256))


CALLS = {
    "wavtokenizer": (lambda: single(4096, 512, 4096), {"_score_wide": "wgmma"}),
    "encodec": (lambda: stack(10_000, 128, 1024, 8), {"_encode": "wgmma"}),
    "encodec 10 s": (lambda: stack(750, 128, 1024, 2), {"_encode": "mma"}),
    "mimi": (lambda: stack(10_000, 256, 2048, 8), {"_encode": "wgmma"}),
    "mimi 10 s": (lambda: stack(750, 256, 2048, 2), {"_encode": "mma"}),
    "narrow stack": (lambda: stack(10_000, 8, 1024, 2), {"_encode": "wgmma"}),
    "dac": (lambda: single(10_000, 8, 1024, "cosine"), {"_score_narrow": None}),
    "odd sizes": (lambda: stack(2049, 100, 1023, 2), {"_encode": "wgmma"}),
    "one frame, mimi": (step, {}),
    "decode": (decode, {}),
    "training": (train, {"_encode": "wgmma"}),
    "packing": (pack, {}),
}


@pytest.mark.parametrize("name", CALLS)
def test_compiles_for_hopper(name):
    call, products = CALLS[name]
    with recorded() as launches:
        call()
    seen = {}
    for kernel, arguments, keywords in launches:
        settings = {k: v for k, v in keywords.items() if not isinstance(v, torch.Tensor)}
        key = (kernel.fn.__name__, tuple(sorted(settings.items())))
        if key not in seen:
            seen[key] = compile_launch(kernel, arguments, keywords)
    assert products.keys() <= {kernel.name for kernel in seen.values()}
    for kernel in seen.values():
        print(f"{name}: {kernel}")
        assert kernel.shared <= MOST_SHARED, kernel.name
        assert kernel.spills == 0, kernel.name
        product = products.get(kernel.name)
        assert (kernel.tensor_core > 0) == (product is not None), kernel.name
        assert product != "wgmma" or kernel.wgmma > 0, kernel.name
        assert "ld.global.nc" not in kernel.ptx, kernel.name  # some memory is written and re-read
        assert "fma.rn.f64" not in kernel.ptx, kernel.name  # would change exact decisions
        flushing = re.findall(r"(\S+\.ftz\S*)", kernel.ptx)
        assert set(flushing) <= {"sqrt.approx.ftz.f32"}, kernel.name  # never on residuals


@gpu
@pytest.mark.parametrize(("width", "size"), [(8, 1024), (128, 1024), (256, 2048), (512, 4096)])
def test_codes_on_a_gpu_equal_those_on_the_cpu(width, size):
    from audiotok.kernels import rvq_encode, vq_argmin

    generator = torch.Generator().manual_seed(0)
    codebooks = torch.randn(2, size, width, generator=generator)
    latents = codebooks[0, torch.randint(0, size, (3000,), generator=generator)]
    latents = latents + torch.randn(3000, width, generator=generator) / 4
    for search, words in ((vq_argmin, codebooks[0]), (rvq_encode, codebooks)):
        result = search(latents.cuda(), words.cuda()).cpu()
        assert torch.equal(result, search(latents, words))


@gpu
def test_a_captured_step_on_a_gpu():
    from audiotok.kernels import rvq_encode

    codebooks = torch.randn(8, 2048, 256, generator=torch.Generator().manual_seed(0))
    frames = torch.randn(5, 1, 256, generator=torch.Generator().manual_seed(1))
    step = triton_gpu.prepare_step(codebooks.cuda(), 1).capture()
    for frame in frames:
        assert torch.equal(step(frame.cuda()).cpu(), rvq_encode(frame, codebooks))
