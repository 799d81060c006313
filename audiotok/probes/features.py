"""The inputs of a head: codes, or, for the ceiling row, log-mel spectra."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from audiotok.errors import AudiotokError
from audiotok.metrics._spectra import magnitudes, mel_filters
from audiotok.probes import PROTOCOL

if TYPE_CHECKING:
    from audiotok.data import Clip, Corpus
    from audiotok.sound.audio import Audio
    from audiotok.tokens.tokens import Tokens

SAMPLE_RATE = 16_000  # Hz, of the sounds whose log-mel spectra are the ceiling
WINDOW, HOP, BANDS = 640, 160, 80  # samples: 40 ms every 10 ms
FLOOR = 1e-5


@dataclass(frozen=True)
class Inputs:
    """The frames of all clips of a corpus.

    Attributes:
        clips: (T, C, K) int32 codes or (T, BANDS) float32 log-mel; None if a clip failed.
        seconds: of each clip; 0 if it failed.
        codebook_sizes: K sizes V; () for log-mel.
        frame_rate: Hz, over all clips.
    """

    clips: tuple[np.ndarray | None, ...]
    seconds: tuple[float, ...]
    codebook_sizes: tuple[int, ...]
    frame_rate: float

    @property
    def repeat(self) -> int:
        """How many times each frame is repeated, see `Protocol.min_rate`."""
        return max(1, math.ceil(PROTOCOL.min_rate / self.frame_rate - 1e-6))

    def batch(
        self, chosen: Sequence[int], starts: Sequence[float] = (), crop: float | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """A batch of clips, (B, T, C, K) or (B, T, BANDS), and their lengths in frames, (B,); clips
        are padded with their last frame.

        Args:
            starts: relative start of the crop of each clip, in [0, 1).
            crop: seconds; None: whole clips.
        """
        max_frames = max(1, round(crop * self.frame_rate)) if crop else None
        parts = []
        for row, index in enumerate(chosen):
            clip = self.clips[index]
            if max_frames is not None and len(clip) > max_frames:
                start = int(starts[row] * (len(clip) - max_frames + 1))
                clip = clip[start : start + max_frames]
            parts.append(clip)
        lengths = [len(part) for part in parts]
        frames = np.arange(max(lengths))
        batch = np.stack([part[np.minimum(frames, len(part) - 1)] for part in parts])
        batch = torch.from_numpy(batch)
        return batch.long() if self.codebook_sizes else batch, torch.tensor(lengths)


def of_tokens(tokens: Sequence[Tokens | None]) -> Inputs:
    """The codes of all clips; those of a mono clip among stereo ones are used for both channels."""
    coded = [clip for clip in tokens if clip is not None]
    if not coded:
        raise AudiotokError("no clip has tokens")
    if len({clip.codebook_sizes for clip in coded}) > 1:
        raise AudiotokError("the clips have tokens of different codecs")
    seconds = tuple(0.0 if clip is None else clip.duration for clip in tokens)
    rate = sum(clip.num_frames for clip in coded) / sum(seconds)
    if rate > PROTOCOL.max_rate:
        raise AudiotokError(
            f"{rate:.0f} frames per second: the heads are made for at most {PROTOCOL.max_rate:.0f}"
        )
    channels = max(clip.codes.shape[0] for clip in coded)

    def codes(clip: Tokens | None) -> np.ndarray | None:
        if clip is None:
            return None
        return clip.codes.expand(channels, -1, -1).permute(2, 0, 1).to(torch.int32).numpy()

    return Inputs(tuple(map(codes, tokens)), seconds, coded[0].codebook_sizes, rate)


@lru_cache(maxsize=1)
def of_sounds(corpus: Corpus) -> Inputs:
    """The log-mel spectra of all clips, for the ceiling row."""
    spectra, seconds = zip(*(_of_clip(clip) for clip in corpus), strict=True)
    if not any(seconds):
        raise AudiotokError("no clip can be read")
    return Inputs(spectra, seconds, (), SAMPLE_RATE / HOP)


def _of_clip(clip: Clip) -> tuple[np.ndarray | None, float]:
    try:
        audio = clip.original()
    except AudiotokError:
        return None, 0.0
    return log_mel(audio), audio.duration


def log_mel(audio: Audio) -> np.ndarray:
    """log10 of the mel magnitudes of the mono sound at SAMPLE_RATE, (T, BANDS) float32."""
    samples = audio.to_channels(1).resample(SAMPLE_RATE).waveform[0].double().numpy()
    filters = mel_filters(SAMPLE_RATE, WINDOW, BANDS)
    blocks = [(filters @ block.T).T for block in magnitudes(samples, WINDOW)]
    return np.log10(np.maximum(np.concatenate(blocks), FLOOR)).astype(np.float32)
