"""PESQ, wide band: predicted listening quality of speech, 1.0 to 4.64 (mean opinion score).

ITU-T P.862 with the mapping of P.862.2, by the package pesq, which wraps the ITU's reference code.
It is defined at 16 kHz, to which both sounds are resampled, whatever the rate of the reference.
The reference code keeps at most 50 utterances and writes past its arrays where it finds more,
which no sound of 20 s can have; longer ones are scored in equal parts of at most 20 s, and the
mean of the parts that hold speech is taken. Stereo: the mean of both channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiotok.errors import MetricError
from audiotok.metrics import Column, Metric
from audiotok.metrics._signals import at_16k, channels, sounding

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio

MIN_SECONDS = 0.25
MAX_SECONDS = 20.0
"""An utterance and the pause behind it take at least 0.4 s."""


def compute(reference: Audio, reconstruction: Audio) -> dict[str, float]:
    """Column pesq. Silence, less than a quarter of a second and no speech raise MetricError."""
    sounding("pesq", reference, reconstruction)
    if reference.duration < MIN_SECONDS:
        raise MetricError(
            f"pesq has no value: the sound lasts {reference.duration:.3f} s, "
            f"at least {MIN_SECONDS} s are needed"
        )
    pairs = channels(*at_16k(reference, reconstruction))
    return {"pesq": float(np.mean([_mean_of_parts(a, b) for a, b in pairs]))}


def _mean_of_parts(reference: np.ndarray, reconstruction: np.ndarray) -> float:
    from pesq import NoUtterancesError, PesqError, pesq

    parts = int(np.ceil(len(reference) / (MAX_SECONDS * 16_000)))
    scores, error = [], None
    for a, b in zip(
        np.array_split(reference, parts), np.array_split(reconstruction, parts), strict=True
    ):
        try:
            if max(np.abs(a).max(), np.abs(b).max()) > 0:
                scores.append(pesq(16_000, a, b, "wb"))
        except NoUtterancesError as reason:
            error = reason
        except PesqError as reason:
            raise MetricError(f"pesq has no value: {_text(reason)}") from reason
    if not scores:
        raise MetricError("pesq has no value: it finds no speech in the reference") from error
    return float(np.mean(scores))


def _text(reason: Exception) -> str:
    text = reason.args[0] if reason.args else type(reason).__name__
    return text.decode() if isinstance(text, bytes) else str(text)


METRIC = Metric(
    name="pesq",
    version=1,
    columns=(Column("pesq", "MOS", True, 2, "perceptual quality of speech, wide band, at 16 kHz"),),
    compute=compute,
    packages=("pesq",),
    extra="bench",
    of_speech=True,
)
