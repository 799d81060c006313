"""What several metrics share: channels as float64, sounds at 16 kHz, the test for silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotok.errors import MetricError

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio

SILENCE = 2.0**-15
"""A channel whose highest and lowest sample differ by less, one step of 16 bits, is silent."""


def channels(reference: Audio, reconstruction: Audio) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of float64 samples (L,), one pair for each channel."""
    return [
        (a.double().numpy(), b.double().numpy())
        for a, b in zip(reference.waveform.cpu(), reconstruction.waveform.cpu(), strict=True)
    ]


def sounding(name: str, reference: Audio, reconstruction: Audio) -> None:
    """MetricError where a channel of either sound is silent: `name` has no value there."""
    for what, audio in (("reference", reference), ("reconstruction", reconstruction)):
        low, high = audio.waveform.aminmax(dim=1)
        if float((high - low).min()) < SILENCE:
            raise MetricError(f"{name} has no value: the {what} is silent ({audio.duration:.3f} s)")


def at_16k(reference: Audio, reconstruction: Audio) -> tuple[Audio, Audio]:
    """Both sounds at 16 kHz, the band that codecs of any rate can be compared in."""
    return reference.resample(16_000), reconstruction.resample(16_000)
