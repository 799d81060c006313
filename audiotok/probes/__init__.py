"""Probes: small fixed heads, trained on frozen tokens to predict properties of the sound.

The discriminative downstream tasks of the survey (arXiv 2506.10274, section 3.2; DASB, arXiv
2406.14294) at a small scale: the head, its size and its budget are defined here and are the same
for all codecs. Nothing is tuned for a codec.

- Input: every codebook has a learned embedding table; the vectors of a frame are summed with
  weights, a learned softmax over codebooks. The ceiling has a linear layer on log-mel spectra
  instead.
- Rate: frames are repeated so that a head gets at least `min_rate` of them per second (as in
  CodecBench, arXiv 2508.20660); codes faster than `max_rate`, such as samples or the bytes of
  classical codecs, are not probed.
- Heads: BiLSTM with CTC over letters; convolution and attentive statistics pooling for classes and
  speakers (`heads.py`).
- Budget: the number of steps depends on the number of training clips, batches have a limit in
  seconds; the crops and the order of clips are the same for every codec. Epochs and learning rate
  were chosen by the ceiling's word error rate on held-out training clips of spoken digits: the best
  of 4 and 8 epochs, at 0.002 and 0.005.
- Seeds: all are reported. A seed diverged if its loss became infinite or NaN (training then stops),
  or ended above `diverged` times the loss of uniform predictions. Its number is still included in
  the mean; a separate column counts diverged seeds.

Training runs on the CPU, in one thread, so that the same machine gives the same numbers again.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """All fixed settings. After a change, increase VERSION in tasks/_probe.py."""

    seeds: tuple[int, ...] = (0, 1, 2)
    dimension: int = 128  # of the sum of the codebooks' vectors, and of all layers
    dropout: float = 0.2  # on that sum, while training
    epochs: int = 8
    min_steps: int = 600
    max_steps: int = 10_000
    batch_clips: int = 16  # maximum
    batch_seconds: float = 60.0  # fewer clips if they are long, but at least 4
    crop: float = 3.0  # seconds of a clip that a head for classes or speakers gets in a step
    learning_rate: float = 5e-3  # at its peak; Adam
    warm_up: float = 0.1  # share of the steps until the peak; then linearly down to 0
    clip_norm: float = 1.0
    min_rate: float = 50.0  # Hz
    max_rate: float = 200.0  # Hz
    diverged: float = 1.05


PROTOCOL = Protocol()
