"""One row of a shard of tokens: its columns, its checksum, and the way to a clip and back.

The checksum of a row is a CRC-32 over all its other columns, so that no damaged bit gives other
codes without an error, whichever part of the parquet file it hits.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import torch

from audiotok.corpora.sources import Recording
from audiotok.errors import AudiotokError, CorpusError, TokensError
from audiotok.tokens import atok
from audiotok.tokens.tokens import Tokens

FORMAT = "audiotok-tokens-2"
OLD_FORMAT = "audiotok-tokens-1"  # without checksums
ROW_GROUP = 256  # rows that are read together, at most
GROUP_CODES = 2**24  # codes that are read together, at most, where they are of several rows
_MAX_ROWS, _MAX_BYTES = 2**16, 2**32  # that stand together in a file that can be read
KEY = b"audiotok"
_TYPES = {"int32": torch.int32, "int64": torch.int64}
_SIDE = pa.struct(
    [("values", pa.list_(pa.int64())), ("shape", pa.list_(pa.int32())), ("type", pa.string())]
)
_PLAIN = ("id", "num_frames", "num_samples", "sample_rate", "duration", "text", "speaker", "label")
_ADVICE = (
    "remove this file and run the same `audiotok encode` again, which makes it anew, or restore it "
    "from a copy"
)


def schema(about: Mapping[str, Any]) -> pa.Schema:
    """The columns of a shard of which `about` says format and codebook_sizes."""
    text = [(name, pa.string()) for name in ("text", "speaker", "label")]
    columns = [
        ("id", pa.string()),
        ("codes", pa.list_(pa.list_(_code_type(about)))),
        ("num_frames", pa.int64()),
        ("num_samples", pa.int64()),
        ("sample_rate", pa.int32()),
        ("duration", pa.float64()),
        *text,
        ("side", _SIDE),
    ]
    return pa.schema(columns + [("crc32", pa.uint32())] * (about["format"] != OLD_FORMAT))


def _code_type(about: Mapping[str, Any]) -> pa.DataType:
    largest = max(about["codebook_sizes"]) - 1
    return pa.uint8() if largest < 2**8 else pa.uint16() if largest < 2**16 else pa.uint32()


def write(rows: Sequence[tuple[Recording, Tokens]], about: Mapping[str, Any]) -> bytes:
    """The bytes of a shard, the same for the same rows; `about` is sealed into its metadata."""
    columns = schema(about)
    if about["format"] != OLD_FORMAT:
        about = sealed(about)
    columns = columns.with_metadata({KEY: json.dumps(about, sort_keys=True).encode()})
    table = pa.Table.from_pylist([_row(*pair, about) for pair in rows], schema=columns)
    longest = max((tokens.codes.numel() for _, tokens in rows), default=1)
    together = max(1, min(ROW_GROUP, GROUP_CODES // longest))
    sink = pa.BufferOutputStream()
    parquet.write_table(
        table, sink, row_group_size=together, compression="zstd", write_page_checksum=True
    )
    return sink.getvalue().to_pybytes()


def _row(recording: Recording, tokens: Tokens, about: Mapping[str, Any]) -> dict[str, Any]:
    free, side = tokens.free_codes, tokens.side
    channels, kind = range(tokens.codes.shape[0]), _code_type(about).to_pandas_dtype()
    row = {
        "id": recording.id,
        "codes": [book[channel].numpy().astype(kind) for channel in channels for book in free],
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
    return row | {"crc32": _checksum(row)} if about["format"] != OLD_FORMAT else row


def row_of(table: pa.Table, number: int) -> dict[str, Any]:
    """The columns of a row; `codes` as arrays, for a long clip has millions.

    Raises:
        TokensError: the row does not fit its checksum.
    """
    row = {name: table[name][number] for name in table.column_names}
    codes = row.pop("codes").values
    books = [codes[k].values.to_numpy() for k in range(len(codes))]
    row = {name: value.as_py() for name, value in row.items()} | {"codes": books}
    if "crc32" in row and _checksum(row) != row["crc32"]:
        raise TokensError("its checksum does not fit, the file is damaged")
    return row


def _checksum(row: Mapping[str, Any]) -> int:
    """CRC-32 over all columns but itself."""
    books = row["codes"]
    head = [[row[name] for name in _PLAIN], row["side"], [len(book) for book in books]]
    total = zlib.crc32(json.dumps(head, sort_keys=True).encode())
    for book in books:
        values = np.ascontiguousarray(book, book.dtype.newbyteorder("<"))
        total = zlib.crc32(values.view(np.uint8), total)
    return total


def tokens_of(row: Mapping[str, Any], about: Mapping[str, Any]) -> Tokens:
    """The tokens of `row_of`.

    Raises:
        TokensError: the columns do not fit together.
    """
    frames, side, books = row["num_frames"], row["side"], row["codes"]
    strides, codebooks = about["strides"], len(about["codebook_sizes"])
    shape = (len(books) // codebooks, codebooks, frames)
    numbers = about["codebook_sizes"], strides, row["num_samples"], row["sample_rate"]
    atok.check_numbers(shape, *numbers)  # before the codes are repeated
    sizes = [-(-frames // stride) for stride in strides] * shape[0]
    if len(books) % codebooks or [len(book) for book in books] != sizes:
        raise TokensError(f"the codes of {row['id']} do not fit {frames} frames: damaged?")
    codes = [
        atok.repeat(torch.from_numpy(book.astype("int64")), strides[n % codebooks], frames)
        for n, book in enumerate(books)
    ]
    if side is not None:
        side = torch.tensor(side["values"], dtype=_TYPES[side["type"]]).reshape(side["shape"])
    return Tokens(
        torch.stack(codes).unflatten(0, (-1, codebooks)),
        about["codec"],
        about["fingerprint"],
        row["num_samples"],
        row["sample_rate"],
        about["codebook_sizes"],
        strides,
        side,
    )


def sealed(about: Mapping[str, Any]) -> dict[str, Any]:
    """`about` with a checksum, which `unsealed` takes off."""
    return {**about, "crc32": _seal(about)}


def unsealed(content: bytes) -> dict[str, Any]:
    """What JSON says of a folder of tokens, or of a shard.

    Raises:
        ValueError: it is not of a format that is known, says what cannot be, or is damaged.
        TokensError: its numbers cannot be.
    """
    about = json.loads(content)
    if not isinstance(about, dict):
        raise ValueError("it is not an object")
    found = about.get("format")
    if found not in (FORMAT, OLD_FORMAT):
        raise ValueError(f"format {found!r:.40}, expected {FORMAT!r}")
    seal = about.pop("crc32", None)
    if found != OLD_FORMAT and seal != _seal(about):
        raise ValueError("its checksum does not fit, it is damaged")
    for name, kind in (("codec", str), ("fingerprint", str), ("codebook_sizes", list)):
        if not isinstance(about.get(name), kind):
            raise ValueError(f"its {name} is {about.get(name)!r:.40}")
    strides = about.get("strides")
    if not isinstance(strides, list):
        raise ValueError(f"its strides are {strides!r:.40}")
    numbers = about["codebook_sizes"], strides, 1, 16_000
    atok.check_numbers((1, len(about["codebook_sizes"]), 1), *numbers)
    return about


def _seal(about: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(about, sort_keys=True).encode()):08x}"


def about_of(file: parquet.ParquetFile) -> dict[str, Any]:
    """The metadata of a shard; TokensError or ValueError where it has none that can be."""
    metadata = file.schema_arrow.metadata or {}
    if KEY not in metadata:
        raise TokensError("it does not say which codec made it")
    return unsealed(metadata[KEY])


def opened(path: Path) -> parquet.ParquetFile:
    """A shard with the columns, rows and sizes that it must have; use it in a `with`."""
    with reading(path):
        file = parquet.ParquetFile(path, page_checksum_verification=True)
        about = about_of(file)
        found, expected = file.schema_arrow, schema(about)
        if not found.equals(expected):
            differing = [f.name for f in expected if f not in found] or found.names
            raise TokensError(f"it has not the columns of a shard: see {', '.join(differing[:3])}")
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        count, clips = sum(group.num_rows for group in groups), file.metadata.num_rows
        if about["format"] != OLD_FORMAT:
            clips = about.get("shard", {}).get("clips", clips)
        if not count == clips == file.metadata.num_rows:
            raise TokensError(f"{count} of {clips} rows are there")
        for group in groups:  # of a damaged column chunk pyarrow's metadata abort the process
            if group.num_rows > _MAX_ROWS or group.total_byte_size > _MAX_BYTES:
                raise TokensError(
                    f"{group.num_rows} rows of {group.total_byte_size} bytes stand together, more "
                    f"than {_MAX_ROWS} or {_MAX_BYTES}"
                )
        return file


@contextmanager
def reading(path: Path, row: str = "") -> Iterator[None]:
    """Whatever damage makes the readers raise is one CorpusError, with what to do.

    Args:
        row: of the file, for the message; "" where it is the whole file.
    """
    where = f"{path}, {row}" if row else str(path)
    try:
        yield
    except MemoryError as reason:
        raise CorpusError(f"{where} does not fit into memory, or is damaged") from reason
    except CorpusError:
        raise
    except (
        AudiotokError, OSError, pa.ArrowException, ArithmeticError, AttributeError, LookupError,
        RecursionError, RuntimeError, TypeError, ValueError,
    ) as reason:  # fmt: skip
        if isinstance(reason, OSError) and reason.errno is not None:
            raise CorpusError(f"{where} cannot be read: {line(reason)}") from reason
        raise CorpusError(
            f"{where} is no shard of tokens, or damaged ({line(reason)}): {_ADVICE}"
        ) from reason


def line(reason: BaseException) -> str:
    """What an exception says, in one line."""
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return " ".join(text.split())[:200]
