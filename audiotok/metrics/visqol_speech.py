"""ViSQOL, speech mode: predicted listening quality of speech, 1 to 5 (MOS-LQO).

Chinen et al. 2020 (version 3): similarity of gammatone spectrograms up to 8 kHz in patches of
speech, mapped by the deep lattice network that the original ships and uses by default. Both sounds
are resampled to 16 kHz. Stereo is mixed to one channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiotok.metrics import Column, Metric, _visqol

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio


def compute(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    """Column visqol_speech. Silence and less than a second raise MetricError."""
    value = _visqol.score("visqol_speech", "speech", 16_000, reference, reconstruction)
    return {"visqol_speech": value}


METRIC = Metric(
    name="visqol_speech",
    version=1,
    columns=(Column("visqol_speech", "MOS", True, 2, "ViSQOL v3, speech mode, at 16 kHz"),),
    compute=compute,
    packages=("visqol", "ai_edge_litert"),  # without the second one it maps otherwise, unasked
    extra="visqol",
    of_speech=True,
)
