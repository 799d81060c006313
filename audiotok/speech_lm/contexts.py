"""Contexts of equal length from shards of tokens: clips are concatenated and cut.

The order depends on the seed and the epoch; processes take contexts in turn. The batch of a step
depends only on its number, so a resumed run continues with the same data.
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
        num_codebooks: use only the first codebooks; None: all.
    """

    def __init__(self, folder: str | Path, frames: int, num_codebooks: int | None, seed: int):
        self.shards, self.frames, self.seed = Shards(folder), frames, seed
        metadata = self.shards.metadata
        self.sizes = tuple(metadata["codebook_sizes"][:num_codebooks])
        self.strides = tuple(metadata["strides"][:num_codebooks])
        if num_codebooks is not None and num_codebooks > len(self.sizes):
            raise CorpusError(
                f"{folder} has tokens of {len(self.sizes)} codebooks, not {num_codebooks}"
            )
        if metadata.get("max_duration", 1) > 1:
            raise CorpusError(
                f"{folder} has tokens of a variable rate, expected a fixed rate: encode the "
                "corpus again without merge=similarity or merge=equal"
            )
        self._unit = math.lcm(*self.strides)
        if frames % self._unit:
            raise CorpusError(
                f"a context of {frames} frames is no multiple of {self._unit}, the least common "
                "multiple of the codebooks' strides"
            )

    def __iter__(self) -> Iterator[Tensor]:
        """Infinite: in each epoch all clips once, in another order."""
        parts: list[Tensor] = []
        filled = 0
        for codes in self._clips():
            while filled + codes.shape[1] >= self.frames:
                part = codes[:, : self.frames - filled]
                yield torch.cat([*parts, part], 1)
                codes, parts, filled = codes[:, part.shape[1] :], [], 0
            parts.append(codes)
            filled += codes.shape[1]

    def of_process(self, rank: int, count: int, skip: int) -> Iterator[Tensor]:
        """Every `count`-th context, starting with number `rank`, without the first `skip`."""
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
                for index in generator.permutation(len(clips)):
                    codes = clips[index].codes[:, : len(self.sizes)]
                    whole = codes.shape[2] // self._unit * self._unit
                    empty = empty and not whole
                    yield from codes[:, :, :whole]
            if empty:
                raise CorpusError(f"{self.shards.folder} has no frame to train on")
            epoch += 1
