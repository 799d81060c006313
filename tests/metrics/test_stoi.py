"""STOI and ESTOI: pystoi's numbers to 1e-4 on any sound, the same bits every time, or no number."""

import numpy as np
import pytest
import scipy.signal
import torch

from audiotok.errors import MetricError
from audiotok.metrics import compute, stoi
from audiotok.metrics._check import noisy, voice
from audiotok.sound.audio import Audio

pystoi = pytest.importorskip("pystoi")

RNG = np.random.default_rng(0)
NOISE, OTHER = RNG.standard_normal((2, 48_000))
VOICE = voice(16_000, 1).waveform[0].double().numpy()
ROUGH = VOICE + 0.05 * OTHER[:32_000]
HALF = np.where(np.arange(32_000) % 24_000 < 8000, VOICE, 0)
LOW = scipy.signal.butter(10, 1000, fs=16_000, output="sos")


def package(x, y, sample_rate):
    """STOI and ESTOI; what the package adds to ESTOI comes from numpy's global generator."""
    state = np.random.get_state()
    scores = []
    for extended in (False, True):
        np.random.seed(0)
        scores.append(pystoi.stoi(x, y, sample_rate, extended=extended))
    np.random.set_state(state)
    return scores


CASES = {
    "equal": (VOICE, VOICE),
    "noise": (VOICE, ROUGH),
    "inverted": (VOICE, -VOICE),
    "scaled": (VOICE, 1e-6 * VOICE),
    "delayed": (VOICE, np.roll(VOICE, 800)),
    "low-pass": (VOICE, scipy.signal.sosfiltfilt(LOW, VOICE)),
    "half of it silent": (VOICE, HALF),
    "half of the reference silent": (HALF, VOICE),
    "an impulse": (VOICE, np.eye(1, 32_000, 9000)[0]),
    "constant": (VOICE, np.full(32_000, 0.3)),
    "a tone": (np.sin(0.17 * np.arange(32_000)), VOICE),
    "unrelated": (NOISE, OTHER),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_pystoi(name):
    x, y = CASES[name]
    np.testing.assert_allclose(stoi.scores(x, y, 16_000), package(x, y, 16_000), atol=1e-4)


@pytest.mark.parametrize("rate", [8_000, 10_000, 11_025, 22_050, 24_000, 44_100, 48_000])
def test_it_is_pystoi_at_any_rate(rate):
    x, y = NOISE, NOISE + OTHER
    np.testing.assert_allclose(stoi.scores(x, y, rate), package(x, y, rate), atol=1e-9)


def test_blocks_of_segments_change_nothing(monkeypatch):
    whole = stoi.scores(VOICE, ROUGH, 16_000)
    monkeypatch.setattr(stoi, "_BLOCK", 7)
    np.testing.assert_allclose(stoi.scores(VOICE, ROUGH, 16_000), whole, rtol=1e-12)


def test_the_same_bits_twice_and_numpys_generator_is_left_alone():
    clean = Audio(torch.from_numpy(VOICE).float()[None], 16_000)
    rough = Audio(torch.from_numpy(HALF).float()[None], 16_000)
    np.random.seed(7)
    first = compute("stoi", reference=clean, reconstruction=rough)
    after = np.random.random()
    assert first == compute("stoi", reference=clean, reconstruction=rough)
    np.random.seed(7)
    assert np.random.random() == after


@pytest.mark.parametrize("num_samples", [1, 100, 512, 4000, 6300])
def test_too_short_has_no_value(num_samples):
    short = Audio(voice(16_000, 1).waveform[:, 3000 : 3000 + num_samples], 16_000)
    with pytest.raises(MetricError, match="stoi has no value"):
        compute("stoi", reference=short, reconstruction=short)


def test_a_word_in_long_silence_has_no_value():
    waveform = torch.zeros(1, 32_000)
    waveform[:, 10_000:13_000] = voice(16_000, 1).waveform[:, :3000]
    sound = Audio(waveform, 16_000)
    with pytest.raises(MetricError, match="fewer than 30 frames"):
        compute("stoi", reference=sound, reconstruction=noisy(sound, 0))
