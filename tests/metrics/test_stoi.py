"""STOI and ESTOI: pystoi's numbers, the same bits every time, no number where there is none."""

import numpy as np
import pystoi
import pytest
import torch

from audiotok.audio import Audio
from audiotok.errors import MetricError
from audiotok.metrics import compute
from audiotok.metrics._check import noisy, voice


def test_it_is_pystoi_at_the_references_rate():
    clean, rough = voice(24_000, 1), noisy(voice(24_000, 1), 0.05)
    found = compute("stoi", reference=clean, reconstruction=rough)
    arrays = clean.waveform[0].double().numpy(), rough.waveform[0].double().numpy()
    assert found["stoi"] == pystoi.stoi(*arrays, 24_000)
    assert found["estoi"] == pytest.approx(pystoi.stoi(*arrays, 24_000, extended=True), abs=1e-9)
    assert 0 < found["estoi"] < found["stoi"] < 1


def test_the_same_bits_twice_and_numpys_generator_is_left_alone():
    clean, rough = voice(16_000, 1), noisy(voice(16_000, 1), 0.05)
    np.random.seed(7)
    first = compute("stoi", reference=clean, reconstruction=rough)
    after = np.random.random()
    second = compute("stoi", reference=clean, reconstruction=rough)
    assert first == second
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
        compute("stoi", reference=sound, reconstruction=sound)
