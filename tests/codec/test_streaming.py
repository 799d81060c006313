"""Streams: equal to the whole, bounded waiting, several at a time, and what they refuse."""

import numpy as np
import pytest
import torch
from support import tiny_codec
from support.stranger_codec import HOP, Stranger

import audiotok
from audiotok.codec.variants import vary
from audiotok.errors import AudioError, CodecError
from audiotok.sound.audio import Audio

CARD = Stranger.CARDS[0]


@pytest.fixture(scope="module")
def codec():
    return Stranger(CARD)


def noise(num_samples, channels=1):
    generator = torch.Generator().manual_seed(num_samples)
    return 0.3 * torch.randn(channels, num_samples, generator=generator)


def test_a_round_trip_chunk_by_chunk(codec):
    sound = noise(9 * HOP + 11)
    codes, decoded = [], []
    with codec.stream() as stream:
        for start in range(0, 9 * HOP, 3 * HOP):
            codes.append(stream.encode(sound[:, start : start + 3 * HOP].numpy()))
            decoded.append(stream.decode(codes[-1]))
        codes.append(stream.encode(sound[0, 9 * HOP :], last=True))
        decoded.append(stream.decode(codes[-1].numpy(), last=True))
    whole = codec.encode((sound, 8_000))
    codes, decoded = torch.cat(codes, -1), torch.cat(decoded, -1)
    assert codes.dtype == torch.int64 and torch.equal(codes, whole.codes)
    assert decoded.shape == (1, 10 * HOP)
    expected = codec.decode(whole).waveform
    torch.testing.assert_close(decoded[:, : sound.shape[1]], expected, rtol=0, atol=1e-6)
    torch.nn.Embedding(32, 2)(codes).sum().backward()  # no inference tensors


def test_streams_keep_apart(codec):
    """Two sounds by turns, and something whole in between."""
    sounds = noise(4 * HOP), noise(4 * HOP + 1)[:, : 4 * HOP]
    streams, result = [codec.stream(), codec.stream()], [[], []]
    for start in range(0, 4 * HOP, HOP):
        for index, stream in enumerate(streams):
            result[index].append(stream.encode(sounds[index][:, start : start + HOP]))
        codec.encode((noise(500), 8_000))
    for sound, stream, codes in zip(sounds, streams, result, strict=True):
        rest, silence = stream.finish()
        assert rest.shape == (1, 3, 0) and silence.shape == (1, 0)
        assert torch.equal(torch.cat(codes, -1), codec.encode((sound, 8_000)).codes)


def test_merged_codes_come_together():
    merged = Stranger(vary(CARD, "merge=3", Stranger.OPTIONS))
    sound = noise(8 * HOP)
    with merged.stream() as stream:
        result = [stream.encode(chunk) for chunk in sound.split(HOP, dim=1)]
        result.append(stream.finish()[0])
    assert [codes.shape[-1] for codes in result] == [0, 0, 3, 0, 0, 3, 0, 0, 2]
    assert torch.equal(torch.cat(result, -1), merged.encode((sound, 8_000)).codes)


def test_channels_one_by_one():
    each = Stranger(vary(CARD, "channels=each", Stranger.OPTIONS))
    sound = noise(5 * HOP, channels=2)
    with each.stream() as stream:
        codes = [stream.encode(chunk) for chunk in sound.split(HOP, dim=1)]
        decoded = [stream.decode(one) for one in codes]
        with pytest.raises(CodecError, match="channels and codebooks cannot change"):
            stream.encode(sound[:1, :HOP])
    whole = each.encode((sound, 8_000))
    assert torch.equal(torch.cat(codes, -1), whole.codes)
    assert torch.cat(decoded, -1).shape == (2, 5 * HOP)


def test_fewer_codebooks_decode(codec):
    codes = codec.encode((noise(3 * HOP), 8_000)).codes
    with codec.stream() as stream:
        assert stream.decode(codes[:, :2]).shape == (1, 3 * HOP)


@pytest.mark.parametrize(
    ("chunk", "error", "message"),
    [
        (np.zeros(81), CodecError, "a chunk of 81 samples is no multiple of 80, .* of stranger-8k"),
        (np.zeros((2, 80)), CodecError, r"shape \(2, 80\): stranger-8k streams \(1 channels"),
        (np.zeros((1, 1, 80)), CodecError, r"a chunk of shape \(1, 1, 80\)"),
        (np.full(80, np.nan), AudioError, "not finite .* at sample 0"),
        (np.full(80, 20_000.0), AudioError, "peaks at 20000"),
        (Audio(torch.zeros(1, 80), 16_000), CodecError, "at 16000 Hz: stranger-8k streams at 8000"),
    ],
)
def test_a_chunk_that_is_refused_changes_nothing(codec, chunk, error, message):
    sound = noise(4 * HOP)
    with codec.stream() as stream:
        first = stream.encode(sound[:, : 2 * HOP])
        with pytest.raises(error, match=message) as caught:
            stream.encode(chunk)
        assert "\n" not in str(caught.value)
        rest = stream.encode(Audio(sound[:, 2 * HOP :], 8_000), last=True)
    assert torch.equal(torch.cat([first, rest], -1), codec.encode((sound, 8_000)).codes)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (torch.zeros(1, 3, 2), "torch.float32 of shape"),
        (torch.zeros(3, 2, dtype=torch.int64), r"of shape \(3, 2\): stranger-8k decodes integers"),
        (torch.zeros(1, 4, 2, dtype=torch.int64), "with up to 3 codebooks"),
        (torch.full((1, 3, 2), 32), r"code 32 in codebook 0 is not in 0..31"),
        (torch.zeros(3, 3, 2, dtype=torch.int64), "codes of 3 channels"),
    ],
)
def test_codes_that_are_refused(codec, codes, message):
    with codec.stream() as stream, pytest.raises(CodecError, match=message):
        stream.decode(codes)


def test_after_the_end(codec, caplog):
    with codec.stream() as stream:
        stream.encode(noise(HOP), last=True)
        with pytest.raises(CodecError, match="encode after the end of the stream"):
            stream.encode(noise(HOP))
        codes, sound = stream.finish()
        assert codes.shape[-1] == sound.shape[-1] == 0
    with pytest.raises(CodecError, match="decode after the end"):
        stream.decode(torch.zeros(1, 3, 1, dtype=torch.int64))
    assert not caplog.messages
    merged = Stranger(vary(CARD, "merge=2", Stranger.OPTIONS))
    with merged.stream() as stream:
        stream.encode(noise(HOP))
    assert "left with 1 frames held back" in caplog.text


def test_what_cannot_stream_says_why_and_what_can():
    with pytest.raises(CodecError, match="tiny-a cannot stream: its codes depend on all of") as no:
        tiny_codec.Tiny(tiny_codec.Tiny.CARDS[0]).stream()
    assert "codecs that can: " in str(no.value) and "stranger-8k" in str(no.value)
    with pytest.raises(
        CodecError, match="its bytes are those of a whole file; .*encodec-24k, .*mimi"
    ):
        audiotok.load("opus").stream()


def test_latents_that_are_not_finite():
    broken = Stranger(CARD)
    with torch.no_grad():
        broken.network.encoder.weight[0, 0, 9] = torch.nan
    with broken.stream() as stream, pytest.raises(CodecError, match="latents are not finite"):
        stream.encode(noise(2 * HOP))


def test_latency_is_on_the_card():
    card = audiotok.codec.registry.find_card("encodec-24k")
    assert card.lookahead == 6 * 320 and card.settled_lookahead == 0
    assert card.algorithmic_latency_ms == pytest.approx(7 * 320 / 24)
    assert card.settled_latency_ms == pytest.approx(320 / 24)
    merged = audiotok.codec.registry.find_card("encodec-24k:merge=2")
    assert merged.settled_latency_ms == pytest.approx(2 * 320 / 24)
    assert audiotok.codec.registry.find_card("mimi").algorithmic_latency_ms == 80
    assert audiotok.codec.registry.find_card("wavtokenizer").algorithmic_latency_ms is None
    assert audiotok.codec.registry.find_card("opus").algorithmic_latency_ms is None
