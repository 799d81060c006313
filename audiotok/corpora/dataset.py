"""A PyTorch dataset over shards of tokens: sequences for a language model."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import torch
from torch.utils.data import Dataset

from audiotok.corpora.shards import Shards
from audiotok.errors import CorpusError, TokensError
from audiotok.tokens.patterns import PATTERNS, Vocabulary, to_ids
from audiotok.tokens.tokens import Tokens

_GROUPS = 4  # row groups that a process keeps in memory


class TokenDataset(Dataset):
    """Clips as sequences of ids, read from the shards on demand.

    An item is a dictionary: `ids` int64, (N,) or (K, columns) depending on the pattern; `id`,
    `text`, `speaker`, `label` ("" if unknown) and `duration` of the clip. With `frames` all `ids`
    have one shape, so that they can be stacked to a batch, and `mask` bool is False on the padding.

    Args:
        folder: of the shards.
        pattern, offset, special, special_first: as in `Tokens.to_sequence`.
        frames: of every item: longer clips are cropped to this number of frames; the sequences of
            shorter clips are padded at the end.
        num_codebooks: use only the first codebooks.
        seed: of the random starts of crops, by clip and epoch; call `set_epoch` for other crops.
            With None each crop starts at the first frame.

    Where the frame rate varies, the durations are one more codebook, the last one, and `frames` are
    frames before merging.

    A row group with several adjacent clips is read at once: if reading is slow, shuffle within
    shards.
    """

    def __init__(
        self,
        folder: str | Path,
        pattern: str = "interleaved",
        offset: int = 0,
        special: Sequence[str] = (),
        special_first: bool = False,
        frames: int | None = None,
        num_codebooks: int | None = None,
        seed: int | None = 0,
    ):
        self.shards = Shards(folder)
        if pattern not in PATTERNS:
            raise TokensError(f"the pattern is one of {', '.join(PATTERNS)}, not {pattern!r}")
        if frames is not None and frames < 1:
            raise CorpusError(f"frames is {frames}: expected 1 or more")
        sizes, strides = self.shards.layout(num_codebooks)
        self.vocabulary = Vocabulary(tuple(sizes), offset, tuple(special), special_first)
        self._pattern, self._frames, self._seed, self._epoch = pattern, frames, seed, 0
        self._num_codebooks, self._unit = num_codebooks, math.lcm(*strides)
        if frames is not None:
            crop = torch.zeros(len(sizes), frames, dtype=torch.int64)
            self._width = to_ids(crop, strides, pattern, self.vocabulary).shape[-1]
        files = [parquet.read_metadata(path) for path in self.shards.paths]
        self._groups = [
            (number, group)
            for number, file in enumerate(files)
            for group in range(file.num_row_groups)
        ]
        rows = (files[number].row_group(group).num_rows for number, group in self._groups)
        self._ends = list(itertools.accumulate(rows))
        self._read = lru_cache(_GROUPS)(self._read_group)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_read"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._read = lru_cache(_GROUPS)(self._read_group)

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch; the starts of crops depend on it."""
        self._epoch = epoch

    def __getitem__(self, index: int) -> dict[str, Any]:
        if not -len(self) <= index < len(self):
            raise IndexError(f"clip {index} of {len(self)}")
        index %= len(self)
        group = bisect.bisect_right(self._ends, index)
        group_start = self._ends[group - 1] if group else 0
        file_number, group_in_file = self._groups[group]
        file_start = self._ends[group - group_in_file - 1] if group > group_in_file else 0
        row, tokens = self.shards.read(
            self.shards.paths[file_number],
            self._read(group),
            index - group_start,
            index - file_start,
        )
        if self._num_codebooks is not None:
            tokens = tokens.first(self._num_codebooks)
        item = {name: row[name] for name in ("id", "text", "speaker", "label", "duration")}
        item = {name: "" if value is None else value for name, value in item.items()}
        if self._frames is None:
            return item | {"ids": self._ids(tokens)}
        start = self._start(index, tokens.num_frames)
        crop = replace(tokens, codes=tokens.codes[..., start : start + self._frames])
        ids = self._ids(crop)
        mask = torch.arange(self._width) < ids.shape[-1]
        padding_shape = (*ids.shape[:-1], self._width - ids.shape[-1])
        padding = ids.new_full(padding_shape, self.vocabulary.id("pad"))
        return item | {"ids": torch.cat([ids, padding], dim=-1), "mask": mask}

    def _ids(self, tokens: Tokens) -> torch.Tensor:
        vocabulary = self.vocabulary
        return tokens.to_sequence(
            self._pattern, vocabulary.offset, vocabulary.special, vocabulary.special_first
        )

    def _start(self, index: int, available: int) -> int:
        """The frame at which the crop of a clip starts in this epoch."""
        surplus = available - self._frames
        if surplus <= 0 or self._seed is None:
            return 0
        seed = hash((self._seed, self._epoch, index)) % 2**63
        positions, generator = surplus // self._unit + 1, torch.Generator().manual_seed(seed)
        return int(torch.randint(positions, (), generator=generator)) * self._unit

    def _read_group(self, group: int):
        number, group_in_file = self._groups[group]
        return self.shards.read_group(self.shards.paths[number], group_in_file)
