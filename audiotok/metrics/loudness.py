"""Loudness of both sounds and their difference, as broadcasters measure it.

Integrated loudness of ITU-R BS.1770-4 by torchaudio, in fp64, at the rate of the reference: blocks
of 0.4 s through the K-weighting, gated at -70 LUFS and at 10 LU below their mean. Its filters are
those of pyloudnorm's default, which read up to 0.1 LU below the standard's at 44.1 kHz and 0.2 LU
at 8 kHz; of the difference nothing is left of that. Stereo: the sum of both channels, as the
standard has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiotok.errors import MetricError
from audiotok.metrics import Column, Metric
from audiotok.system.dependencies import torchaudio

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio

MIN_SECONDS = 0.4
"""One block."""


def loudness(audio: Audio, what: str) -> float:
    """LUFS; MetricError where the sound lasts less than a block, or no block exceeds -70 LUFS."""
    if audio.duration < MIN_SECONDS:
        raise MetricError(
            f"loudness has no value: the sound lasts {audio.duration:.3f} s, "
            f"at least {MIN_SECONDS} s are needed"
        )
    value = float(torchaudio().functional.loudness(audio.waveform.double(), audio.sample_rate))
    if value != value:
        raise MetricError(f"loudness has no value: no block of the {what} exceeds -70 LUFS")
    return value


def compute(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    """Columns loudness_reference, loudness and loudness_difference."""
    before, after = loudness(reference, "reference"), loudness(reconstruction, "reconstruction")
    return {
        "loudness_reference": before,
        "loudness": after,
        "loudness_difference": after - before,
    }


METRIC = Metric(
    name="loudness",
    version=1,
    columns=(
        Column("loudness_reference", "LUFS", None, 1, "integrated loudness of the reference"),
        Column("loudness", "LUFS", None, 1, "integrated loudness of the reconstruction"),
        Column("loudness_difference", "LU", None, 2, "the reconstruction's less the reference's"),
    ),
    compute=compute,
)
