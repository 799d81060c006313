"""Merging proven on codecs of ours: what VALL-E R's section 3.1 says, bit for bit and on disk."""

import math

import numpy as np
import pytest
import safetensors.torch
import torch
from support import stranger_codec
from support.stranger_codec import HOP, Stranger

import audiotok
from audiotok.codec.merged import merge
from audiotok.codec.variants import vary
from audiotok.errors import CheckpointError, CodecError
from audiotok.sound.audio import Audio
from audiotok.testing import sounds
from audiotok.tokens import Tokens

CARD = Stranger.CARDS[0]
LENGTHS = (1, HOP - 1, HOP, HOP + 1, 3 * HOP, 7 * HOP - 2, 8_000, 33 * HOP + 1)
RATES = ((2, 1, 1), (3, 3, 3), (1, 2, 3), (4, 2, 1), (2, 3, 5))


def load(options=""):
    return Stranger(vary(CARD, options, Stranger.OPTIONS))


def speech(num_samples, rate=8_000):
    samples = sounds.voice(rate, 5.0)[:num_samples]
    return Audio(torch.from_numpy(samples[None]).float(), rate)


def nearest(row, codebook):
    """The lowest index of the smallest distance, in fp64."""
    return int((row.double() - codebook.double()).square().sum(-1).argmin())


def repeat_then_quantize(latents, codebooks, rates):
    """Section 3.1 step by step: pool, repeat, search every frame, subtract from the un-pooled.

    (D, T), K of (V, D) -> (K, T).
    """
    residual, result = latents, []
    for codebook, rate in zip(codebooks, rates, strict=True):
        repeated = torch.cat(
            [group.mean(1, keepdim=True).expand_as(group) for group in residual.split(rate, 1)], 1
        )
        codes = [nearest(frame, codebook) for frame in repeated.T]
        result.append(codes)
        residual = residual - codebook[codes].T
    return torch.tensor(result)


def test_the_codec_uses_its_codes():
    tokens = load().encode(speech(40_000))
    assert min(row.unique().numel() for row in tokens.codes[0]) > 15


@pytest.mark.parametrize("rates", RATES, ids=str)
def test_repeat_then_quantize_is_quantize_then_repeat(rates):
    codec = load("merge=" + "/".join(map(str, rates)))
    for length in LENGTHS:
        audio = speech(length)
        with torch.no_grad():
            (latents,) = codec.network.latents(audio.waveform[None])
        expected = repeat_then_quantize(latents, codec._codebooks(), rates)
        tokens = codec.encode(audio)
        assert torch.equal(tokens.codes[0], expected), length
        assert tokens.num_frames == -(-length // HOP)


def test_merge_1_is_no_merge():
    plain, same = load(), load("merge=1/1/1")
    assert torch.equal(plain.encode(speech(9_999)).codes, same.encode(speech(9_999)).codes)
    assert (same.card.bitrate, same.card.lookahead) == (plain.card.bitrate, 0)


@pytest.mark.parametrize("rates", RATES, ids=str)
@pytest.mark.parametrize("length", LENGTHS)
def test_rates_and_files_are_right_to_the_bit(rates, length):
    codec = load("merge=" + "/".join(map(str, rates)))
    tokens = codec.encode(speech(length))
    frames = -(-length // HOP)
    free = [math.ceil(frames / rate) for rate in rates]
    assert tokens.num_bits == 5 * sum(free)  # 32 codewords: 5 bits
    assert codec.card.token_rate == pytest.approx(sum(100 / rate for rate in rates))
    assert codec.card.bitrate == pytest.approx(5 * codec.card.token_rate)
    data = tokens.to_bytes()
    stored = safetensors.torch.load(data)["codes"]
    assert stored.numel() == sum(math.ceil(5 * n / 8) for n in free)
    bits = np.unpackbits(stored.numpy())
    first = bits[: 5 * free[0]].reshape(-1, 5) @ [16, 8, 4, 2, 1]
    assert first.tolist() == tokens.codes[0, 0, :: rates[0]].tolist()
    again = Tokens.from_bytes(data)
    assert torch.equal(again.codes, tokens.codes) and again.strides == rates
    assert codec.decode(again).num_samples == length
    assert torch.equal(load().decode(again).waveform, codec.decode(tokens).waveform)
    assert tokens.to_sequence().numel() == sum(free)


def test_the_paper_s_choice_halves_the_first_codebook():
    card = vary(CARD, "merge=2", {})
    assert (card.strides, card.token_rate, card.bitrate) == ((2, 1, 1), 250, 1250)
    assert vary(CARD, "codebooks=1,merge=2", {}).bitrate == 250
    assert vary(CARD, "codebooks=1,merge=2", {}).description.endswith("plain pooling over time")


@pytest.mark.parametrize(
    ("rates", "frames"), [((1,), 0), ((2,), 1), ((1, 3), 2), ((3, 3, 3), 2), ((2, 3), 3)]
)
def test_a_merged_code_waits_for_the_frames_that_share_it(rates, frames):
    assert merge(CARD, rates).lookahead == frames * HOP
    assert merge(CARD.model_copy(update={"lookahead": None}), rates).lookahead is None


def test_more_frames_than_a_file_can_say_are_refused():
    assert vary(CARD, "merge=32", {}).strides == (32, 1, 1)
    with pytest.raises(CodecError, match="merge=33/1/1 lets 33 frames of .* 32 is the most"):
        vary(CARD, "merge=33", {})
    with pytest.raises(CodecError, match="merge=2/2/2/2 names 4 codebooks"):
        vary(CARD, "merge=2/2/2/2", {})


def test_latents_that_are_not_finite_spoil_their_group_only():
    codec = load("merge=2/2/2")
    with torch.no_grad():
        latents = codec.network.latents(speech(8 * HOP).waveform[None])
    latents[0, 3, 5] = float("nan")
    codes = codec.quantizer.encode(latents)[0]
    assert (codes[:, 4:6] == -1).all() and (codes[:, :4] >= 0).all() and (codes[:, 6:] >= 0).all()


@pytest.fixture(scope="module")
def mini():
    try:
        return audiotok.load("wavtokenizer")
    except CheckpointError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("rate", [2, 3])
def test_plain_pooling_of_wavtokenizer(mini, rate):
    codec = audiotok.load(f"wavtokenizer:merge={rate}")
    assert codec.card.name == f"wavtokenizer-mini:merge={rate}"
    assert codec.card.bitrate == pytest.approx(960 / rate)
    for length in (1, 200, 16_000, 16_001):
        audio = speech(length, 16_000)
        with torch.no_grad():
            (latents,) = codec.network.encoder(audio.waveform[None])
        tokens = codec.encode(audio)
        assert torch.equal(
            tokens.codes[0], repeat_then_quantize(latents, codec._codebooks(), [rate])
        )
        assert tokens.num_bits == 12 * math.ceil(math.ceil(length / 200) / rate)
        assert mini.decode(tokens).num_samples == length
    assert torch.equal(
        audiotok.load("wavtokenizer:merge=1").encode(audio).codes, mini.encode(audio).codes
    )


def test_the_stranger_is_the_one_on_disk():
    """The codec that other tests load by its path takes the same options."""
    codec = audiotok.load(f"{stranger_codec.__file__}::stranger-8k:merge=2,codebooks=2")
    assert codec.card.strides == (2, 1)
