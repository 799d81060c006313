"""Tokens made on the spot, and a comparison of two."""

import torch

from audiotok.tokens import Tokens


def make(sizes=(1000, 5), strides=(1, 1), num_frames=20, side=None, channels=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for size, stride in zip(sizes, strides, strict=True):
        free = torch.randint(size, (channels, -(-num_frames // stride)), generator=generator)
        rows.append(free.repeat_interleave(stride, -1)[:, :num_frames])
    codes = torch.stack(rows, 1)
    return Tokens(codes, "tiny:a=1", "ab" * 32, 16_000, 16_000, sizes, strides, side)


def same(one, other):
    assert torch.equal(one.codes, other.codes)
    assert (one.side is None) == (other.side is None)
    if one.side is not None:
        assert torch.equal(one.side, other.side) and one.side.dtype == other.side.dtype
    for field in (
        "codec", "fingerprint", "num_samples", "sample_rate", "codebook_sizes", "strides"
    ):  # fmt: skip
        assert getattr(one, field) == getattr(other, field)


def tokens_of(codes, sizes, strides=(), num_samples=16_000, **more):
    codes = torch.tensor(codes)[None]
    return Tokens(codes, "tiny", "ab", num_samples, 16_000, sizes, strides, **more)
