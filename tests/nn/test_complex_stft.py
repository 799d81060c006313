"""The complex STFT loss against numpy in float64, its gradient, and what magnitudes do not see."""

import numpy as np
import pytest
import torch
from support.twins import speech_like

from audiotok.nn.complex_stft import ComplexSTFTLoss
from audiotok.nn.losses import MultiResolutionSpectralLoss


def spectrum(sound, window, power):
    """(B, L) -> (B, F, T) complex: Hann, hop of a quarter, centred with reflection, compressed."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    padded = np.pad(sound, ((0, 0), (window // 2, window // 2)), mode="reflect")
    starts = range(0, sound.shape[1] + 1, window // 4)
    frames = np.stack([padded[:, s : s + window] for s in starts], axis=-1)
    found = np.fft.rfft(frames * hann[:, None], axis=1) / np.sqrt((hann**2).sum())
    return found if power == 1 else found * (np.abs(found) ** 2 + 1e-8) ** ((power - 1) / 2)


@pytest.mark.parametrize("power", [1.0, 0.3])
def test_it_is_the_formula(power):
    sounds = speech_like(4000)[:, 0], speech_like(4000, seed=1)[:, 0]
    expected = 0.0
    for window in (64, 512):
        one, other = (spectrum(s.double().numpy(), window, power) for s in sounds)
        difference = one - other
        parts = np.stack([difference.real, difference.imag])
        expected += np.abs(parts).mean() / 2
    found = ComplexSTFTLoss((64, 512), power)(*sounds)
    assert found.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("power", [1.0, 0.3])
def test_gradients_are_finite_also_at_silence(power):
    loss, reference = ComplexSTFTLoss((128,), power), speech_like(2000)[:, 0].requires_grad_()
    for start in (torch.zeros(2, 2000), reference.detach().clone(), torch.full((2, 2000), 1e-30)):
        reconstruction = start.requires_grad_()
        loss(reference, reconstruction).backward()
        assert reconstruction.grad.isfinite().all()
        assert reference.grad is None
    silent = torch.zeros(2, 2000, requires_grad=True)
    loss(torch.zeros(2, 2000), silent).backward()
    assert silent.grad.isfinite().all()


def test_phase_counts():
    sound = speech_like(4000)[:, 0]
    magnitudes = MultiResolutionSpectralLoss(16000, {512: 40})
    assert ComplexSTFTLoss((512,))(sound, sound) == 0
    assert max(magnitudes(sound, -sound)) < 1e-4
    assert ComplexSTFTLoss((512,))(sound, -sound) > 1e-3


def test_compression_weighs_quiet_parts():
    """A tenth of the level off matters in a loud and in a quiet sound nearly alike."""
    loud = speech_like(4000)[:, 0]
    for power, least, most in ((1.0, 90, 110), (0.3, 2, 4)):
        loss = ComplexSTFTLoss((512,), power)
        ratio = loss(loud, 0.9 * loud) / loss(0.01 * loud, 0.009 * loud)
        assert least < ratio < most
