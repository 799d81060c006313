"""Mel and STFT distance against librosa's filters, torch's STFT and a case done by hand."""

import math

import librosa
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audiotok.metrics import get, mel_distance, stft_distance
from audiotok.metrics._check import noisy, voice
from audiotok.metrics._spectra import magnitudes, mel_filters
from audiotok.sound.audio import Audio


@pytest.mark.parametrize("sample_rate", [8_000, 16_000, 22_050, 48_000])
@pytest.mark.parametrize(("window", "bands"), mel_distance.WINDOWS.items())
@pytest.mark.filterwarnings("ignore:Empty filters")
def test_mel_filters_are_librosas(sample_rate, window, bands):
    expected = librosa.filters.mel(sr=sample_rate, n_fft=window, n_mels=bands, dtype=np.float64)
    found = mel_filters(sample_rate, window, bands).toarray()
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("window", [32, 512, 2048])
def test_magnitudes_are_torchs(window):
    samples = voice(16_000, 1).waveform[0].double()
    expected = torch.stft(
        samples,
        window,
        hop_length=window // 4,
        window=torch.hann_window(window, dtype=torch.float64),
        return_complex=True,
    ).abs()
    found = np.concatenate(list(magnitudes(samples.numpy(), window))).T
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-10)


def _log_mel(audio: Audio, window: int, bands: int) -> np.ndarray:
    mel = librosa.feature.melspectrogram(
        y=audio.waveform[0].double().numpy(),
        sr=audio.sample_rate,
        n_fft=window,
        hop_length=window // 4,
        n_mels=bands,
        power=1.0,
        pad_mode="reflect",
    )
    return np.log10(np.maximum(mel, 1e-5))


@pytest.mark.filterwarnings("ignore:Empty filters")
def test_mel_distance_is_that_of_dac():
    clean, rough = voice(24_000, 1), noisy(voice(24_000, 1), 0.01)
    expected = sum(
        np.abs(_log_mel(clean, window, bands) - _log_mel(rough, window, bands)).mean()
        for window, bands in zip(
            (32, 64, 128, 256, 512, 1024, 2048), (5, 10, 20, 40, 80, 160, 320), strict=True
        )
    )
    assert mel_distance.distance(clean, rough) == pytest.approx(expected, rel=1e-5)


def test_stft_distance_is_that_of_dac():
    clean, rough = voice(24_000, 1), noisy(voice(24_000, 1), 0.01)
    expected = 0.0
    for window in (2048, 512):
        x, y = (
            torch.stft(
                audio.waveform[0].double(),
                window,
                window // 4,
                window=torch.hann_window(window, dtype=torch.float64),
                return_complex=True,
            ).abs()
            for audio in (clean, rough)
        )
        logarithms = [m.clamp(1e-5).pow(2).log10() for m in (x, y)]
        expected += torch.nn.functional.l1_loss(*logarithms) + torch.nn.functional.l1_loss(x, y)
    assert stft_distance.distance(clean, rough) == pytest.approx(float(expected), rel=1e-9)


def test_half_the_level_by_hand():
    """Where nothing is near the floor, half the level is log10(2) in each of the 7 resolutions."""
    noise = Audio(0.3 * torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0)), 16_000)
    half = Audio(noise.waveform / 2, 16_000)
    assert mel_distance.distance(noise, half) == pytest.approx(7 * math.log10(2), rel=0.03)


def test_stereo_is_the_mean_of_both_channels():
    clean = voice(24_000, 2)
    rough = noisy(clean, 0.01)
    for module in (mel_distance, stft_distance):
        alone = [
            module.distance(*(Audio(a.waveform[c : c + 1], 24_000) for a in (clean, rough)))
            for c in (0, 1)
        ]
        assert module.distance(clean, rough) == pytest.approx(sum(alone) / 2, rel=1e-12)


@settings(deadline=None, max_examples=25)
@given(length=st.integers(1, 3000), sample_rate=st.sampled_from([8_000, 16_000, 44_100]))
def test_any_length_has_a_distance_and_equal_sounds_have_none(length, sample_rate):
    generator = torch.Generator().manual_seed(length)
    sound = Audio(0.1 * torch.randn(1, length, generator=generator), sample_rate)
    for name in ("mel_distance", "stft_distance"):
        assert set(get(name)(sound, sound).values()) == {0.0}
        other = Audio(-0.5 * sound.waveform, sample_rate)
        assert get(name)(sound, other)[name] > 0
