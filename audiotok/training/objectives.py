"""The losses of a recipe between reference and reconstruction, and their weights."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from audiotok.nn import losses
from audiotok.nn.complex_stft import ComplexSTFTLoss
from audiotok.training.settings import SOUND, LossConfig

# {name: function from the sample rate and the settings to a loss, which maps reference and
# reconstruction, both (B, L), to a scalar}
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
    """All losses between reference and reconstruction that have a weight."""

    def __init__(self, settings: LossConfig, sample_rate: int):
        super().__init__()
        self.weights = {name: getattr(settings, name) for name in SOUND if getattr(settings, name)}
        self.spectra = None
        if "mel" in self.weights or "stft" in self.weights:
            bands = settings.mel_bands
            self.spectra = losses.MultiResolutionSpectralLoss(sample_rate, bands)
        single = {
            name: build(sample_rate, settings)
            for name, build in _SINGLE.items()
            if name in self.weights
        }
        self._modular = nn.ModuleDict(
            {name: loss for name, loss in single.items() if isinstance(loss, nn.Module)}
        )
        self._plain = {name: loss for name, loss in single.items() if name not in self._modular}

    def forward(self, reference: Tensor, reconstruction: Tensor) -> dict[str, Tensor]:
        """Both (B, C, L) float32 -> scalars by name, without their weights."""
        waveforms = reference.flatten(0, 1), reconstruction.flatten(0, 1)
        functions = {**self._modular, **self._plain}
        values = {name: loss(*waveforms) for name, loss in functions.items()}
        if self.spectra is not None:
            spectral = self.spectra(*waveforms)._asdict()
            values |= {name: spectral[name] for name in spectral if name in self.weights}
        return values

    def score(self, values: dict[str, float]) -> float:
        """The weighted sum; the codec with the lowest one in validation is the best."""
        return sum(weight * values[name] for name, weight in self.weights.items())
