"""What every quantizer keeps to: shapes, round trip, access to codebooks, saving, empty input."""

import pytest
import torch

from audiotok.nn.quantizers import (
    FactorizedQuantizer,
    FactorizedResidualQuantizer,
    FiniteScalarQuantizer,
    GroupedQuantizer,
    GroupedVectorQuantizer,
    LookupFreeQuantizer,
    ResidualVectorQuantizer,
    SplitQuantizer,
    VectorQuantizer,
)
from audiotok.nn.quantizers.base import codebooks_of

# name -> how to build it for latents of 12 dimensions, sizes of its codebooks
QUANTIZERS = {
    "vq": (lambda: VectorQuantizer(32, 12), [(32, 12)]),
    "rvq": (lambda: ResidualVectorQuantizer(3, 32, 12), [(32, 12)] * 3),
    "rvq, projected": (lambda: ResidualVectorQuantizer(3, 32, 12, 5), [(32, 5)] * 3),
    "rvq, slower": (lambda: ResidualVectorQuantizer(2, 32, 12, strides=(3, 1)), [(32, 12)] * 2),
    "factorized": (lambda: FactorizedQuantizer(32, 12), [(32, 8)]),
    "factorized rvq": (lambda: FactorizedResidualQuantizer(3, 32, 12), [(32, 8)] * 3),
    "fsq": (lambda: FiniteScalarQuantizer((5, 4, 3), 12), [(60, 3)]),
    "fsq, twice": (lambda: FiniteScalarQuantizer((4,) * 4, 12, True), [(256, 4)]),
    "lfq": (lambda: LookupFreeQuantizer(12), [(4096, 12)]),
    "bsq": (lambda: LookupFreeQuantizer(12, spherical=True), [(4096, 12)]),
    "grouped": (lambda: GroupedVectorQuantizer(4, 32, 12), [(32, 3)] * 4),
    "groups": (
        lambda: GroupedQuantizer([ResidualVectorQuantizer(2, 32, 6) for _ in range(2)], 2),
        [(32, 6)] * 4,
    ),
    "split": (
        lambda: SplitQuantizer(
            ResidualVectorQuantizer(1, 64, 12, 6), ResidualVectorQuantizer(3, 32, 12, 6)
        ),
        [(64, 6), *[(32, 6)] * 3],
    ),
    "split, subtracted": (
        lambda: SplitQuantizer(
            FactorizedQuantizer(64, 12), FactorizedResidualQuantizer(2, 32, 12), subtract=True
        ),
        [(64, 8), *[(32, 8)] * 2],
    ),
}


@pytest.fixture(params=QUANTIZERS)
def built(request):
    torch.manual_seed(0)
    build, sizes = QUANTIZERS[request.param]
    quantizer = build()
    for buffer in quantizer.buffers():
        if buffer.shape[-2:] in sizes:
            buffer.normal_()
    return quantizer, sizes, build


def test_shapes_and_round_trip(built):
    quantizer, sizes, _ = built
    latents = torch.randn(2, 12, 7, requires_grad=True)
    result = quantizer(latents)
    codes = quantizer.encode(latents)
    assert result.quantized.shape == latents.shape
    assert codes.shape == (2, len(sizes), 7)
    assert codes.dtype == torch.int64
    assert torch.equal(result.codes, codes)
    torch.testing.assert_close(quantizer.decode(codes), result.quantized)
    for loss in result[2:]:
        assert loss.shape == ()
    (result.quantized.sum() + sum(result[2:])).backward()
    assert latents.grad.abs().sum() > 0


def test_codebooks_in_the_order_of_the_codes(built):
    quantizer, sizes, _ = built
    assert [tuple(codebook.shape) for codebook in codebooks_of(quantizer)] == sizes


def test_saved_and_loaded_it_gives_the_same(built):
    quantizer, _, build = built
    other, latents = build(), torch.randn(1, 12, 20)
    other.load_state_dict(quantizer.state_dict())
    assert torch.equal(other.encode(latents), quantizer.encode(latents))


def test_one_clip_or_many_one_frame_or_many(built):
    """Codes are a function of the latents alone, where no network's arithmetic comes before."""
    quantizer, _, _ = built
    latents = torch.randn(3, 12, 6)
    codes = quantizer.encode(latents)
    assert torch.equal(torch.cat([quantizer.encode(clip[None]) for clip in latents]), codes)
    assert torch.equal(quantizer.encode(latents[..., :3]), codes[..., :3])


def test_no_frames(built):
    quantizer, sizes, _ = built
    if any(isinstance(module, torch.nn.Conv1d) for module in quantizer.modules()):
        return  # PyTorch's convolutions refuse an empty input
    codes = quantizer.encode(torch.zeros(2, 12, 0))
    assert codes.shape == (2, len(sizes), 0)
    assert quantizer.decode(codes).shape == (2, 12, 0)
