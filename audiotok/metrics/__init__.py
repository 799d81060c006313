"""Metrics: a reference and a reconstruction in, named numbers out.

    audiotok.metrics.compute(["pesq", "stoi"], reference="in.wav", reconstruction="out.wav")

One file per metric, found by itself: a module of this folder (no leading underscore) that holds
`METRIC = Metric(...)` under its own name. A metric that cannot be computed raises MetricError;
it never returns 0, 1, NaN or infinity in place of a number.

Of a stereo sound, channels in which the reference is silent are left out of the metrics that have
no value for silence; mel_distance, stft_distance and loudness take both channels as they are.

The reference's own rate is the one a codec is judged at: what it lost of the band counts. Columns
that depend on the rate are filled a second time at 16 kHz, the band that codecs of any rate share.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import math
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from audiotok.errors import MetricError, MissingPackageError

if TYPE_CHECKING:
    from audiotok.sound.audio import Audio

TOLERANCE = 0.1
"""Seconds by which the two durations may differ: codecs of others pad their last frame, of 80 ms at
most. Both sounds are then cut to the shorter one."""

BAND = 16_000
"""Hz; columns named in `Metric.at_16k` are filled at this rate too."""


@dataclass(frozen=True)
class Column:
    """One number of a table: its name, unit, direction and what it means."""

    name: str
    unit: str
    higher_is_better: bool | None  # None: neither, the column describes
    digits: int  # decimals worth printing
    description: str


@dataclass(frozen=True)
class Metric:
    """A function of two sounds of equal rate, channels and length, and the columns it fills.

    `compute(reference, reconstruction) -> {column: number}` raises MetricError where the number
    does not exist (silence, too short). A changed definition gets a new `version`.
    """

    name: str
    version: int
    columns: tuple[Column, ...]
    compute: Callable[[Audio, Audio], dict[str, float]]
    packages: tuple[str, ...] = ()  # importable names it needs beyond the base installation
    extra: str | None = None  # `pip install 'audiotok[EXTRA]'` brings them
    of_speech: bool = False  # means nothing for music and sounds: `bench` leaves these out
    at_16k: tuple[str, ...] = ()  # names of columns that depend on the rate, see `measure`

    @property
    def all_columns(self) -> tuple[Column, ...]:
        """The columns, and behind them `NAME_16k` of each of `at_16k`."""
        limited = (column for column in self.columns if column.name in self.at_16k)
        return self.columns + tuple(
            replace(c, name=f"{c.name}_16k", description=f"{c.description}; at 16 kHz")
            for c in limited
        )

    def missing(self) -> MissingPackageError | None:
        """The error that says which package is not installed, or None where all are."""
        for package in self.packages:
            spec = importlib.util.find_spec(package)
            if spec is None or spec.origin is None:  # None: a folder of that name, without code
                return MissingPackageError(package, self.extra, f"the metric {self.name}")
        return None

    def __call__(self, reference: Audio, reconstruction: Audio) -> dict[str, float]:
        """Compute on a pair made by `pair`; every number is finite, or MetricError."""
        if (error := self.missing()) is not None:
            raise error
        values = {k: float(v) for k, v in self.compute(reference, reconstruction).items()}
        if bad := [
            f"{name} = {value}" for name, value in values.items() if not math.isfinite(value)
        ]:
            raise MetricError(f"{self.name} has no value: {', '.join(bad)}, not a finite number")
        return values


def names() -> list[str]:
    """The names of all metrics, sorted; imports none of them."""
    modules = (m for m in pkgutil.iter_modules(__path__) if not m.ispkg)
    return sorted(m.name for m in modules if not m.name.startswith("_"))


def get(name: str) -> Metric:
    """The metric of this name, or MetricError with the nearest names."""
    if name not in (known := names()):
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise MetricError(f"no metric is named {name!r}; {hint}there are: {', '.join(known)}")
    return importlib.import_module(f"{__name__}.{name}").METRIC


def list_metrics() -> list[Metric]:
    """All metrics, by name."""
    return [get(name) for name in names()]


def pair(reference, reconstruction) -> tuple[Audio, Audio]:
    """Bring a reconstruction to its reference's channels, rate and length.

    Both are a path, an Audio or (array, sample_rate). The reference is never resampled. Durations
    that differ by more than TOLERANCE are refused (MetricError), smaller differences are cut off
    the longer one's end.
    """
    from audiotok.sound.audio import as_audio  # torch: a table of columns needs none of it

    reference, reconstruction = as_audio(reference), as_audio(reconstruction)
    if abs(reference.duration - reconstruction.duration) > TOLERANCE:
        raise MetricError(
            f"the reference lasts {reference.duration:.3f} s, the reconstruction "
            f"{reconstruction.duration:.3f} s; they must agree within {1000 * TOLERANCE:.0f} ms: "
            f"cut or align them first"
        )
    reconstruction = reconstruction.to_channels(reference.channels)
    reconstruction = reconstruction.resample(reference.sample_rate)
    length = min(reference.num_samples, reconstruction.num_samples)
    return _first(reference, length), _first(reconstruction, length)


def measure(
    chosen: Iterable[Metric], reference: Audio, reconstruction: Audio
) -> dict[str, float | MetricError]:
    """All columns of these metrics on a pair made by `pair`, each metric by itself: where it has no
    value, its columns hold the MetricError.

    Columns NAME_16k are scored on both sounds at 16 kHz. At a rate of 16 kHz they repeat the
    others, at no cost; a reference of a lower rate has no such band, and they are left out.
    """
    limited: tuple[Audio, Audio] | None = None
    row: dict[str, float | MetricError] = {}
    for metric in chosen:
        values = _guarded(metric, reference, reconstruction)
        row |= values
        if not metric.at_16k or reference.sample_rate < BAND:
            continue
        if reference.sample_rate > BAND:
            limited = limited or (reference.resample(BAND), reconstruction.resample(BAND))
            values = _guarded(metric, *limited)
        row |= {f"{name}_16k": values[name] for name in metric.at_16k}
    return row


def _guarded(metric: Metric, *sounds: Audio) -> dict[str, float | MetricError]:
    try:
        return metric(*sounds)
    except MetricError as error:
        return {column.name: error for column in metric.columns}


def compute(metrics: str | Iterable[str], *, reference, reconstruction) -> dict[str, float]:
    """Compute metrics by name on one pair of sounds; returns {column: number}.

    Args:
        metrics: a name or several, see `names()`.
        reference: the original: a path, an Audio or (array, sample_rate).
        reconstruction: what decode made of it, of the same duration; any sample rate.

    Raises MetricError (unknown name, different durations, a number that does not exist) or
    MissingPackageError with the command that installs what a metric needs.
    """
    chosen = [get(name) for name in ([metrics] if isinstance(metrics, str) else metrics)]
    values = measure(chosen, *pair(reference, reconstruction))
    for value in values.values():
        if isinstance(value, MetricError):
            raise value
    return values


def _first(audio: Audio, length: int) -> Audio:
    """The first `length` samples."""
    if audio.num_samples == length:
        return audio
    return type(audio)(audio.waveform[:, :length], audio.sample_rate)
