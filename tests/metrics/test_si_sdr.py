"""SI-SDR against torchmetrics and by hand; delay, gain and polarity are found."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from audiotok.errors import MetricError
from audiotok.metrics import compute
from audiotok.metrics._check import noisy, voice
from audiotok.metrics.alignment import align, correlate, delay
from audiotok.metrics.si_sdr import si_sdr
from audiotok.sound.audio import Audio


def test_by_hand():
    """Reference (1, -1, 1, -1), distortion (1, 1, -1, -1) / 10 orthogonal to it: 20 dB."""
    reference = np.array([1.0, -1.0, 1.0, -1.0])
    distortion = np.array([1.0, 1.0, -1.0, -1.0]) / 10
    assert si_sdr(reference, reference + distortion) == pytest.approx(20)
    assert si_sdr(reference, 3 + 5 * (reference + distortion)) == pytest.approx(20)
    assert si_sdr(reference, reference) == 100
    assert si_sdr(reference, distortion) == -100


def test_it_is_torchmetrics():
    functional = pytest.importorskip("torchmetrics.functional.audio")
    clean = voice(16_000, 1)
    for level in (0.001, 0.05, 1.0):
        rough = noisy(clean, level)
        shifted = Audio(rough.waveform + 0.1, 16_000)
        expected = functional.scale_invariant_signal_distortion_ratio(
            shifted.waveform[0].double(), clean.waveform[0].double(), zero_mean=True
        )
        found = compute("si_sdr", reference=clean, reconstruction=shifted)["si_sdr"]
        assert found == pytest.approx(float(expected), abs=1e-6)


@settings(deadline=None, max_examples=20)
@given(
    lag=st.integers(-1600, 1600),
    gain=st.floats(0.1, 3),
    polarity=st.sampled_from([-1, 1]),
    channels=st.sampled_from([1, 2]),
)
def test_delay_gain_and_polarity_are_found(lag, gain, polarity, channels):
    generator = torch.Generator().manual_seed(0)
    noise = 0.2 * torch.randn(channels, 16_000 + 3200, generator=generator)
    reference = Audio(noise[:, 1600:-1600], 16_000)
    late = Audio(gain * polarity * noise[:, 1600 - lag :][:, :16_000], 16_000)
    found = compute(["alignment", "si_sdr"], reference=reference, reconstruction=late)
    assert found["lag_ms"] == lag / 16
    assert found["polarity"] == polarity
    assert found["gain_db"] == pytest.approx(20 * math.log10(gain), abs=0.2)
    assert found["correlation"] > 0.85
    assert found["si_sdr_aligned"] > 90
    if lag:
        assert found["si_sdr"] < 0


def test_a_sound_of_several_blocks_correlates_as_one():
    generator = np.random.default_rng(0)
    a, b = generator.standard_normal((2, 600_000))
    expected = [np.sum(a[3:] * b[:-3]), np.sum(a * b), np.sum(a[:-3] * b[3:])]
    np.testing.assert_allclose(correlate(a, b, 3)[[0, 3, 6]], expected, atol=1e-6)


def test_aligning_cuts_to_what_both_share():
    noise = torch.randn(1, 8000, generator=torch.Generator().manual_seed(0))
    reference, late = Audio(noise[:, 7:], 16_000), Audio(noise[:, :-7], 16_000)
    assert delay(reference, late)[0] == 7
    first, second = align(reference, late)
    assert first.num_samples == 8000 - 14
    assert first.waveform.equal(second.waveform)


@pytest.mark.parametrize("level", [0.0, 0.3])
def test_silence_and_constants_have_no_value(level):
    constant = Audio(torch.full((1, 16_000), level), 16_000)
    for pair in ((constant, voice(16_000, 1)), (voice(16_000, 1), constant)):
        cut = [Audio(audio.waveform[:, :16_000], 16_000) for audio in pair]
        for name in ("si_sdr", "alignment"):
            with pytest.raises(MetricError, match="is silent"):
                compute(name, reference=cut[0], reconstruction=cut[1])
