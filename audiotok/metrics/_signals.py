"""What several metrics share: channels as float64, sounds at 16 kHz, the test for silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotok.errors import MetricError

if TYPE_CHECKING:
    import torch

    from audiotok.sound.audio import Audio

SILENCE = 2.0**-15
"""A channel whose highest and lowest sample differ by less, one step of 16 bits, is silent."""


def channels(reference: Audio, reconstruction: Audio) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pairs of float64 samples (L,), one pair for each channel."""
    return [
        (a.double().numpy(), b.double().numpy())
        for a, b in zip(reference.waveform.cpu(), reconstruction.waveform.cpu(), strict=True)
    ]


def sounding(name: str, reference: Audio, reconstruction: Audio) -> tuple[Audio, Audio]:
    """Both sounds, with the channels in which the reference is not silent: a stereo file with an
    empty channel is measured on the other one.

    Raises MetricError where no channel of the reference sounds, or one that does is silent in the
    reconstruction: the metric `name` has no value there.
    """
    audible = ~_silent(reference)
    seconds = f"({reference.duration:.3f} s)"
    if not audible.any():
        raise MetricError(f"{name} has no value: the reference is silent {seconds}")
    if (lost := audible & _silent(reconstruction)).any():
        which = f"channel {int(lost.nonzero()[0]) + 1} of " if reference.channels > 1 else ""
        raise MetricError(f"{name} has no value: {which}the reconstruction is silent {seconds}")
    if audible.all():
        return reference, reconstruction
    kept = (
        type(audio)(audio.waveform[audible], audio.sample_rate)
        for audio in (reference, reconstruction)
    )
    return tuple(kept)


def _silent(audio: Audio) -> torch.Tensor:
    """(C,): whether each channel is."""
    low, high = audio.waveform.aminmax(dim=1)
    return high - low < SILENCE


def at_16k(reference: Audio, reconstruction: Audio) -> tuple[Audio, Audio]:
    """Both sounds at 16 kHz, the band that codecs of any rate can be compared in."""
    return reference.resample(16_000), reconstruction.resample(16_000)
