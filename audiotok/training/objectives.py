"""The losses of a recipe: what each compares, and its weight."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from audiotok.nn import losses
from audiotok.nn.complex_stft import ComplexSTFTLoss
from audiotok.training.settings import SOUND, LossConfig

# Losses of (reference, reconstruction), both (B, L), to a scalar; made for a sample rate.
_SINGLE: dict[str, Callable[[int, LossConfig], Callable[[Tensor, Tensor], Tensor]]] = {
    "complex_stft": lambda rate, s: ComplexSTFTLoss(tuple(s.mel_bands), s.stft_power),
    "multi_scale_mel": lambda rate, s: losses.MultiScaleMelLoss(
        rate, s.mel_bands, s.mel_power, s.mel_linear
    ),
    "log_mel": lambda rate, s: losses.LogMelLoss(rate),
    "mel_energy": lambda rate, s: losses.MelEnergyLoss(rate),
    "waveform_l1": lambda rate, s: losses.waveform_l1,
    "waveform_l2": lambda rate, s: losses.waveform_l2,
}


class Reconstruction(nn.Module):
    """All losses of a reconstruction against its reference that have a weight."""

    def __init__(self, settings: LossConfig, sample_rate: int):
        super().__init__()
        self.weights = {name: getattr(settings, name) for name in SOUND if getattr(settings, name)}
        self.spectra = None
        if "mel" in self.weights or "stft" in self.weights:
            bands = settings.mel_bands
            self.spectra = losses.MultiResolutionSpectralLoss(sample_rate, bands)
        made = {n: make(sample_rate, settings) for n, make in _SINGLE.items() if n in self.weights}
        self._modular = nn.ModuleDict({n: m for n, m in made.items() if isinstance(m, nn.Module)})
        self._plain = {n: loss for n, loss in made.items() if n not in self._modular}

    def forward(self, reference: Tensor, reconstruction: Tensor) -> dict[str, Tensor]:
        """Both (B, C, L) float32 -> scalars by name, without their weights."""
        pair = reference.flatten(0, 1), reconstruction.flatten(0, 1)
        single = {**self._modular, **self._plain}
        values = {name: loss(*pair) for name, loss in single.items()}
        if self.spectra is not None:
            spectral = self.spectra(*pair)._asdict()
            values |= {name: spectral[name] for name in spectral if name in self.weights}
        return values

    def score(self, values: dict[str, float]) -> float:
        """The weighted sum; the lowest one on validation is the best codec."""
        return sum(weight * values[name] for name, weight in self.weights.items())
