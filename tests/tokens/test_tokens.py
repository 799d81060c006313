"""Tokens: what is valid, bitrates, and what a sequence of another length becomes."""

import math

import pytest
import torch
from support.token_kit import make, tokens_of

from audiotok.errors import TokensError
from audiotok.tokens.tokens import Tokens, entropy_bitrate


@pytest.mark.parametrize(
    ("codes", "sizes", "strides", "message"),
    [
        ([[0, 1, 4]], (4,), (), "code 4 in codebook 0 at frame 2 is not in 0..3"),
        ([[0, -2, 1]], (4,), (), "code -2 in codebook 0 at frame 1"),
        ([[0, 1], [0, -1]], (4, 4), (), "code -1 in codebook 1 at frame 1 .* were not finite"),
        ([[0, 1]], (4, 4), (), "1 codebooks have 2 sizes"),
        ([[0, 1]], (4,), (1, 1), "1 codebooks have 1 sizes and 2 strides"),
        ([[0, 1, 1], [0, 0, 0]], (4, 4), (2, 1), "codebook 0 changes more often than every 2"),
        ([[0.5]], (4,), (), "int64 tensor .* not torch.float32 of shape"),
        ([0, 1], (4,), (), "of shape \\(1, 2\\)"),
        ([[]], (4,), (), "not torch.float32|frames 0"),
    ],
)
def test_refuses(codes, sizes, strides, message):
    with pytest.raises(TokensError, match=message):
        tokens_of(codes, sizes, strides)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("num_samples", 0, "num_samples 0 is not an integer in 1.."),
        ("num_samples", 1.5, "num_samples 1.5"),
        ("sample_rate", 10, "sample_rate 10 is not"),
        ("codec", None, "codec is text"),
        ("fingerprint", "", "fingerprint is text"),
        ("codebook_sizes", (2**25,), "codebook_size 33554432"),
        ("side", torch.zeros(3), "side information is int32 or int64, not torch.float32"),
    ],
)
def test_refuses_fields(field, value, message):
    fields = dict(
        codes=torch.zeros(1, 1, 3, dtype=torch.int64), codec="a", fingerprint="b",
        num_samples=5, sample_rate=16_000, codebook_sizes=(4,),
    )  # fmt: skip
    with pytest.raises(TokensError, match=message):
        Tokens(**(fields | {field: value}))


def test_bitrates():
    tokens = tokens_of([[0, 0, 1, 1, 2], [0, 1, 2, 3, 4]], (4, 1000), (2, 1), num_samples=8_000)
    assert tokens.duration == 0.5
    assert tokens.num_bits == pytest.approx(3 * 2 + 5 * math.log2(1000))
    assert tokens.bitrate == pytest.approx(2 * tokens.num_bits)
    assert tokens.file_bitrate == 16 * len(tokens.to_bytes())
    with_side = tokens_of([[1, 2]], (4,), side=torch.zeros(3, dtype=torch.int32))
    assert with_side.num_bits == 2 * 2 + 3 * 32


def test_entropy_bitrate_by_hand():
    one = tokens_of([[0, 0, 1, 1]], (8,))
    other = tokens_of([[2, 2, 3, 3]], (8,))
    # all codes are seen twice: each share is 1/2 or 1/4, and psi(n) - psi(2) = 1/2 + ... + 1/(n-1)
    assert entropy_bitrate([one]) == pytest.approx(4 * (1 / 2 + 1 / 3) / math.log(2))
    harmonic = sum(1 / k for k in range(2, 8))
    assert entropy_bitrate([one, other]) == pytest.approx(8 * harmonic / math.log(2) / 2)
    narrow = tokens_of([[0, 0, 1, 1]], (2,))
    assert entropy_bitrate([narrow]) == 4  # never above log2(V) bits each
    assert entropy_bitrate([tokens_of([[3, 3, 3]], (4,))]) == 0
    with pytest.raises(TokensError, match="no tokens"):
        entropy_bitrate([])
    with pytest.raises(TokensError, match="different codecs"):
        entropy_bitrate([one, tokens_of([[0]], (5,))])


def test_first():
    tokens = make((4, 5, 6), (1, 2, 1))
    first = tokens.first(2)
    assert torch.equal(first.codes, tokens.codes[:, :2])
    assert (first.codebook_sizes, first.strides) == ((4, 5), (1, 2))
    for k in (0, 4):
        with pytest.raises(TokensError, match=f"cannot take {k} of 3"):
            tokens.first(k)


def test_a_sequence_of_another_length():
    tokens = tokens_of([[0, 1, 2, 3], [4, 5, 6, 7]], (10, 10), num_samples=640)
    longer = tokens.from_sequence(torch.cat([tokens.to_sequence()] * 2))
    assert longer.num_samples == 1280 and longer.num_frames == 8
