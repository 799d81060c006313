"""Enhancement and separation on tokens: one recipe of mixtures, one small model, one budget.

Generative tasks of the survey (arXiv 2506.10274, section 3.2) at a small scale. For every codec:

- Mixtures (`mixtures.py`): speech of the corpus with noise, half of it in a simulated room, or with
  another speaker. They do not depend on the codec.
- Input and target: the embedded codes (`codec.dequantize`) of the mixture and of the clean speech,
  each dimension scaled to mean 0 and variance 1 over the training clips.
- Model (`model.py`): convolutions over time; mean squared error, for two speakers the smaller one
  of both orders. The codec's quantizer finds the codes of the output, and its decoder decodes
  them after a round trip through bytes.
- Continuous: the same model and budget with the latents before the quantizer, decoded without
  quantizing. The difference is the cost of tokens.

Nothing is tuned for a codec. Codecs without a decoder, without latents (byte streams, samples), or
with side information are left out. Training runs on the CPU, in one thread.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Protocol:
    """All fixed settings. After a change, raise the version of the tasks `enhance`, `separate`."""

    seeds: tuple[int, ...] = (0, 1)  # of `enhance`; `separate` has the first alone
    train_mixtures: int = 480
    train_seconds: float = 2.0
    test_mixtures: int = 60  # at most
    test_seconds: float = 8.0  # at most
    snr: tuple[float, float] = (0.0, 15.0)  # dB, uniform
    level: float = 5.0  # dB: the second speaker is at most this much louder or softer
    reverberant: float = 0.5  # share of the mixtures with noise
    decay: tuple[float, float] = (0.2, 0.6)  # seconds for 60 dB, uniform
    width: int = 96  # channels of the model
    blocks: int = 6
    steps: int = 1000
    batch: int = 8
    learning_rate: float = 2e-3  # at its peak; AdamW
    warm_up: float = 0.1  # share of the steps
    clip_norm: float = 1.0


PROTOCOL = Protocol()
