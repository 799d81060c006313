"""Numbers of codecs on each clip of a corpus, and their differences by speaker.

Shared by scripts that compare trainings: `ablation.py`, `decoders.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

import audiotok
from audiotok import data, metrics
from audiotok.errors import MetricError
from audiotok.results import statistics

METRICS = ("stoi", "pesq", "mel_distance")
HIGHER = {"stoi": True, "pesq": True, "mel_distance": False}
DIGITS = {"stoi": 3, "pesq": 2, "mel_distance": 3}

Change = Callable[[audiotok.Tokens, int], audiotok.Tokens]


def rows(codec: audiotok.Codec, corpus: str, change: Change | None = None) -> Iterator[dict]:
    """For each clip of a corpus its id, speaker, and the metrics of its reconstruction.

    Args:
        corpus: what `audiotok.data.load` takes.
        change: (tokens, number of the clip) -> changed tokens.
    """
    chosen = [metrics.get(name) for name in METRICS]
    for number, clip in enumerate(data.load(corpus)):
        audio = clip.read()
        tokens = codec.encode(audio)
        if change is not None:
            tokens = change(tokens, number)
        sound = codec.decode(tokens, audio.sample_rate)
        values = metrics.measure(chosen, audio, sound)
        numbers = {n: np.nan if isinstance(values[n], MetricError) else values[n] for n in METRICS}
        yield {"clip": clip.id, "speaker": clip.speaker} | numbers


def difference(first: pd.DataFrame, second: pd.DataFrame, metric: str) -> statistics.Estimate:
    """The mean of `first` minus that of `second` over the clips of both, with its interval over
    speakers."""
    columns = [metric, f"{metric}_second"]
    pairs = first.merge(second, on="clip", suffixes=("", "_second")).dropna(subset=columns)
    values = pairs[columns].to_numpy()
    speakers = pairs["speaker"].astype(str).tolist()  # numbers, where a CSV was read
    _, replicates = statistics.paired_means(values, clusters=speakers)
    return replicates.difference(0, 1)


def formatted(estimate: statistics.Estimate, metric: str) -> str:
    """An estimate as text: the value, and the interval in brackets."""
    digits = DIGITS[metric]
    low, high = estimate.ci95 or (np.nan, np.nan)
    return f"{estimate.value:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"
