"""MCD against its formula on librosa's spectra, a shape done by hand, what it does not see."""

import librosa
import numpy as np
import pytest
import scipy.fft
import torch

from audiotok.errors import MetricError
from audiotok.metrics import compute, mcd
from audiotok.metrics._check import noisy, voice
from audiotok.sound.audio import Audio


def noise(seconds=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Audio(0.1 * torch.randn(1, seconds * 16_000, generator=generator), 16_000)


def test_it_is_the_formula_on_librosas_spectra():
    clean, rough = noise(), noisy(noise(), 0.05)
    cepstra = []
    for audio in (clean, rough):
        mel = librosa.feature.melspectrogram(
            y=audio.waveform[0].double().numpy(), sr=16_000, n_fft=512, hop_length=128,
            n_mels=80, power=1.0, pad_mode="reflect",
        )  # fmt: skip
        whole = scipy.fft.dct(np.log(mel), axis=0, norm="ortho")
        cepstra.append(whole[1:14] * np.sqrt(2 / 80))
    steps = np.sqrt(2 * np.sum((cepstra[0] - cepstra[1]) ** 2, axis=0))
    found = compute("mcd", reference=clean, reconstruction=rough)["mcd"]
    assert found == pytest.approx(10 / np.log(10) * steps.mean(), rel=1e-5)


def test_by_hand():
    """A ripple of 3 dB over the mel bands, c_5 alone: the root mean square is 3 / sqrt(2) dB."""
    ripple = 3 * np.cos(np.pi * 5 * (np.arange(80) + 0.5) / 80)
    flat, rippled = np.ones((80, 1)), 10 ** (ripple[:, None] / 20)
    difference = mcd.cepstra(rippled) - mcd.cepstra(flat)
    np.testing.assert_allclose(difference[:, 0], 3 * np.log(10) / 20 * np.eye(13)[4], atol=1e-12)
    found = mcd._DECIBELS * np.sqrt(np.sum(difference**2))
    assert found == pytest.approx(3 / np.sqrt(2))


def test_level_polarity_and_soft_frames_do_not_count():
    sound = noise()
    louder = Audio(-2 * sound.waveform, 16_000)
    assert compute("mcd", reference=sound, reconstruction=louder)["mcd"] < 0.01
    padded = torch.cat([sound.waveform, 1e-4 * noise(seed=1).waveform], 1)
    other = torch.cat([sound.waveform, 1e-4 * voice(16_000, 1).waveform], 1)
    found = compute("mcd", reference=Audio(padded, 16_000), reconstruction=Audio(other, 16_000))
    assert found["mcd"] < 0.1
    assert compute("mcd", reference=sound, reconstruction=noise(seed=1))["mcd"] > 2


def test_silence_has_no_value():
    silence = Audio(torch.zeros(1, 32_000), 16_000)
    for pair in ((silence, noise()), (noise(), silence)):
        with pytest.raises(MetricError, match="mcd has no value: the .* is silent"):
            compute("mcd", reference=pair[0], reconstruction=pair[1])
