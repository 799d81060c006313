"""What the metrics of samples share: ratios in dB, raw and after undoing the delay."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from audiotok.metrics._signals import channels, sounding
from audiotok.metrics.alignment import align

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio

LIMIT = 100.0
"""dB; ratios are cut to ±LIMIT, so that equal sounds, whose ratio is infinite, read 100 dB."""


def decibels(target: np.ndarray, distortion: np.ndarray) -> float:
    """10 log10 of the energy of `target` by that of `distortion`, within ±LIMIT."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = 10 * (np.log10(np.sum(target**2)) - np.log10(np.sum(distortion**2)))
    return float(np.clip(ratio, -LIMIT, LIMIT))


def raw_and_aligned(
    name: str,
    ratio: Callable[[np.ndarray, np.ndarray], float],
    reference: Audio,
    reconstruction: Audio,
) -> dict[str, float]:
    """Columns `name` and `name`_aligned: `ratio` of both (L,), the mean of all channels.

    The second one is taken after undoing the delay that `alignment` reports. Silence raises
    MetricError.
    """
    sounding(name, reference, reconstruction)

    def mean(*sounds: Audio) -> float:
        return float(np.mean([ratio(a, b) for a, b in channels(*sounds)]))

    raw = mean(reference, reconstruction)
    aligned = align(reference, reconstruction)
    undone = aligned[0] is not reference
    return {name: raw, f"{name}_aligned": mean(*aligned) if undone else raw}
