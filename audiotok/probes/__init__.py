"""Probes: what small fixed heads, trained on frozen tokens, can tell of the sound.

The discriminative half of the survey's downstream tasks (arXiv 2506.10274, section 3.2; DASB,
arXiv 2406.14294) at the size of a desk: the head, its size and its budget are the same for all
codecs and stand here, in one place. Nothing is tuned for a codec.

- Input: every codebook has a learned table; the vectors of a frame are summed with weights that are
  a learned softmax over codebooks. The ceiling gets a linear layer on log-mel spectra instead.
- Rate: frames are repeated so that a head sees at least `least_rate` of them per second (as
  CodecBench does, arXiv 2508.20660); codes faster than `most_rate`, such as samples or the bytes of
  classical codecs, are left out.
- Heads: BiLSTM with CTC over letters; convolution and attentive statistics pooling for classes and
  voices (`heads.py`).
- Budget: steps by the number of training clips, batches by their seconds of sound; the crops and
  the order of clips are the same for every codec. Epochs and learning rate were chosen by the
  ceiling's word error rate on training clips of spoken digits that were held out from it: the least
  of 4 and 8 epochs, at 0.002 and 0.005.
- Seeds: all are reported. A seed diverged if its loss was not finite, when training stops, or
  ended above `diverged` times that of a head which gives all classes or letters the same odds. Its
  number stays in the mean, as it came; how many did is a column of its own.

Training runs on the CPU, in one thread, so that the same machine gives the same numbers again.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """All that is fixed. A change here raises VERSION in tasks/_probe.py."""

    seeds: tuple[int, ...] = (0, 1, 2)
    dimension: int = 128  # of the sum of the codebooks' vectors, and of all layers
    dropout: float = 0.2  # on that sum, while training
    epochs: int = 8
    least_steps: int = 600
    most_steps: int = 10_000
    batch_clips: int = 16  # at most
    batch_seconds: float = 60.0  # fewer clips where they are longer, but at least 4
    crop: float = 3.0  # seconds of a longer clip that a head for classes or voices sees in a step
    learning_rate: float = 5e-3  # at its peak; Adam
    warm_up: float = 0.1  # share of the steps until the peak; then linearly down to 0
    clip_norm: float = 1.0
    least_rate: float = 50.0  # Hz
    most_rate: float = 200.0  # Hz
    diverged: float = 1.05


PROTOCOL = Protocol()
