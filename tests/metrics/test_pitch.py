"""F0 and voicing: a melody that is known, a voice that is not there, by hand."""

import math

import numpy as np
import pytest
import torch

from audiotok.errors import MetricError
from audiotok.metrics import compute
from audiotok.metrics._check import noisy, voice
from audiotok.metrics.f0 import correlation
from audiotok.metrics.voicing import compare
from audiotok.sound.audio import Audio

pytest.importorskip("swift_f0")
TIME = np.arange(3 * 16_000) / 16_000
MELODY = 140 + 60 * np.sin(2 * math.pi * 0.5 * TIME)  # Hz
GATE = np.sin(2 * math.pi * TIME) > -0.3


def sung(melody, gate=GATE):
    phase = 2 * math.pi * np.cumsum(melody) / 16_000
    tone = sum(np.sin(k * phase) / k for k in range(1, 20))
    return Audio(torch.from_numpy(0.2 * tone * gate).float()[None], 16_000)


def test_the_melody_is_found():
    from audiotok.metrics._pitch import tracks

    track, _ = tracks("f0", sung(MELODY), sung(MELODY))[0]
    at = np.minimum(256 * np.arange(len(track)), len(TIME) - 1)
    assert np.mean((track > 0) == GATE[at]) > 0.97
    both = (track > 0) & GATE[at]
    cents = 1200 * np.abs(np.log2(track[both] / MELODY[at][both]))
    assert np.median(cents) < 10
    assert np.mean(cents > 50) < 0.01


def test_melodies_correlate_as_they_do():
    chosen = ["f0", "voicing"]
    higher = compute(chosen, reference=sung(MELODY), reconstruction=sung(20 + 1.3 * MELODY))
    assert higher["f0_correlation"] > 0.999
    assert higher["voicing_f1"] > 0.97
    upside = compute(chosen, reference=sung(MELODY), reconstruction=sung(280 - MELODY))
    assert upside["f0_correlation"] < -0.99


def test_gain_and_polarity_do_not_matter_and_stereo_goes():
    both = voice(16_000, 2)
    found = compute(
        ["f0", "voicing"], reference=both, reconstruction=Audio(-0.2 * both.waveform, 16_000)
    )
    assert found["f0_correlation"] > 0.99
    assert found["voicing_f1"] > 0.98


def test_a_voice_that_is_lost():
    generator = torch.Generator().manual_seed(0)
    rain = Audio(0.1 * torch.randn(1, len(TIME), generator=generator), 16_000)
    found = compute("voicing", reference=sung(MELODY), reconstruction=rain)
    assert found["voicing_error"] > 0.5
    assert found["voicing_f1"] < 0.2
    with pytest.raises(MetricError, match="frames of 16 ms are voiced in both"):
        compute("f0", reference=sung(MELODY), reconstruction=rain)
    with pytest.raises(MetricError, match="no frame of the reference is voiced"):
        compute(
            "voicing",
            reference=noisy(Audio(1e-3 * rain.waveform[:, :8000], 16_000), 0),
            reconstruction=Audio(rain.waveform[:, :8000], 16_000),
        )


def test_by_hand():
    truth = np.array([100.0, 100, 0, 0, 120, 120, 0, 110])
    found = np.array([100.0, 0, 50, 0, 120, 120, 0, 110])
    error, f1 = compare(truth, found)
    assert error == 2 / 8
    assert f1 == pytest.approx(2 * 4 / (5 + 5))
    rising = np.linspace(100, 200, 20)
    assert correlation(rising, 2 * rising + 3) == pytest.approx(1)
    assert correlation(rising, 400 - rising) == pytest.approx(-1)
    with pytest.raises(MetricError, match="9 frames"):
        correlation(np.where(np.arange(20) < 9, rising, 0), rising)
    with pytest.raises(MetricError, match="never changes"):
        correlation(np.full(20, 100.0), rising)


@pytest.mark.parametrize("name", ["f0", "voicing"])
def test_silence_has_no_value(name):
    silence = Audio(torch.zeros(1, 32_000), 16_000)
    for pair in ((silence, voice(16_000, 1)), (voice(16_000, 1), silence)):
        with pytest.raises(MetricError, match="is silent"):
            compute(name, reference=pair[0], reconstruction=pair[1])
