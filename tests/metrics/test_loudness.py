"""Loudness: the standard's tones, what pyloudnorm reads, gates, no number where there is none."""

import math

import numpy as np
import pytest
import torch

from audiotok.errors import MetricError
from audiotok.metrics import compute
from audiotok.metrics._check import voice
from audiotok.sound.audio import Audio


def tone(decibels, sample_rate=48_000, channels=1, seconds=3):
    time = torch.arange(seconds * sample_rate, dtype=torch.float64) / sample_rate
    wave = 10 ** (decibels / 20) * torch.sin(2 * math.pi * 997 * time)
    return Audio(wave.float().expand(channels, -1).clone(), sample_rate)


def test_the_standards_tones():
    """A tone of 997 Hz at 0 dBFS in one channel reads -3.01 LKFS; two channels 3.01 more."""
    found = compute("loudness", reference=tone(-20), reconstruction=tone(-26))
    assert found["loudness_reference"] == pytest.approx(-23.01, abs=0.1)
    assert found["loudness_difference"] == pytest.approx(-6, abs=1e-4)
    assert found["loudness"] - found["loudness_reference"] == found["loudness_difference"]
    both = compute(
        "loudness", reference=tone(-20, channels=2), reconstruction=tone(-20, channels=2)
    )
    assert both["loudness"] == pytest.approx(found["loudness_reference"] + 3.0103, abs=1e-3)


def test_it_is_pyloudnorm():
    """pyloudnorm 0.2.0's Meter(rate).integrated_loudness, its defaults, on this sound."""
    for rate, expected in ((8_000, -20.518444), (16_000, -19.933182), (48_000, -19.468319)):
        time = np.arange(6 * rate) / rate
        noise = 0.05 * np.random.default_rng(0).standard_normal(6 * rate)
        samples = torch.from_numpy(noise * (1 + np.sin(2 * np.pi * 0.3 * time))).float()
        sound = Audio(samples[None], rate)
        found = compute("loudness", reference=sound, reconstruction=sound)
        assert found["loudness"] == pytest.approx(expected, abs=1e-4)


def test_pauses_are_gated():
    sound = tone(-20)
    padded = Audio(torch.cat([sound.waveform, torch.zeros(1, 10 * 48_000)], 1), 48_000)
    alone = compute("loudness", reference=sound, reconstruction=sound)["loudness"]
    assert compute("loudness", reference=padded, reconstruction=padded)[
        "loudness"
    ] == pytest.approx(alone, abs=0.5)


def test_polarity_does_not_matter():
    sound = voice(24_000, 1)
    found = compute("loudness", reference=sound, reconstruction=Audio(-sound.waveform, 24_000))
    assert found["loudness_difference"] == pytest.approx(0, abs=1e-9)


def test_no_number_where_there_is_none():
    silence = Audio(torch.zeros(1, 32_000), 16_000)
    with pytest.raises(MetricError, match="no block of the reconstruction exceeds -70 LUFS"):
        compute("loudness", reference=voice(16_000, 1), reconstruction=silence)
    short = Audio(voice(16_000, 1).waveform[:, :6399], 16_000)
    with pytest.raises(MetricError, match="the sound lasts 0.400 s, at least 0.4 s"):
        compute("loudness", reference=short, reconstruction=short)
