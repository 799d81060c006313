"""Clips before they enter a codec's network: each is prepared alone, then batches are made.

`prepare` needs the card only, so other processes can read and resample for the process that holds
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
MIN_FRAMES = 9  # of a clip in a ragged batch: networks pad shorter clips differently


@dataclass(frozen=True, eq=False)
class Prepared:
    """A clip before its encoding.

    Attributes:
        waveform: (S, C, L) float32 at the card's sample_rate_in. The network takes C channels at a
            time; S is how many such rows are coded separately.
        num_samples, sample_rate: of the source, Hz.
    """

    waveform: torch.Tensor
    num_samples: int
    sample_rate: int

    @property
    def shape_key(self) -> tuple:
        """Clips with equal keys can go into one forward without padding."""
        return self.waveform.shape, self.num_samples, self.sample_rate


class LongClip:
    """The waveform (S, C, L) that `prepare` would make of a file too long for memory. It is sliced
    like a tensor, from left to right.

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
        """`[..., start:stop]`; consecutive slices may overlap."""
        start, stop, _ = place[-1].indices(self.shape[-1])
        return self._long.stretch(start, stop).reshape(*self.shape[:2], stop - start)

    def finish(self) -> None:
        """Read to the end; raises AudioError if the rest of the file is damaged."""
        self._long.stretch(self.shape[-1], self.shape[-1] + 1)


def prepare(audio: Audio | AudioFile, card: CodecCard) -> Prepared:
    """`audio` at the rate and with the channels that the codec of this card takes."""
    each = card.options.get("channels") == "each"
    waveform = audio.converted(None if each else card.channels, card.sample_rate_in)
    waveform = waveform[:, None] if each else waveform[None]
    return Prepared(waveform, audio.num_samples, audio.sample_rate)


def padded(clips: Sequence[Prepared]) -> tuple[torch.Tensor, list[int]]:
    """All waveforms of `clips` in one zero-padded batch (B, C, L), and their lengths in samples."""
    waveforms = [waveform for clip in clips for waveform in clip.waveform]  # (C, L) each
    lengths = [waveform.shape[-1] for waveform in waveforms]
    batch = waveforms[0].new_zeros(len(waveforms), waveforms[0].shape[0], max(lengths))
    for row, waveform in zip(batch, waveforms, strict=True):
        row[:, : waveform.shape[-1]] = waveform
    return batch, lengths


def split(codes: torch.Tensor, clips: Sequence[Prepared], frames: Callable) -> Iterator:
    """Split the codes (B, K, T) of `padded(clips)` into those of each clip, (S, K, T of the clip).

    Args:
        frames: function from samples to frames.
    """
    start = 0
    for clip in clips:
        separate, _, length = clip.waveform.shape
        yield codes[start : start + separate, :, : frames(length)].clone()
        start += separate


def shape_key(tokens: Tokens) -> tuple:
    """Tokens with equal keys can be decoded in one forward."""
    side = None if tokens.side is None else tokens.side.shape
    return tokens.codes.shape, side, tokens.num_samples, tokens.sample_rate


def map_groups(items: Sequence, key: Callable, work: Callable[[list], list]) -> list:
    """Apply `work` to each group of items with equal keys; return the results in input order."""
    groups = defaultdict(list)
    for index, item in enumerate(items):
        groups[key(item)].append(index)
    results = [None] * len(items)
    for indices in groups.values():
        for index, result in zip(indices, work([items[i] for i in indices]), strict=True):
            results[index] = result
    return results
