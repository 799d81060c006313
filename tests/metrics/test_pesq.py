"""PESQ: the package's numbers at 16 kHz, long sounds in parts, no number where there is none."""

import numpy as np
import pytest
import torch

from audiotok.errors import MetricError
from audiotok.metrics import compute
from audiotok.metrics._check import noisy, voice
from audiotok.sound.audio import Audio

package = pytest.importorskip("pesq")


def _pesq(reference, reconstruction):
    return compute("pesq", reference=reference, reconstruction=reconstruction)["pesq"]


def test_it_is_the_package_at_16k():
    clean, rough = voice(24_000, 1), noisy(voice(24_000, 1), 0.002)
    arrays = [audio.resample(16_000).waveform[0].numpy() for audio in (clean, rough)]
    assert _pesq(clean, rough) == pytest.approx(package.pesq(16_000, *arrays, "wb"), abs=1e-6)
    assert _pesq(clean, clean) == pytest.approx(4.644, abs=1e-3)


def test_long_sounds_are_scored_in_parts():
    """70 bursts in 31 s: more than the 50 utterances that the reference code has room for."""
    noise = np.random.default_rng(0).standard_normal((70, 3600)) * 0.1
    bursts = np.concatenate([noise, np.zeros((70, 3600))], axis=1).ravel()
    clean = Audio(torch.from_numpy(bursts).float()[None], 16_000)
    rough = noisy(clean, 0.001)
    half = clean.num_samples // 2
    parts = [
        _pesq(*(Audio(audio.waveform[:, cut], 16_000) for audio in (clean, rough)))
        for cut in (slice(0, half), slice(half, None))
    ]
    assert _pesq(clean, rough) == pytest.approx(np.mean(parts))


@pytest.mark.parametrize("num_samples", [1, 1000, 3999])
def test_less_than_a_quarter_second_has_no_value(num_samples):
    short = Audio(voice(16_000, 1).waveform[:, 3000 : 3000 + num_samples], 16_000)
    with pytest.raises(MetricError, match="pesq has no value"):
        _pesq(short, short)


def test_silence_has_no_value():
    sound = voice(16_000, 1)
    silence = Audio(torch.zeros_like(sound.waveform), 16_000)
    for pair in ((silence, sound), (sound, silence), (silence, silence)):
        with pytest.raises(MetricError, match="is silent"):
            _pesq(*pair)
