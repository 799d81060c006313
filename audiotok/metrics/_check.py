"""check_metric: what every metric promises, tried on synthetic sounds."""

from __future__ import annotations

import math
from multiprocessing.reduction import ForkingPickler

import torch

from audiotok.errors import MetricError
from audiotok.metrics import Metric, pair
from audiotok.sound.audio import Audio


def check_metric(metric: Metric) -> None:
    """Try a metric; MetricError with one line names the first promise it breaks.

    It must travel to worker processes; fill exactly its columns with finite numbers, the same ones
    twice, on mono and stereo at 16, 24 and 44.1 kHz; leave its inputs alone; prefer a sound with
    little noise to one with much, where a column has a direction; and on silence or a single sample
    give a finite number or raise MetricError. MissingPackageError where its package is missing.
    """
    if (error := metric.missing()) is not None:
        raise error
    try:
        ForkingPickler.dumps(metric)
    except Exception as error:
        raise MetricError(
            f"the metric {metric.name} cannot travel to worker processes: make compute a function "
            f"of its module ({error})"
        ) from error
    names = [column.name for column in metric.columns]
    unknown = sorted(set(metric.at_16k) - set(names))
    _promise(metric, not unknown, f"names {unknown} in at_16k, not columns of {names}")
    for sample_rate, channels in ((16_000, 1), (24_000, 2), (44_100, 1)):
        clean = voice(sample_rate, channels)
        good, bad = (noisy(clean, level) for level in (0.003, 0.1))
        kept = clean.waveform.clone(), good.waveform.clone()
        better, worse = metric(*pair(clean, good)), metric(*pair(clean, bad))
        where = f"at {sample_rate} Hz with {channels} channel(s)"
        _promise(metric, sorted(better) == sorted(names), f"fills {sorted(better)}, not {names}")
        _promise(metric, better == metric(*pair(clean, good)), f"gives other numbers twice {where}")
        unchanged = kept[0].equal(clean.waveform) and kept[1].equal(good.waveform)
        _promise(metric, unchanged, f"changes its inputs {where}")
        for column in metric.columns:
            if column.higher_is_better is not None:
                a, b = better[column.name], worse[column.name]
                ordered = a > b if column.higher_is_better else a < b
                what = f"gives {column.name} = {a:g} with little noise, {b:g} with much {where}"
                _promise(metric, ordered, what)
    speech = voice(16_000, 1)
    silence = Audio(speech.waveform * 0, 16_000)
    sample = Audio(speech.waveform[:, :1], 16_000)
    for reference, reconstruction, what in (
        (silence, silence, "silence against silence"),
        (silence, speech, "a silent reference"),
        (speech, silence, "a silent reconstruction"),
        (sample, sample, "a single sample"),
    ):
        try:
            values = metric(reference, reconstruction)
        except MetricError:
            continue
        except Exception as error:
            text = f"raises {type(error).__name__} on {what}: expected MetricError"
            raise MetricError(f"the metric {metric.name} {text}") from error
        _promise(metric, all(map(math.isfinite, values.values())), f"is not finite on {what}")


def _promise(metric: Metric, kept: bool, broken: str) -> None:
    if not kept:
        raise MetricError(f"the metric {metric.name} {broken}")


def voice(sample_rate: int, channels: int) -> Audio:
    """Two seconds of syllables: harmonics of a gliding tone, switched on and off three times a
    second."""
    time = torch.arange(2 * sample_rate, dtype=torch.float64) / sample_rate
    phase = 2 * math.pi * (120 * time + 15 * time**2)
    tone = sum(torch.sin(k * phase) / k for k in range(1, 30))
    syllables = (torch.sin(2 * math.pi * 3 * time) > -0.3).double()
    waveform = (0.2 * tone * syllables).float().expand(channels, -1).clone()
    return Audio(waveform * torch.tensor([[1.0], [0.7]])[:channels], sample_rate)


def noisy(audio: Audio, level: float) -> Audio:
    """The sound with white noise of this standard deviation, the same on every call."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(audio.waveform.shape, generator=generator)
    return Audio(audio.waveform + level * noise, audio.sample_rate)
