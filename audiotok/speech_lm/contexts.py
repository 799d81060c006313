"""Contexts of equal length out of shards of tokens: clips one after another, cut where one is full.

The order is by seed and pass over the corpus; processes take contexts in turn. So what a step sees
depends on its number alone, and a run that was stopped goes on with the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from audiotok.corpora.shards import Shards
from audiotok.errors import CorpusError


class Contexts:
    """Codes (K, `frames`) of the clips of a folder.

    Args:
        num_codebooks: only the first ones; None: all.
    """

    def __init__(self, folder: str | Path, frames: int, num_codebooks: int | None, seed: int):
        self.shards, self.frames, self.seed = Shards(folder), frames, seed
        about = self.shards.about
        self.sizes = tuple(about["codebook_sizes"][:num_codebooks])
        self.strides = tuple(about["strides"][:num_codebooks])
        if num_codebooks is not None and num_codebooks > len(self.sizes):
            raise CorpusError(
                f"{folder} has tokens of {len(self.sizes)} codebooks, not {num_codebooks}"
            )
        self._unit = math.lcm(*self.strides)
        if frames % self._unit:
            raise CorpusError(
                f"a context of {frames} frames does not hold whole groups of {self._unit}, after "
                "which all codebooks are free again"
            )

    def __iter__(self) -> Iterator[Tensor]:
        """Without end: all clips once, then all again in another order, ..."""
        waiting: list[Tensor] = []
        have = 0
        for codes in self._clips():
            while have + codes.shape[1] >= self.frames:
                part = codes[:, : self.frames - have]
                yield torch.cat([*waiting, part], 1)
                codes, waiting, have = codes[:, part.shape[1] :], [], 0
            waiting.append(codes)
            have += codes.shape[1]

    def of_process(self, rank: int, count: int, skip: int) -> Iterator[Tensor]:
        """Every `count`-th context from `rank` on, without the first `skip` of these."""
        for number, codes in enumerate(self):
            if number % count == rank and number // count >= skip:
                yield codes

    def _clips(self) -> Iterator[Tensor]:
        epoch = 0
        while True:
            generator = np.random.default_rng([self.seed, epoch])
            empty = True
            for number in generator.permutation(len(self.shards.paths)):
                clips = list(self.shards.of(self.shards.paths[number]))
                for place in generator.permutation(len(clips)):
                    codes = clips[place].codes[:, : len(self.sizes)]
                    whole = codes.shape[2] // self._unit * self._unit
                    empty = empty and not whole
                    yield from codes[:, :, :whole]
            if empty:
                raise CorpusError(f"{self.shards.folder} holds no frame to learn from")
            epoch += 1
