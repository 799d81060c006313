"""Durations, global codes and tokens without a decoder: files, bitrates, sequences."""

import base64
import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from audiotok.errors import TokensError
from audiotok.tokens import durations
from audiotok.tokens.entropy import entropy
from audiotok.tokens.tokens import Tokens, entropy_bitrate

# a file of format atok-1, as version 0.1.0 wrote it: strides (2, 1) and side information
OLD = (
    "aAEAAAAAAAB7Il9fbWV0YWRhdGFfXyI6eyJmb3JtYXQiOiJhdG9rLTEiLCJjb2RlYyI6InR3byIsImZpbmdlcnByaW"
    "50IjoiZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZmZm"
    "ZiIsIm51bV9zYW1wbGVzIjoiMzAwIiwic2FtcGxlX3JhdGUiOiIxNjAwMCIsInNoYXBlIjoiMSwyLDMiLCJjb2RlYm"
    "9va19zaXplcyI6IjgsMyIsInN0cmlkZXMiOiIyLDEiLCJjcmMzMiI6IjBiYjFmNGVlIn0sImNvZGVzIjp7ImR0eXBl"
    "IjoiVTgiLCJzaGFwZSI6WzJdLCJkYXRhX29mZnNldHMiOlswLDJdfSwic2lkZSI6eyJkdHlwZSI6Ikk2NCIsInNoYX"
    "BlIjpbMl0sImRhdGFfb2Zmc2V0cyI6WzIsMThdfX2sGAEAAAAAAAAA/v////////8="
)


def clip(codes, sizes, **more):
    codes = torch.tensor(codes)
    codes = codes[None] if codes.ndim == 2 else codes
    return Tokens(codes, "some", "f" * 64, 100 * codes.shape[2], 16_000, sizes, **more)


def random_clip(seed, channels, strides, frames, most, merged=None):
    generator = torch.Generator().manual_seed(seed)
    unit = math.lcm(*strides)
    units = torch.randint(
        2, (channels, len(strides), -(-frames // unit), unit), generator=generator
    )
    lengths = torch.randint(1, 6, (units.shape[2],), generator=generator)
    codes = units.repeat_interleave(lengths, 2).flatten(2)[..., :frames]
    frame = torch.arange(frames)
    codes = torch.stack([codes[:, k, frame - frame % s] for k, s in enumerate(strides)], 1)
    sizes = tuple(range(2, 2 + len(strides)))
    return Tokens(
        codes, "some", "f" * 64, 100 * frames, 16_000, sizes, strides, max_duration=most,
        merged_codebooks=merged,
    )  # fmt: skip


def equal(left, right):
    for name in ("codec", "num_samples", "codebook_sizes", "strides", "max_duration", "needs"):
        assert getattr(left, name) == getattr(right, name)
    assert left.merged_codebooks == right.merged_codebooks
    assert torch.equal(left.codes, right.codes)


def test_a_run_of_equal_codes_counts_once_and_long_runs_are_cut():
    tokens = clip([[7, 7, 7, 7, 7, 3, 7, 7]], (8,), max_duration=4)
    assert tokens.durations.tolist() == [4, 1, 1, 2]
    assert tokens.free_codes[0].tolist() == [[7, 7, 3, 7]]
    assert tokens.num_bits == 4 * 3 + 4 * 2
    fixed = replace(tokens, max_duration=1)
    assert fixed.merged_codebooks == 0 and replace(fixed, max_duration=4).merged_codebooks == 1
    assert fixed.num_bits == 8 * 3 and fixed.durations is None
    bits = 4 * entropy(np.array([3, 1]), 8) + 4 * entropy(np.array([2, 1, 1]), 4)
    assert entropy_bitrate([tokens]) * tokens.duration == pytest.approx(bits)


def test_only_the_merged_codebooks_share_codes():
    tokens = clip([[5, 5, 5, 5], [0, 1, 0, 1]], (8, 2), max_duration=2, merged_codebooks=1)
    assert [len(free[0]) for free in tokens.free_codes] == [2, 4]
    assert tokens.first(1).durations.tolist() == [2, 2]
    with pytest.raises(TokensError, match="1 of 2 codebooks share segments"):
        tokens.to_sequence()


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("strides", [(1,), (1, 1, 1), (4, 2, 1), (2, 3)])
@pytest.mark.parametrize("merged", [None, 1])
def test_files_give_the_same_tokens(channels, strides, merged):
    for frames in (1, 11, 24, 61):
        tokens = random_clip(frames, channels, strides, frames, most=3, merged=merged)
        data = tokens.to_bytes()
        equal(Tokens.from_bytes(data), tokens)
        assert b"atok-2" in data
        for position in range(len(data) - 8, len(data)):  # durations are under the checksum
            damaged = bytearray(data)
            damaged[position] ^= 1
            with pytest.raises(TokensError):
                Tokens.from_bytes(bytes(damaged))


@pytest.mark.parametrize("strides", [(1,), (1, 1), (4, 2, 1)])
@pytest.mark.parametrize("pattern", ["parallel", "delay", "interleaved", "coarse_first"])
def test_sequences_hold_durations_as_a_last_codebook(strides, pattern):
    for frames in (4, 13, 40):
        tokens = random_clip(frames, 1, strides, frames, most=4)
        ids = tokens.to_sequence(pattern, offset=10, special=("bos", "eos"))
        back = tokens.from_sequence(ids, pattern, offset=10, special=("bos", "eos"))
        equal(back, tokens)
        segmented = tokens.segmented()
        assert segmented.codebook_sizes == (*tokens.codebook_sizes, 4)
        assert math.isclose(segmented.num_bits, tokens.num_bits)


def test_a_duration_out_of_range_is_refused():
    tokens = clip([[1, 1, 0]], (2,), max_duration=2)
    assert tokens.to_sequence().tolist() == [1, 3, 0, 2]
    with pytest.raises(TokensError, match="code 2 in codebook 1"):
        tokens.from_sequence([1, 4, 0, 2])


def test_segments_restart_after_the_longest():
    starts = torch.tensor([True, *[False] * 6, True, False])
    assert durations.limited(starts, 3).nonzero()[:, 0].tolist() == [0, 3, 6, 7]
    lengths = durations.durations_of(durations.limited(starts, 3))
    assert lengths.tolist() == [3, 3, 1, 2]
    assert torch.equal(durations.starts_of(lengths, 9), durations.limited(starts, 3))
    with pytest.raises(TokensError, match="add up to 9 units"):
        durations.starts_of(lengths, 8)


def test_global_codes_are_bits_per_clip():
    plain = clip([[1, 0, 1]], (2,))
    voiced = replace(plain, global_codes=torch.tensor([[4095, 3, 0]]), global_sizes=(4096, 4, 2))
    assert voiced.num_bits == plain.num_bits + 12 + 2 + 1
    again = Tokens.from_bytes(voiced.to_bytes())
    assert again.global_codes.tolist() == [[4095, 3, 0]] and again.global_sizes == (4096, 4, 2)
    side = replace(voiced, side=torch.tensor([7, 8]))
    assert Tokens.from_bytes(side.to_bytes()).side.tolist() == [7, 8]
    with pytest.raises(TokensError, match="no place for 3 global codes"):
        voiced.to_sequence()
    for wrong in (torch.tensor([[4096, 0, 0]]), torch.tensor([[0, 0]]), None):
        with pytest.raises(TokensError, match="global codes"):
            replace(voiced, global_codes=wrong)


def test_tokens_without_a_decoder_say_what_they_need():
    units = clip([[1, 0]], (2,), needs="a vocoder trained on these units")
    assert Tokens.from_bytes(units.to_bytes()).needs == units.needs
    with pytest.raises(TokensError, match="one line"):
        replace(units, needs="a\nb")


@pytest.mark.parametrize("more", [{"max_duration": 0}, {"max_duration": 33},
                                  {"max_duration": 2, "merged_codebooks": 2}])  # fmt: skip
def test_impossible_numbers_are_refused(more):
    with pytest.raises(TokensError, match="is not an integer in"):
        clip([[1, 0]], (2,), **more)


def test_units_of_odd_strides_are_refused():
    codes = torch.zeros(1, 3, 8, dtype=torch.int64)
    with pytest.raises(TokensError, match="unit in frames 24273 is not an integer in 1..1024"):
        Tokens(codes, "a", "b", 1, 16_000, (2,) * 3, (31, 29, 27), max_duration=2)


def test_files_of_the_old_format_are_read_and_still_written():
    tokens = Tokens.from_bytes(base64.b64decode(OLD))
    assert tokens.codes.tolist() == [[[5, 5, 3], [0, 1, 2]]] and tokens.strides == (2, 1)
    assert tokens.side.tolist() == [1, -2] and tokens.max_duration == 1
    assert tokens.to_bytes() == base64.b64decode(OLD)
