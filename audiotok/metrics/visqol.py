"""ViSQOL, audio mode: predicted listening quality of any sound, 1 to about 4.73 (MOS-LQO).

Hines et al. 2015 (ViSQOLAudio) and Chinen et al. 2020 (version 3): similarity of gammatone
spectrograms, mapped by the support vector regression that the original ships. It is defined at 48
kHz, to which both sounds are resampled whatever the rate of the reference. Stereo is mixed to one
channel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from audiotok.metrics import Column, Metric, _visqol

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio


def compute(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    """Column visqol. Silence and less than a second raise MetricError."""
    return {"visqol": _visqol.score("visqol", "audio", 48_000, reference, reconstruction)}


METRIC = Metric(
    name="visqol",
    version=1,
    columns=(Column("visqol", "MOS", True, 2, "ViSQOL v3, audio mode, at 48 kHz"),),
    compute=compute,
    packages=("visqol",),
    extra="visqol",
)
