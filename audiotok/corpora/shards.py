"""Shards of tokens: parquet files with one row per clip, in a folder with what made them.

    tokens/corpus.json                     codec, fingerprint, corpus and settings of the folder
    tokens/tokens-00000-of-00032.parquet   finished, or not there

Columns: `id`; `codes`, a list per channel and codebook (channel 0 first) of its free codes, in the
smallest unsigned type; `num_frames` T at the finest rate; `num_samples` and `sample_rate` of the
source, `duration` in seconds; `text`, `speaker`, `label` where known; `side`, side information as
flat values with shape and type where the codec has it. The metadata `audiotok` of each file is
JSON: codec, card, fingerprint, codebook_sizes, strides, version, settings, what failed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import torch

from audiotok.corpora.sources import Recording
from audiotok.data import Clip
from audiotok.errors import CorpusError, TokensError
from audiotok.system import names
from audiotok.system.names import Recorded
from audiotok.tokens import atok
from audiotok.tokens.tokens import Tokens

FORMAT = "audiotok-tokens-1"
ABOUT = "corpus.json"
ROW_GROUP = 256  # rows that are read together
_KEY = b"audiotok"
_TYPES = {"int32": torch.int32, "int64": torch.int64}
_SIDE = pa.struct(
    [("values", pa.list_(pa.int64())), ("shape", pa.list_(pa.int32())), ("type", pa.string())]
)


def file_name(number: int, count: int) -> str:
    return f"tokens-{number:05d}-of-{count:05d}.parquet"


def schema(about: Mapping[str, Any]) -> pa.Schema:
    """The columns, and `about` as metadata."""
    largest = max(about["codebook_sizes"]) - 1
    kind = pa.uint8() if largest < 2**8 else pa.uint16() if largest < 2**16 else pa.uint32()
    text = [(name, pa.string()) for name in ("text", "speaker", "label")]
    return pa.schema(
        [
            ("id", pa.string()),
            ("codes", pa.list_(pa.list_(kind))),
            ("num_frames", pa.int64()),
            ("num_samples", pa.int64()),
            ("sample_rate", pa.int32()),
            ("duration", pa.float64()),
            *text,
            ("side", _SIDE),
        ],
        metadata={_KEY: json.dumps(about, sort_keys=True).encode()},
    )


def write(rows: Sequence[tuple[Recording, Tokens]], about: Mapping[str, Any]) -> bytes:
    """The bytes of a shard, the same for the same rows."""
    fields = [_row(*pair) for pair in rows]
    table = pa.Table.from_pylist(fields, schema=schema(about))
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink, row_group_size=ROW_GROUP, compression="zstd")
    return sink.getvalue().to_pybytes()


def _row(recording: Recording, tokens: Tokens) -> dict[str, Any]:
    free, side = tokens.free_codes, tokens.side
    channels = range(tokens.codes.shape[0])
    return {
        "id": recording.id,
        "codes": [book[channel].numpy() for channel in channels for book in free],
        "num_frames": tokens.num_frames,
        "num_samples": tokens.num_samples,
        "sample_rate": tokens.sample_rate,
        "duration": tokens.duration,
        "text": recording.text,
        "speaker": recording.speaker,
        "label": recording.label,
        "side": side
        if side is None
        else {
            "values": side.flatten().tolist(),
            "shape": list(side.shape),
            "type": str(side.dtype).removeprefix("torch."),
        },
    }


def about_file(path: Path) -> dict[str, Any]:
    """The metadata of a shard."""
    try:
        metadata = parquet.read_schema(path).metadata or {}
        return json.loads(metadata[_KEY])
    except (OSError, pa.ArrowException, KeyError, ValueError) as reason:
        raise CorpusError(f"{path} is no shard of tokens, or damaged: {_line(reason)}") from reason


class Shards:
    """The shards of a folder, read when asked for.

    Attributes:
        paths: of the finished shards, in the order of the corpus.
        about: what made them, as in corpus.json.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self.about = read_about(self.folder)
        self.paths = sorted(self.folder.glob("tokens-*.parquet"))
        if not self.paths:
            raise CorpusError(f"{folder} has no finished shard yet: run the same encode again")
        for path in self.paths:
            found = about_file(path)["fingerprint"]
            if found != self.about["fingerprint"]:
                raise CorpusError(
                    f"{path} has tokens of another codec (fingerprint {found[:12]}) than "
                    f"{self.folder / ABOUT} says: keep corpora apart"
                )

    @property
    def complete(self) -> bool:
        return len(self.paths) == self.about["shards"]

    def __len__(self) -> int:
        return sum(parquet.read_metadata(path).num_rows for path in self.paths)

    def __iter__(self) -> Iterator[tuple[Clip, Tokens]]:
        seen: set[str] = set()
        for path in self.paths:
            for row in _rows(path):
                if (key := names.key(row["id"])) in seen:
                    raise CorpusError(f"{path} has the id {row['id']}, which another clip has too")
                seen.add(key)
                yield self.clip(row), self.tokens(row)

    def ids(self) -> Iterator[str]:
        """Ids of all clips, in order; codes are not read."""
        for path in self.paths:
            yield from parquet.read_table(path, columns=["id"])["id"].to_pylist()

    def of(self, path: Path) -> Iterator[Tokens]:
        """The tokens of one shard."""
        return map(self.tokens, _rows(path))

    @staticmethod
    def clip(row: Mapping[str, Any]) -> Clip:
        """What a row says of the clip; it has no sound file."""
        return Clip(row["id"], None, row["text"], row["speaker"], row["label"])

    def tokens(self, row: Mapping[str, Any]) -> Tokens:
        """The tokens of `row_of`; TokensError where they do not fit together."""
        about, frames, side = self.about, row["num_frames"], row["side"]
        strides, codebooks = about["strides"], len(about["codebook_sizes"])
        books = row["codes"]
        sizes = [-(-frames // stride) for stride in strides] * (len(books) // codebooks)
        if len(books) % codebooks or [len(book) for book in books] != sizes:
            raise TokensError(f"the codes of {row['id']} do not fit {frames} frames: damaged?")
        rows = [
            atok.repeat(torch.from_numpy(book.astype("int64")), strides[n % codebooks], frames)
            for n, book in enumerate(books)
        ]
        if side is not None:
            side = torch.tensor(side["values"], dtype=_TYPES[side["type"]]).reshape(side["shape"])
        return Tokens(
            torch.stack(rows).unflatten(0, (-1, codebooks)),
            about["codec"],
            about["fingerprint"],
            row["num_samples"],
            row["sample_rate"],
            about["codebook_sizes"],
            strides,
            side,
        )


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    file = parquet.ParquetFile(path)
    for group in range(file.num_row_groups):
        table = file.read_row_group(group)
        for number in range(table.num_rows):
            yield row_of(table, number, path)


def row_of(table: pa.Table, number: int, path: Path) -> dict[str, Any]:
    """The columns of a row of that file; `codes` as arrays, for a long clip has millions.

    Raises CorpusError where the id is not safe as the name of a file.
    """
    name = table["id"][number].as_py()
    if (wrong := names.problem(name)) is not None:
        raise CorpusError(f"{path} has the id {ascii(name)[:80]}, no name for a file: {wrong}")
    row = {name: table[name][number] for name in table.column_names}
    codes = row.pop("codes").values
    books = [codes[k].values.to_numpy() for k in range(len(codes))]
    return {name: value.as_py() for name, value in row.items()} | {"codes": books}


def read(folder: str | Path) -> Iterator[tuple[Clip, Tokens]]:
    """(clip, tokens) of all finished shards, in the order of the corpus."""
    return iter(Shards(folder))


def is_shards(path: Path) -> bool:
    """Whether a folder holds shards of tokens."""
    return (path / ABOUT).is_file()


def read_about(folder: Path) -> dict[str, Any]:
    """What made the shards of a folder."""
    path = folder / ABOUT
    try:
        about = json.loads(path.read_bytes())
        if about["format"] != FORMAT:
            raise ValueError(f"format {about['format']!r:.40}, expected {FORMAT!r}")
        about["codec"] = Recorded(about["codec"], str(path))
    except (OSError, ValueError, KeyError, TypeError) as reason:
        raise CorpusError(
            f"{folder} is no folder of tokens ({_line(reason)}): expected one that "
            "`audiotok encode FOLDER -o tokens/` wrote"
        ) from reason
    return about


def _line(reason: BaseException) -> str:
    return " ".join(str(getattr(reason, "strerror", None) or reason).split())[:200]
