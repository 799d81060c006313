"""Degradations of known size, as codecs: a valid metric must rank them in this order.

- noise-20db, noise-10db, noise-0db: white noise at that signal-to-noise ratio, always the same for
  a clip.
- lowpass-4k, lowpass-2k, lowpass-1k: nothing above that frequency, in Hz.

All at 16 kHz. The tokens are the bytes of 16-bit PCM, little endian, so nothing is compressed: they
are test signals for `benchmarks/metric_ladder.py`, not competitors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from audiotok.codec.codec import Codec, CodecCard
from audiotok.errors import CodecError

SAMPLE_RATE = 16_000
TAPS = 1023  # of the low-pass: from -6 dB at its frequency to -50 dB takes 25 Hz


def _card(name: str, description: str, lookahead: int | None) -> CodecCard:
    return CodecCard(
        name=name,
        family=name.partition("-")[0],
        kind="baseline",
        description=description,
        sample_rate_in=SAMPLE_RATE,
        sample_rate_out=SAMPLE_RATE,
        hop_length=1,
        codebook_sizes=(256,),
        byte_stream=True,
        lookahead=lookahead,
        licence_code="Apache-2.0",
        verified="by its tests",
    )


class _Degraded(Codec):
    """PCM of what `_degrade` makes of the samples (L,) float64; louder than 1 is clipped."""

    NO_LATENTS = "its codes are the bytes of samples"

    def _load(self, checkpoint: Path | None) -> None:
        if checkpoint is not None:
            raise CodecError(f"{self.card.name} has no weights: leave out checkpoint {checkpoint}")

    def _degrade(self, samples: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def _encode(self, waveform: torch.Tensor) -> torch.Tensor:
        samples = self._degrade(waveform[0, 0].cpu().double().numpy())
        pcm = np.clip(np.round(samples * 2**15), -(2**15), 2**15 - 1).astype("<i2")
        return torch.from_numpy(pcm.view(np.uint8).astype(np.int64))[None, None]

    def _decode(self, codes: torch.Tensor) -> torch.Tensor:
        if codes.shape[-1] % 2:
            raise CodecError(f"{codes.shape[-1]} bytes are no 16-bit PCM: a sample is cut in half")
        pcm = codes[0, 0].cpu().numpy().astype(np.uint8).view("<i2")
        return torch.from_numpy(pcm.astype(np.float32) / 2**15)[None, None]


class Noise(_Degraded):
    """White Gaussian noise that much below the power of the whole clip, seeded by its length."""

    CARDS = tuple(
        _card(f"noise-{ratio}db", f"white noise at a signal-to-noise ratio of {ratio} dB", None)
        for ratio in (20, 10, 0)
    )
    DEFAULT = "noise-20db"

    def _degrade(self, samples: np.ndarray) -> np.ndarray:
        ratio = int(self.card.name.removeprefix("noise-").removesuffix("db"))
        noise = np.random.default_rng(len(samples)).standard_normal(len(samples))
        level = np.sqrt(np.mean(samples**2) / np.mean(noise**2)) * 10 ** (-ratio / 20)
        return samples + level * noise


class LowPass(_Degraded):
    """A symmetric FIR filter, which keeps the phase; silence is assumed beyond both ends."""

    CARDS = tuple(
        _card(f"lowpass-{khz}k", f"nothing above {khz} kHz", TAPS // 2) for khz in (4, 2, 1)
    )
    DEFAULT = "lowpass-4k"

    def _degrade(self, samples: np.ndarray) -> np.ndarray:
        from scipy.signal import firwin, oaconvolve  # importing it takes half a second

        cutoff = 1000 * int(self.card.name.removeprefix("lowpass-").removesuffix("k"))
        taps = firwin(TAPS, cutoff, fs=SAMPLE_RATE)
        return oaconvolve(samples, taps)[TAPS // 2 :][: len(samples)]
