"""Shards of tokens: parquet files with one row per clip, in a folder with what made them.

    tokens/_corpus.json                    codec, fingerprint, corpus and settings of the folder
    tokens/tokens-00000-of-00032.parquet   finished, or not there

Readers of parquet folders leave out names that start with an underscore or a dot.

Columns: `id`; `codes`, a list per channel and codebook (channel 0 first) of its free codes, in the
smallest unsigned type; `num_frames` T at the finest rate; `num_samples` and `sample_rate` of the
source, `duration` in seconds; `text`, `speaker`, `label` where known; `side`, side information as
flat values with shape and type where the codec has it; `crc32` over all of these. The metadata
`audiotok` of each file is JSON: codec, card, fingerprint, codebook_sizes, strides, version,
settings, what failed, and a checksum of its own. Folders of before (format audiotok-tokens-1, with
corpus.json and no checksums) can be read.
"""

from __future__ import annotations

import json
import logging
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
from audiotok.tokens.tokens import Tokens

__all__ = ["ABOUT", "FORMAT", "Shards", "about_file", "is_shards", "read", "read_about", "write"]
log = logging.getLogger("audiotok")

ABOUT = "_corpus.json"
_OLD_ABOUT = "corpus.json"
_SAME = ("format", "fingerprint", "codec", "codebook_sizes", "strides")  # in folder and shards


def file_name(number: int, count: int) -> str:
    return f"tokens-{number:05d}-of-{count:05d}.parquet"


def about_file(path: Path) -> dict[str, Any]:
    """The metadata of a shard."""
    with rows.opened(path) as file:
        return rows.about_of(file)


class Shards:
    """The shards of a folder, read when asked for.

    Attributes:
        paths: of the finished shards, in the order of the corpus.
        about: what made them, as in _corpus.json.

    Raises:
        CorpusError: the folder holds no shards, shards of several codecs, or damaged ones. Reading
            a damaged row raises one too, which names file and row.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.about = read_about(self.folder)
        self.paths = sorted(self.folder.glob("tokens-*.parquet"))
        if not self.paths:
            raise CorpusError(f"{folder} has no finished shard yet: run the same encode again")
        for path in self.paths:
            self._check(path)
        if self.about["format"] == OLD_FORMAT:
            _say_old(self.folder)

    def _check(self, path: Path) -> None:
        """Raises CorpusError unless the shard says of itself what the folder says."""
        found = about_file(path)
        for name in _SAME:
            if found[name] != self.about[name]:
                raise CorpusError(
                    f"{path} has tokens of another codec ({name} {found[name]!s:.12}) than "
                    f"{_about_path(self.folder)} says ({self.about[name]!s:.12}): keep corpora "
                    "apart"
                )

    @property
    def complete(self) -> bool:
        return len(self.paths) == self.about.get("shards")

    def __len__(self) -> int:
        return sum(parquet.read_metadata(path).num_rows for path in self.paths)

    def __iter__(self) -> Iterator[tuple[Clip, Tokens]]:
        seen: set[str] = set()
        for path in self.paths:
            for clip, tokens in self._clips(path):
                if (key := names.key(clip.id)) in seen:
                    raise CorpusError(f"{path} has the id {clip.id}, which another clip has too")
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
        """The rows of a shard that are read together."""
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
        """What a row says of the clip; it has no sound file."""
        return Clip(row["id"], None, row["text"], row["speaker"], row["label"])

    def tokens(self, row: Mapping[str, Any]) -> Tokens:
        """The tokens of a row; TokensError where they do not fit together."""
        return rows.tokens_of(row, self.about)


def _check_id(path: Path, name: str) -> None:
    """Raises CorpusError where an id cannot be the name of a file."""
    wrong = names.problem(name) if isinstance(name, str) else "it is no text"
    if wrong is not None:
        raise CorpusError(f"{path} has the id {ascii(name)[:80]}, no name for a file: {wrong}")


@cache
def _say_old(folder: Path) -> None:
    log.warning(
        "%s was written by an older audiotok, without checksums: damage to its codes goes "
        "unnoticed; encode the corpus again to have them",
        folder,
    )


def read(folder: str | Path) -> Iterator[tuple[Clip, Tokens]]:
    """(clip, tokens) of all finished shards, in the order of the corpus."""
    return iter(Shards(folder))


def _about_path(folder: Path) -> Path:
    return folder / (ABOUT if (folder / ABOUT).exists() else _OLD_ABOUT)


def is_shards(path: Path) -> bool:
    """Whether a folder holds shards of tokens."""
    return _about_path(path).is_file()


def read_about(folder: Path) -> dict[str, Any]:
    """What made the shards of a folder."""
    path = _about_path(folder)
    try:
        about = rows.unsealed(path.read_bytes())
        about["codec"] = Recorded(about["codec"], str(path))
        return about
    except (OSError, ValueError, TokensError, RecursionError, KeyError, TypeError) as reason:
        raise CorpusError(
            f"{folder} is no folder of tokens, or {path.name} in it is damaged ({line(reason)}): "
            "expected a folder that `audiotok encode FOLDER -o tokens/` wrote"
        ) from reason


def about_bytes(about: Mapping[str, Any]) -> bytes:
    """What stands in _corpus.json."""
    return json.dumps(rows.sealed(about), indent=1, sort_keys=True).encode()
