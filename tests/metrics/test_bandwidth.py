"""Bandwidth: a band that is lost, a level done by hand, the formula of the distance."""

import math

import numpy as np
import pytest
import scipy.signal
import torch

from audiotok.errors import MetricError
from audiotok.metrics import compute
from audiotok.metrics._check import noisy, voice
from audiotok.sound.audio import Audio


def noise(rate=44_100, seed=0, seconds=1):
    generator = torch.Generator().manual_seed(seed)
    return Audio(0.1 * torch.randn(1, seconds * rate, generator=generator), rate)


def filtered(audio, cutoff):
    taps = scipy.signal.firwin(1023, cutoff, fs=audio.sample_rate)
    samples = np.convolve(audio.waveform[0].double().numpy(), taps, "same")
    return Audio(torch.from_numpy(samples).float()[None], audio.sample_rate)


def test_half_the_level_by_hand():
    sound = noise()
    half = Audio(-sound.waveform / 2, 44_100)
    found = compute("bandwidth", reference=sound, reconstruction=half)
    for column in ("lsd", "lsd_16k"):
        assert found[column] == pytest.approx(20 * math.log10(2), rel=1e-3)
    assert found["bandwidth_reference"] == found["bandwidth_kept"] == 22_050


def test_it_is_the_formula():
    clean, rough = noise(), noisy(noise(), 0.05)
    spectra = [
        torch.stft(
            audio.waveform[0].double(), 1412, 353, return_complex=True,
            window=torch.hann_window(1412, dtype=torch.float64),
        ).abs()
        for audio in (clean, rough)
    ]  # fmt: skip
    floor = spectra[0].max() * 1e-4
    difference = [20 * s.clamp(min=floor).log10() for s in spectra]
    expected = (difference[0] - difference[1]).square().mean(0).sqrt().mean()
    found = compute("bandwidth", reference=clean, reconstruction=rough)["lsd"]
    assert found == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("cutoff", [2000, 4000, 10_000])
def test_a_band_that_is_lost(cutoff):
    found = compute("bandwidth", reference=noise(), reconstruction=filtered(noise(), cutoff))
    assert found["bandwidth_kept"] == pytest.approx(cutoff, abs=250)
    assert found["bandwidth_reference"] == 22_050
    assert found["lsd"] > 20 * (1 - cutoff / 22_050)


def test_a_codec_of_16k_is_charged_at_the_references_rate_only():
    sound = noise()
    found = compute("bandwidth", reference=sound, reconstruction=sound.resample(16_000))
    assert found["bandwidth_kept"] == pytest.approx(8000, abs=250)
    assert found["lsd"] > 5 * found["lsd_16k"]


def test_an_empty_band_of_the_reference_does_not_count():
    spectrum = torch.fft.rfft(noise().waveform.double())
    spectrum[:, 4000:] = 0  # a bin is 1 Hz
    narrow = Audio(torch.fft.irfft(spectrum, 44_100).float(), 44_100)
    other = Audio(narrow.waveform + 1e-7 * noise(seed=1).waveform, 44_100)
    found = compute("bandwidth", reference=narrow, reconstruction=other)
    assert found["bandwidth_reference"] == pytest.approx(4000, abs=500)
    assert found["lsd"] < 0.5


def test_silence_has_no_value_and_a_faint_sound_keeps_nothing():
    silence = Audio(torch.zeros(1, 44_100), 44_100)
    for pair in ((silence, noise()), (noise(), silence)):
        with pytest.raises(MetricError, match="is silent"):
            compute("bandwidth", reference=pair[0], reconstruction=pair[1])
    faint = Audio(1e-3 * noise().waveform, 44_100)
    assert compute("bandwidth", reference=noise(), reconstruction=faint)["bandwidth_kept"] == 0


def test_many_blocks_are_one_sound():
    """Longer than a block of the spectrogram: the mean over both halves, but for the seam."""
    sound = noise(16_000, seconds=40)
    rough = noisy(sound, 0.02)
    whole = compute("bandwidth", reference=sound, reconstruction=rough)["lsd"]
    half = sound.num_samples // 2
    parts = [
        compute("bandwidth", **{
            name: Audio(audio.waveform[:, cut], 16_000)
            for name, audio in (("reference", sound), ("reconstruction", rough))
        })["lsd"]
        for cut in (slice(0, half), slice(half, None))
    ]  # fmt: skip
    assert whole == pytest.approx(np.mean(parts), rel=1e-3)
    assert (
        compute("bandwidth", reference=voice(16_000, 1), reconstruction=voice(16_000, 1))["lsd"]
        == 0
    )
