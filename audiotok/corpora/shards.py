"""Shards of tokens: parquet files with one row per clip, in a folder with their metadata.

    tokens/_corpus.json                    codec, fingerprint, corpus and settings of the folder
    tokens/tokens-00000-of-00032.parquet   exists only when it is complete

Readers of parquet folders ignore names that start with an underscore or a dot.

Columns: `id`; `codes`, a list per channel and codebook (channel 0 first) of its free codes, in the
smallest unsigned type; `num_frames` T at the finest rate; `num_samples` and `sample_rate` of the
source, `duration` in seconds; `text`, `speaker`, `label` if known; `side`, side information as flat
values with shape and type, if the codec has it; `crc32` over all other columns. The metadata
`audiotok` of each file is JSON: codec, card, fingerprint, codebook_sizes, strides, version,
settings, failures, and its own checksum. Where the frame rate varies (format audiotok-tokens-3),
`codes` ends with the durations minus 1 of the segments that share codes, and then, if there are
any, with a list of global codes per channel; the metadata have max_duration, merged_codebooks,
global_sizes and needs. Folders of the older format audiotok-tokens-1, with
corpus.json and no checksums, can be read.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet

from audiotok.corpora import rows
from audiotok.corpora.rows import FORMAT, OLD_FORMAT, line, reading, write
from audiotok.data import Clip
from audiotok.errors import CorpusError, TokensError
from audiotok.system import names
from audiotok.system.names import Recorded
from audiotok.tokens.tokens import Tokens, segmented_layout

__all__ = [
    "METADATA_FILE",
    "FORMAT",
    "Shards",
    "shard_metadata",
    "is_shards",
    "read",
    "read_metadata",
    "write",
]
log = logging.getLogger("audiotok")

METADATA_FILE = "_corpus.json"
_OLD_METADATA_FILE = "corpus.json"
_COMMON = ("format", "fingerprint", "codec", "codebook_sizes", "strides")  # in folder and shards


def file_name(number: int, count: int) -> str:
    return f"tokens-{number:05d}-of-{count:05d}.parquet"


def shard_metadata(path: Path) -> dict[str, Any]:
    """The metadata of a shard."""
    with rows.opened(path) as file:
        return rows.metadata_of(file)


class Shards:
    """The shards of a folder, read on demand.

    Attributes:
        paths: of the finished shards, in the order of the corpus.
        metadata: codec, corpus and settings, the content of _corpus.json.

    Raises:
        CorpusError: the folder holds no shards, shards of several codecs, or damaged ones. Reading
            a damaged row raises one too, with file and row.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.metadata = read_metadata(self.folder)
        self.paths = sorted(self.folder.glob("tokens-*.parquet"))
        if not self.paths:
            raise CorpusError(f"{folder} has no finished shard yet: run the same encode again")
        for path in self.paths:
            self._check(path)
        if self.metadata["format"] == OLD_FORMAT:
            _warn_old(self.folder)

    def _check(self, path: Path) -> None:
        """Raises CorpusError unless the metadata of the shard agrees with that of the folder."""
        metadata = shard_metadata(path)
        for name in (*_COMMON, *rows.ADDED):
            shard, folder = metadata.get(name), self.metadata.get(name)
            if shard != folder:
                raise CorpusError(
                    f"{path} has tokens of another codec ({name} {shard!s:.12}) than "
                    f"{_metadata_path(self.folder)} ({folder!s:.12}): use one folder for each codec"
                )

    def layout(self, num_codebooks: int | None = None) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Codebook sizes and strides of the sequences of the first codebooks, all if None; where
        the frame rate varies, those of `Tokens.segmented`."""
        added = rows.added_of(self.metadata)
        sizes = self.metadata["codebook_sizes"][:num_codebooks]
        merged = min(added["merged_codebooks"], len(sizes))
        return segmented_layout(
            sizes, self.metadata["strides"][:num_codebooks], added["max_duration"], merged
        )

    @property
    def about(self) -> dict[str, Any]:
        """The old name of `metadata`, for one release."""
        warnings.warn("Shards.about is now Shards.metadata", FutureWarning, stacklevel=2)
        return self.metadata

    @property
    def complete(self) -> bool:
        """Whether all shards of the corpus are there."""
        return len(self.paths) == self.metadata.get("shards")

    def check_complete(self) -> None:
        """Raises CorpusError unless all shards of the corpus are there."""
        if not self.complete:
            raise CorpusError(
                f"{self.folder} has {len(self.paths)} of {self.metadata['shards']} shards: "
                "run the same `audiotok encode` again to encode the rest first"
            )

    def __len__(self) -> int:
        return sum(parquet.read_metadata(path).num_rows for path in self.paths)

    def __iter__(self) -> Iterator[tuple[Clip, Tokens]]:
        seen: set[str] = set()
        for path in self.paths:
            for clip, tokens in self._clips(path):
                if (key := names.key(clip.id)) in seen:
                    raise CorpusError(f"{path}: the id {clip.id} belongs to another clip already")
                seen.add(key)
                yield clip, tokens

    def ids(self) -> Iterator[str]:
        """Ids of all clips, in order, safe as names of files; codes are not read."""
        for path in self.paths:
            with reading(path):
                ids = parquet.read_table(path, columns=["id"])["id"].to_pylist()
            for name in ids:
                _check_id(path, name)
                yield name

    def of(self, path: Path) -> Iterator[Tokens]:
        """The tokens of one shard."""
        return (tokens for _, tokens in self._clips(path))

    def _clips(self, path: Path) -> Iterator[tuple[Clip, Tokens]]:
        first = 0
        with rows.opened(path) as file:
            for group in range(file.num_row_groups):
                with reading(path):
                    table = file.read_row_group(group)
                for number in range(table.num_rows):
                    row, tokens = self.read(path, table, number, first + number)
                    yield self.clip(row), tokens
                first += table.num_rows

    def read_group(self, path: Path, group: int) -> pa.Table:
        """A row group of a shard."""
        with rows.opened(path) as file, reading(path):
            return file.read_row_group(group)

    def read(
        self, path: Path, table: pa.Table, number: int, in_file: int
    ) -> tuple[dict[str, Any], Tokens]:
        """Columns and tokens of a row of `read_group`.

        Args:
            in_file: number of the row in the shard, for messages.
        """
        with reading(path, f"row {in_file}"):
            row = rows.row_of(table, number)
            if not isinstance(row["id"], str):
                raise TokensError("it has no id")
            _check_id(path, row["id"])
            return row, self.tokens(row)

    @staticmethod
    def clip(row: Mapping[str, Any]) -> Clip:
        """The clip of a row; it has no sound file."""
        return Clip(row["id"], None, row["text"], row["speaker"], row["label"])

    def tokens(self, row: Mapping[str, Any]) -> Tokens:
        """The tokens of a row; TokensError if its columns are inconsistent."""
        return rows.tokens_of(row, self.metadata)


def _check_id(path: Path, name: str) -> None:
    """Raises CorpusError unless the id is safe as the name of a file."""
    problem = names.problem(name) if isinstance(name, str) else "it is no text"
    if problem is not None:
        raise CorpusError(
            f"{path} has the id {ascii(name)[:80]}, which is no safe file name: {problem}"
        )


@cache
def _warn_old(folder: Path) -> None:
    log.warning(
        "%s was written by an older audiotok, without checksums: damaged codes cannot be detected; "
        "encode the corpus again to add checksums",
        folder,
    )


def read(folder: str | Path) -> Iterator[tuple[Clip, Tokens]]:
    """(clip, tokens) of all finished shards, in the order of the corpus."""
    return iter(Shards(folder))


def _metadata_path(folder: Path) -> Path:
    return folder / (METADATA_FILE if (folder / METADATA_FILE).exists() else _OLD_METADATA_FILE)


def is_shards(path: Path) -> bool:
    """Whether a folder holds shards of tokens."""
    return _metadata_path(path).is_file()


def read_metadata(folder: Path) -> dict[str, Any]:
    """Codec, corpus and settings of a folder of shards."""
    path = _metadata_path(folder)
    try:
        metadata = rows.unsealed(path.read_bytes())
        metadata["codec"] = Recorded(metadata["codec"], str(path))
        return metadata
    except (OSError, ValueError, TokensError, RecursionError, KeyError, TypeError) as reason:
        raise CorpusError(
            f"{folder} is no folder of tokens, or {path.name} in it is damaged ({line(reason)}): "
            "expected a folder that `audiotok encode FOLDER -o tokens/` wrote"
        ) from reason


def metadata_bytes(metadata: Mapping[str, Any]) -> bytes:
    """The content of _corpus.json."""
    return json.dumps(rows.sealed(metadata), indent=1, sort_keys=True).encode()
