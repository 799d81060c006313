"""Batches of aligned clips, each behind a prompt: the start of another clip of the same voice.

The batch of a step depends only on the seed and its number, so a resumed run goes on with the same
data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from audiotok.errors import CorpusError
from audiotok.tts.resgen.model import Condition, condition_of

_POOL = 4  # batches whose clips are sorted by length together: less padding


@dataclass(frozen=True)
class Utterance:
    """One aligned clip.

    Attributes:
        codes: (D, T) integers.
        phones: ids, each with its `durations` in frames, 1 or more, T together.
        speaker: clips of one speaker are each other's prompts.
    """

    codes: Tensor
    phones: tuple[int, ...]
    durations: tuple[int, ...]
    speaker: str


class Batches:
    """Batches of these clips.

    Args:
        size: clips of a batch.
        prompt_frames: fewest and most frames of a prompt, uniformly drawn; a clip whose voice has
            no other clip has none.
        prompt_phone: the phone that stands for a prompt.
        drop: share of clips without their condition.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        *,
        size: int,
        prompt_frames: tuple[int, int],
        prompt_phone: int,
        drop: float,
        seed: int,
    ):
        if len(utterances) < size:
            raise CorpusError(f"{len(utterances)} clips are no batch of {size}")
        self.utterances, self.size, self.seed = list(utterances), size, seed
        self._frames, self._phone, self._drop = prompt_frames, prompt_phone, drop
        self._of_speaker: dict[str, list[int]] = {}
        for number, one in enumerate(self.utterances):
            self._of_speaker.setdefault(one.speaker, []).append(number)

    def __getitem__(self, number: int) -> tuple[Tensor, Condition]:
        """Codes (B, D, T) and condition of the batch of that number."""
        generator = np.random.default_rng([self.seed, number])
        pool = min(len(self.utterances) // self.size, _POOL) * self.size
        drawn = generator.choice(len(self.utterances), pool, replace=False)
        drawn = sorted(drawn.tolist(), key=lambda n: len(self.utterances[n].codes.T))
        start = int(generator.integers(pool // self.size)) * self.size
        clips = [self._clip(n, generator) for n in drawn[start : start + self.size]]
        codes = [clip[0] for clip in clips]
        frames = max(one.shape[1] for one in codes)
        padded = torch.zeros(len(codes), codes[0].shape[0], frames, dtype=torch.int64)
        for row, one in zip(padded, codes, strict=True):
            row[:, : one.shape[1]] = one
        condition = condition_of(*([clip[part] for clip in clips] for part in (1, 2, 3)))
        dropped = torch.from_numpy(generator.random(len(clips)) < self._drop)
        return padded, Condition(
            condition.phones, condition.durations, condition.prompt_frames, dropped
        )

    def _clip(
        self, number: int, generator: np.random.Generator
    ) -> tuple[Tensor, list[int], list[int], int]:
        """Codes, phones, durations and prompt frames of one clip behind its prompt."""
        one = self.utterances[number]
        others = [n for n in self._of_speaker[one.speaker] if n != number]
        phones, durations = list(one.phones), list(one.durations)
        if not others:
            return one.codes, phones, durations, 0
        prompt = self.utterances[others[int(generator.integers(len(others)))]].codes
        frames = int(generator.integers(self._frames[0], self._frames[1] + 1))
        prompt = prompt[:, :frames]
        frames = prompt.shape[1]
        codes = torch.cat([prompt, one.codes], 1)
        return codes, [self._phone, *phones], [frames, *durations], frames
