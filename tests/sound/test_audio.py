"""Waveforms: what `Audio` checks, channels, resampling, and what `as_audio` takes."""

import io
import math

import numpy as np
import pytest
import soundfile
import torch
import torchaudio
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sound_kit import sound, write_file

from audiotok.errors import AudioError
from audiotok.sound import resampling
from audiotok.sound.audio import Audio, as_audio, resampled_length


@pytest.mark.parametrize(
    ("waveform", "rate", "message"),
    [
        (torch.zeros(5), 16_000, r"has shape \(1 or 2 channels, samples\), not \(5,\)"),
        (torch.zeros(3, 5), 16_000, r"not \(3, 5\)"),
        (torch.zeros(1, 0), 16_000, "is empty"),
        (torch.zeros(1, 5).double(), 16_000, "not torch.float64"),
        (np.zeros((1, 5)), 16_000, "not float64"),
        (torch.zeros(1, 5), 0, "0 Hz is not between"),
        (torch.zeros(1, 5), 16_000.0, "an int in Hz, not 16000.0"),
        (torch.zeros(1, 5), True, "an int in Hz, not True"),
    ],
)
def test_audio_checks_itself(waveform, rate, message):
    with pytest.raises(AudioError, match=message):
        Audio(waveform, rate)


def test_channels():
    stereo = Audio(torch.tensor([[0.0, 0.5], [1.0, 0.5]]), 8_000)
    mono = stereo.to_channels(1)
    assert mono.waveform.tolist() == [[0.5, 0.5]]
    assert mono.to_channels(1) is mono
    assert mono.to_channels(2).waveform.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    with pytest.raises(AudioError, match="3 channels"):
        stereo.to_channels(3)


# --- resampling ----------------------------------------------------------------------------------

RATES = st.sampled_from([8_000, 11_025, 16_000, 22_050, 24_000, 44_099, 44_100, 48_000])


@given(st.integers(1, 30_000), RATES, RATES)
@settings(deadline=None, max_examples=100)
def test_resampled_lengths(num_samples, old, new):
    audio = sound(num_samples, old).resample(new)
    assert audio.num_samples == resampled_length(num_samples, old, new)
    assert audio.num_samples == math.ceil(num_samples * new / old)
    assert audio.resample(old).num_samples >= num_samples


@pytest.mark.parametrize(("old", "new"), [(44_100, 24_000), (16_000, 24_000), (24_000, 16_000)])
def test_resampling_equals_torchaudio(old, new):
    audio = sound(30_011, old, channels=2)
    expected = torchaudio.transforms.Resample(old, new)(audio.waveform)
    assert torch.equal(audio.resample(new).waveform, expected)


@pytest.mark.parametrize(("old", "new"), [(44_100, 16_000), (16_000, 24_000), (48_000, 8_000)])
def test_blocks_change_nothing(monkeypatch, old, new):
    audio = sound(30_011, old)
    whole = audio.resample(new).waveform
    monkeypatch.setattr(resampling, "BLOCK", 1_000)
    torch.testing.assert_close(audio.resample(new).waveform, whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("old", "new"), [(44_099, 24_000), (16_000, 44_099), (44_100, 24_000)])
def test_a_tone_stays_where_it_is(old, new):
    tone = torch.sin(2 * math.pi * 440 * torch.arange(old)[None] / old)
    expected = torch.sin(2 * math.pi * 440 * torch.arange(new)[None] / new)
    result = Audio(tone, old).resample(new).waveform
    assert (result - expected)[:, 500:-500].abs().max() < 0.01


# --- as_audio ------------------------------------------------------------------------------------


def test_as_audio_shapes():
    samples = np.linspace(-1, 1, 10)
    for array in (samples, samples[None], samples[:, None], list(samples), torch.tensor(samples)):
        audio = as_audio((array, 16_000))
        assert audio.waveform.shape == (1, 10) and audio.waveform.dtype == torch.float32
    for shape in ((2, 10), (10, 2)):
        assert as_audio((np.zeros(shape), np.int64(16_000))).waveform.shape == (2, 10)
    assert as_audio((np.zeros((1, 1)), 16_000)).num_samples == 1
    assert as_audio(audio) is audio


def test_as_audio_types(tmp_path):
    for dtype, low in ((np.int8, -128), (np.int16, -32768), (np.int32, -(2**31)), (np.uint8, 0)):
        assert as_audio((np.array([low], dtype), 16_000)).waveform.tolist() == [[-1.0]]
    assert as_audio((torch.zeros(3, requires_grad=True), 16_000)).num_samples == 3
    assert as_audio(str(write_file(tmp_path, "wav"))).num_samples == 24_000


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (None, "expected a path, a file object, an Audio"),
        ((np.zeros(3),), "expected a path"),
        ((16_000, np.zeros(3)), "an int in Hz, not array"),
        ((np.zeros(3), "16000"), "an int in Hz, not '16000'"),
        ((np.zeros((2, 2)), 16_000), r"shape \(2, 2\) could be"),
        ((np.zeros((1, 2)), 16_000), r"shape \(1, 2\) could be"),
        ((np.zeros((3, 3)), 16_000), r"shape \(3, 3\) is not"),
        ((np.zeros((1, 1, 9)), 16_000), r"shape \(1, 1, 9\) is not"),
        ((np.float64(0.5), 16_000), r"shape \(\) is not"),
        ((np.zeros(0), 16_000), "is empty"),
        ((np.zeros((2, 0)), 16_000), "is empty"),
        ((np.zeros(3, np.int64), 16_000), "torch.int64 has no known full scale"),
        ((np.zeros(3, bool), 16_000), "torch.bool has no known full scale"),
        ((np.zeros(3, complex), 16_000), "torch.complex128 has no known full scale"),
        ((["a", "b"], 16_000), "is not numeric"),
        ((np.array([0.0, math.nan]), 16_000), "not finite"),
        ((np.array([0.0, 3000.0]), 16_000), "peaks at 3000"),
    ],
)
def test_as_audio_refuses(source, message):
    with pytest.raises(AudioError, match=message) as caught:
        as_audio(source)
    assert "\n" not in str(caught.value)


def test_open_files_and_dictionaries_of_data_sets(tmp_path):
    samples = 0.1 * np.random.default_rng(0).standard_normal(1_000).astype(np.float32)
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    with open(path, "rb") as file:
        sources = [io.BytesIO(path.read_bytes()), file]
        sources += [{"path": "a.wav", "array": samples, "sampling_rate": 16_000}]
        for source in sources:
            audio = as_audio(source)
            assert audio.sample_rate == 16_000
            np.testing.assert_array_equal(audio.waveform[0], samples)
    for invalid in (io.BytesIO(b"no sound"), io.StringIO("text"), {"array": samples}, 3):
        with pytest.raises(AudioError) as caught:
            as_audio(invalid)
        assert "\n" not in str(caught.value)
