"""Segments that codebooks share, in every quantizer that runs at strides."""

import pytest
import torch
from torch import nn

from audiotok.codec.merged import SimilaritySearch
from audiotok.codecs._searches import residual_codes
from audiotok.kernels import vq_argmin
from audiotok.nn.quantizers import (
    FactorizedResidualQuantizer,
    ResidualVectorQuantizer,
    SplitQuantizer,
    merged,
)
from audiotok.nn.quantizers.strided import SharedStride, pool, repeat, sharing

LENGTHS = torch.tensor([2, 1, 3, 1])


def quantizer(kind, strides):
    torch.manual_seed(0)
    if kind == "split":
        parts = [ResidualVectorQuantizer(n, 16, 8) for n in (1, len(strides) - 1)]
        built = SplitQuantizer(*parts, subtract=True)
        for part in parts:
            part.codebooks.normal_()
        built.merge(strides)
        return built.encode
    if kind == "transformers":
        layers = [Layer() for _ in strides]
        return lambda latents: residual_codes(layers, latents, strides)
    if kind == "factorized":
        built = FactorizedResidualQuantizer(len(strides), 16, 8, codebook_dim=4)
    else:
        built = ResidualVectorQuantizer(len(strides), 16, 8)
        built.codebooks.normal_()
    return merged(built, strides).encode


class Layer(nn.Module):
    """As a layer of a quantizer of transformers."""

    def __init__(self):
        super().__init__()
        self.codebook = torch.randn(16, 8)

    def encode(self, latents):
        rows = latents.transpose(1, 2).flatten(0, 1).contiguous()
        return vq_argmin(rows, self.codebook).view(len(latents), -1)

    def decode(self, codes):
        return self.codebook[codes].transpose(1, 2)


@pytest.mark.parametrize("kind", ["rvq", "factorized", "split", "transformers"])
@pytest.mark.parametrize("strides", [(1, 1, 1), (4, 2, 1)])
def test_all_codebooks_share_the_segments_of_the_mean(kind, strides):
    """As the plain quantizer of the mean units, each repeated over its segment."""
    unit = max(strides)
    latents = torch.randn(1, 8, 7 * unit, generator=torch.Generator().manual_seed(1))
    units = latents.unflatten(-1, (7, unit))
    means = torch.stack([part.mean(2) for part in units.split(LENGTHS.tolist(), 2)], 2)
    plain = quantizer(kind, strides)(means.flatten(2))
    expected = plain.unflatten(-1, (4, unit)).repeat_interleave(LENGTHS, 2).flatten(2)
    shared = quantizer(kind, tuple(map(SharedStride, strides)))
    with sharing(LENGTHS, unit):
        assert torch.equal(shared(latents), expected)
    assert torch.equal(shared(latents), quantizer(kind, strides)(latents))  # outside: not shared


@pytest.mark.parametrize("kind", ["rvq", "factorized", "split", "transformers"])
def test_the_other_codebooks_keep_their_frames(kind):
    latents = torch.randn(2, 8, 9, generator=torch.Generator().manual_seed(1))
    first = quantizer(kind, (SharedStride(1), 1, 1))
    codes = SimilaritySearch(first, -1.0, 3, 1)(latents)
    runs = codes[:, 0].unflatten(-1, (3, 3))
    assert (runs == runs[..., :1]).all()
    fixed = quantizer(kind, (3, 1, 1))(latents)  # all similar: the same as merge=3
    assert torch.equal(codes, fixed)


def test_pool_and_repeat_at_a_shared_stride():
    latents = torch.arange(7.0).expand(1, 2, -1)
    with sharing(LENGTHS, 1):
        means = pool(latents, SharedStride(1))
        assert means[0, 0].tolist() == [0.5, 2, 4, 6]
        again = repeat(means, SharedStride(1), 7)
        assert again[0, 0].tolist() == [0.5, 0.5, 2, 4, 4, 4, 6]
        assert pool(latents, 2)[0, 0].tolist() == [0.5, 2.5, 4.5, 6]  # a plain stride: not shared
        assert pool(latents, 1) is latents
