"""Clips on their way into a codec's network: prepared one by one, and put into batches.

Preparing needs the card alone, so that other processes can read and resample for the one that has
the network.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch

from audiotok.codec.card import CodecCard
from audiotok.sound.audio import Audio, AudioFile
from audiotok.tokens.tokens import Tokens

Batch = Literal["strict", "length", "ragged"]
BATCHES = get_args(Batch)
MIN_FRAMES = 9  # of a clip in a ragged batch: shorter ones are padded in other ways


@dataclass(frozen=True, eq=False)
class Prepared:
    """A clip before its encoding.

    Attributes:
        waveform: (S, C, L) float32 at the card's sample_rate_in; S channels, or pairs of them,
            are coded one by one, C are those of the network.
        num_samples, sample_rate: of the source, Hz.
    """

    waveform: torch.Tensor
    num_samples: int
    sample_rate: int

    @property
    def shape_key(self) -> tuple:
        """Clips that have this in common can go into one forward as they are."""
        return self.waveform.shape, self.num_samples, self.sample_rate


class LongClip:
    """The waveform (S, C, L) that `prepare` would give of a file, for one that is too long to be
    held as a whole; it is sliced like a tensor, from left to right.

    Attributes:
        shape: (S, C, L).
    """

    def __init__(self, audio: AudioFile, card: CodecCard) -> None:
        each = card.options.get("channels") == "each"
        self._long = audio.stretches(None if each else card.channels, card.sample_rate_in)
        rows, length = self._long.shape
        self.shape = (rows, 1, length) if each else (1, rows, length)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, place: tuple) -> torch.Tensor:
        """`[..., start:stop]`; stretches may overlap."""
        start, stop, _ = place[-1].indices(self.shape[-1])
        return self._long.stretch(start, stop).reshape(*self.shape[:2], stop - start)

    def finish(self) -> None:
        """Reads to the end: AudioError where the file is damaged behind what was asked for."""
        self._long.stretch(self.shape[-1], self.shape[-1] + 1)


def prepare(audio: Audio | AudioFile, card: CodecCard) -> Prepared:
    """`audio` resampled, with the channels that the codec of that card takes."""
    each = card.options.get("channels") == "each"
    waveform = audio.converted(None if each else card.channels, card.sample_rate_in)
    waveform = waveform[:, None] if each else waveform[None]
    return Prepared(waveform, audio.num_samples, audio.sample_rate)


def padded(clips: Sequence[Prepared]) -> tuple[torch.Tensor, list[int]]:
    """All waveforms of `clips` in one batch (B, C, L), zeros behind each, and their lengths."""
    waveforms = [waveform for clip in clips for waveform in clip.waveform]  # (C, L) each
    lengths = [waveform.shape[-1] for waveform in waveforms]
    batch = waveforms[0].new_zeros(len(waveforms), waveforms[0].shape[0], max(lengths))
    for row, waveform in zip(batch, waveforms, strict=True):
        row[:, : waveform.shape[-1]] = waveform
    return batch, lengths


def split(codes: torch.Tensor, clips: Sequence[Prepared], frames: Callable) -> Iterator:
    """Codes (B, K, T) of `padded(clips)` -> those of each clip (S, K, its frames).

    Args:
        frames: samples -> frames.
    """
    start = 0
    for clip in clips:
        separate, _, length = clip.waveform.shape
        yield codes[start : start + separate, :, : frames(length)].clone()
        start += separate


def shape_key(tokens: Tokens) -> tuple:
    """Tokens that have this in common can be decoded in one forward."""
    side = None if tokens.side is None else tokens.side.shape
    return tokens.codes.shape, side, tokens.num_samples, tokens.sample_rate


def map_groups(items: Sequence, key: Callable, work: Callable[[list], list]) -> list:
    """Applies `work` to each group of items with equal keys; the results in the items' order."""
    groups = defaultdict(list)
    for index, item in enumerate(items):
        groups[key(item)].append(index)
    results = [None] * len(items)
    for indices in groups.values():
        for index, result in zip(indices, work([items[i] for i in indices]), strict=True):
            results[index] = result
    return results
