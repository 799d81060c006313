"""Resampling and mel filters are torchaudio's, bit for bit."""

import pytest
import torch

from audiotok.nn.mel import mel_filters
from audiotok.sound.sinc import Resample


@pytest.mark.parametrize("rates", [(16000, 24000), (44100, 24000), (48000, 16000), (8000, 24000)])
@pytest.mark.parametrize("length", [1, 997, 16001])
def test_resampling(rates, length):
    torchaudio = pytest.importorskip("torchaudio")
    waveform = torch.randn(2, length)
    assert torch.equal(Resample(*rates)(waveform), torchaudio.transforms.Resample(*rates)(waveform))


def test_equal_rates_change_nothing():
    waveform = torch.randn(3, 2, 100)
    assert torch.equal(Resample(8000, 8000)(waveform), waveform)
    assert Resample(8000, 16000)(waveform).shape == (3, 2, 200)


@pytest.mark.parametrize(
    ("bins", "rate", "bands", "scale", "low"),
    [
        (201, 16000, 80, "slaney", 0.0),
        (201, 16000, 128, "slaney", 0.0),
        (513, 24000, 100, "htk", 0.0),
        (1025, 44100, 80, "slaney", 20.0),
    ],
)
def test_mel_filters(bins, rate, bands, scale, low):
    functional = pytest.importorskip("torchaudio.functional")
    norm = "slaney" if scale == "slaney" else None
    expected = functional.melscale_fbanks(bins, low, rate / 2, bands, rate, norm, scale)
    assert torch.equal(mel_filters(bins, rate, bands, scale=scale, low=low), expected.T)
