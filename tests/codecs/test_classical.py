"""Opus, mu-law, and resampling alone."""

import io
import math

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from hypothesis import example, given, settings
from hypothesis import strategies as st

import audiotok
from audiotok.codecs.classical import _pack, _samples_at_48k, _unpack
from audiotok.errors import AudiotokError, CodecError
from audiotok.sound import ogg
from audiotok.sound.audio import Audio
from audiotok.tokens import Tokens

OPUS = ["opus-6k", "opus-8k", "opus-12k", "opus-16k", "opus-24k"]


def speech_like(seconds=4.0, sample_rate=16_000, seed=0):
    """A gliding buzz through moving resonances, with pauses: enough to keep a speech coder busy."""
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    phase = np.cumsum(110 + 30 * np.sin(2 * math.pi * 0.7 * time)) / sample_rate
    waveform = np.zeros_like(time)
    for harmonic in range(1, 35):
        formants = (500 + 250 * np.sin(5 * time), 1500 + 600 * np.sin(3 * time), 2600)
        gain = sum(np.exp(-(((110 * harmonic - f) / 180) ** 2)) for f in formants)
        waveform += gain * np.sin(2 * math.pi * harmonic * phase)
    waveform += 0.05 * rng.standard_normal(len(time))
    waveform *= np.clip(1.2 * np.sin(2 * math.pi * 1.3 * time) + 0.5, 0, 1)
    return Audio(torch.from_numpy(0.3 * waveform / abs(waveform).max()).float()[None], sample_rate)


# --- PCM and mu-law ------------------------------------------------------------------------------


def test_resample_is_16_bit_pcm():
    codec = audiotok.load("resample-16k")
    samples = np.array([-32768, -1, 0, 1, 32767], np.int16)
    tokens = codec.encode((samples, 16_000))
    assert tokens.codes[0, 0].tolist() == [0, 32767, 32768, 32769, 65535]
    assert (codec.decode(tokens).waveform[0] * 32768).tolist() == samples.tolist()
    assert tokens.bitrate == codec.card.bitrate == 256_000
    assert codec.encode((np.array([-2.0, 2.0]), 16_000)).codes[0, 0].tolist() == [0, 65535]


def test_resample_costs_the_band_and_nothing_else():
    audio = speech_like(sample_rate=24_000)
    exact = audiotok.load("resample-24k").reconstruct(audio)
    assert (exact.waveform - audio.waveform).abs().max() <= 0.5 / 32768
    limited = audiotok.load("resample-16k").reconstruct(audio)
    expected = audio.resample(16_000).resample(24_000).waveform
    assert (limited.waveform - expected).abs().max() < 1e-3


def test_mulaw_equals_torchaudio():
    codec = audiotok.load("mulaw")
    waveform = torch.linspace(-1, 1, 100_001)
    codes = codec.encode((waveform, 16_000)).codes[0, 0]
    expected = torchaudio.functional.mu_law_encoding(waveform, 256)
    assert (codes != expected).float().mean() < 1e-4 and (codes - expected).abs().max() <= 1
    everything = torch.arange(256)
    tokens = Tokens(everything[None, None], "mulaw", codec.fingerprint, 256, 16_000, (256,))
    decoded = codec.decode(tokens).waveform[0]
    expected = torchaudio.functional.mu_law_decoding(everything, 256)
    torch.testing.assert_close(decoded, expected, rtol=0, atol=1e-6)
    assert codec.card.bitrate == 128_000


def test_every_mulaw_code_comes_back():
    codec = audiotok.load("mulaw")
    codes = torch.arange(256)[None, None]
    tokens = Tokens(codes, "mulaw", codec.fingerprint, 256, 16_000, (256,))
    assert torch.equal(codec.encode(codec.decode(tokens)).codes, codes)


# --- Opus ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPUS)
def test_names_are_true(name):
    """What the name says is spent, more or less; for what people's speech takes see `Opus`."""
    tokens = audiotok.load(name).encode(speech_like(seconds=8))
    messages = 1000 * int(name[5:-1])
    assert tokens.bitrate == 8 * tokens.num_frames / 8
    assert 0.7 * messages < tokens.bitrate < 1.2 * messages


def test_more_bits_sound_better():
    audio = speech_like()
    errors = [
        (audiotok.load(name).reconstruct(audio).waveform - audio.waveform).square().mean().item()
        for name in OPUS
    ]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize("name", OPUS)
def test_no_lag(name):
    audio = speech_like()
    result = audiotok.load(name).reconstruct(audio)
    one, other = audio.waveform[0].numpy(), result.waveform[0].numpy()
    correlation = np.correlate(other, one[2000:-2000], "valid")
    assert abs(int(correlation.argmax()) - 2000) <= 1


@pytest.mark.parametrize("num_samples", [1, 10, 319, 320, 321, 16_000, 20_001])
def test_the_stream_is_all_that_decoding_needs(num_samples):
    """Taking the container off and putting it on again changes no sample."""
    samples = speech_like().waveform[0, :num_samples].numpy()
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format="OGG", subtype="OPUS", compression_level=0.98)
    expected, rate = soundfile.read(io.BytesIO(file.getvalue()), dtype="float32")
    packets = list(ogg.packets(file.getvalue()))
    stream = _pack(packets)
    rebuilt = _unpack(stream)
    assert list(ogg.packets(rebuilt))[2:] == packets[2:]
    result, again = soundfile.read(io.BytesIO(rebuilt), dtype="float32")
    assert rate == again == 16_000
    assert np.array_equal(result[:num_samples], expected)
    overhead = len(stream) - sum(len(packet) for packet in packets[2:])
    assert 0 < overhead <= 10


def test_long_packets_and_changing_tocs():
    packets = [b"OpusHead" + bytes(2) + b"\x38\x01" + bytes(7), b"OpusTags"]
    packets += [
        bytes([toc]) + bytes(n) for toc, n in ((8, 0), (8, 250), (9, 251), (9, 252), (8, 1274))
    ]
    assert list(ogg.packets(_unpack(_pack(packets))))[2:] == packets[2:]


@pytest.mark.parametrize(
    ("packet", "samples"),
    [
        (b"\x00", 480), (b"\x08", 960), (b"\x18", 2880), (b"\x60", 480), (b"\x80", 120),
        (b"\xf8", 960), (b"\x09", 1920), (b"\x0a", 1920), (b"\x0b\x03", 2880),
    ],
)  # fmt: skip
def test_durations(packet, samples):
    assert _samples_at_48k(packet) == samples


@given(st.binary(min_size=1, max_size=60), st.integers(1, 2_000))
@example(b"\x38\x01\x00", 5)
@example(b"\x38\x01\x00\x08\x05", 5)
@settings(deadline=None, max_examples=200)
def test_any_bytes_decode_or_are_refused(data, num_samples):
    codec = audiotok.load("opus-6k")
    codes = torch.tensor(list(data))[None, None]
    tokens = Tokens(codes, "opus-6k", codec.fingerprint, num_samples, 16_000, (256,))
    try:
        assert codec.decode(tokens).num_samples == num_samples
    except AudiotokError as error:
        assert "\n" not in str(error)


def test_packets_longer_than_opus_has_are_refused():
    """3 bytes of each would decode to 3.8 s."""
    codec = audiotok.load("opus-6k")
    stream = b"\x38\x01\x00\x1b" + b"\x02\x3f" * 1000
    codes = torch.tensor(list(stream))[None, None]
    tokens = Tokens(codes, "opus-6k", codec.fingerprint, 16_000, 16_000, (256,))
    with pytest.raises(CodecError, match="a packet is longer than 120 ms: 3780 ms"):
        codec.decode(tokens)


def test_a_forged_length_is_refused():
    codec = audiotok.load("opus-6k")
    tokens = codec.encode(speech_like(seconds=0.5))
    forged = Tokens(tokens.codes, "opus-6k", codec.fingerprint, 10**12, 16_000, (256,))
    with pytest.raises(CodecError, match="or num_samples"):
        codec.decode(forged)


def test_a_byte_stream_has_no_frames():
    codec = audiotok.load("opus-6k")
    assert codec.frame_rate is codec.card.bitrate is codec.card.token_rate is None
    with pytest.raises(CodecError, match="opus-6k is a byte stream"):
        codec.num_frames(100)
    with pytest.raises(CodecError, match="implicit codebooks"):
        codec.codebook(0)


def test_opus_at_one_rate_does_not_decode_another():
    tokens = audiotok.load("opus-6k").encode(speech_like(seconds=0.5))
    with pytest.raises(CodecError, match="tokens of opus-6k .* cannot be decoded by opus-8k"):
        audiotok.load("opus-8k").decode(tokens)
