"""One row of a shard of tokens: its columns, its checksum, and the conversion to a clip and back.

The checksum of a row is a CRC-32 over all its other columns, so that any damaged bit in the
parquet file raises an error instead of giving wrong codes.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import torch

from audiotok.corpora import columns
from audiotok.corpora.sources import Recording
from audiotok.errors import AudiotokError, CorpusError, TokensError
from audiotok.tokens import atok, durations
from audiotok.tokens.tokens import Tokens

FORMAT = "audiotok-tokens-2"
OLD_FORMAT = "audiotok-tokens-1"  # without checksums
# for tokens with durations or global codes, or without a decoder: ADDED are in the metadata
NEW_FORMAT = "audiotok-tokens-3"
ADDED = {"max_duration": 1, "merged_codebooks": 0, "global_sizes": [], "needs": ""}
ROW_GROUP = 256  # largest number of rows in a row group
GROUP_CODES = 2**24  # largest number of codes in a row group with several rows
_MAX_ROWS, _MAX_BYTES = 2**16, 2**32  # of a row group that is read
KEY = b"audiotok"
_TYPES = {"int32": torch.int32, "int64": torch.int64}
_SIDE = pa.struct(
    [("values", pa.list_(pa.int64())), ("shape", pa.list_(pa.int32())), ("type", pa.string())]
)
_SCALARS = (
    "id",
    "num_frames",
    "num_samples",
    "sample_rate",
    "duration",
    "text",
    "speaker",
    "label",
)
_ADVICE = (
    "remove this file and run the same `audiotok encode` again, which writes it again, or restore "
    "it from a copy"
)


def schema(metadata: Mapping[str, Any]) -> pa.Schema:
    """The columns of a shard; `metadata` has its format and codebook_sizes."""
    texts = [(name, pa.string()) for name in ("text", "speaker", "label")]
    fields = [
        ("id", pa.string()),
        ("codes", pa.list_(pa.list_(_code_type(metadata)))),
        ("num_frames", pa.int64()),
        ("num_samples", pa.int64()),
        ("sample_rate", pa.int32()),
        ("duration", pa.float64()),
        *texts,
        ("side", _SIDE),
    ]
    return pa.schema(fields + [("crc32", pa.uint32())] * (metadata["format"] != OLD_FORMAT))


def _code_type(metadata: Mapping[str, Any]) -> pa.DataType:
    largest = max(*metadata["codebook_sizes"], *added_of(metadata)["global_sizes"], 2) - 1
    return pa.uint8() if largest < 2**8 else pa.uint16() if largest < 2**16 else pa.uint32()


def added_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The values of ADDED in the metadata, the defaults in older formats."""
    return {name: metadata.get(name, default) for name, default in ADDED.items()}


def write(rows: Sequence[tuple[Recording, Tokens]], metadata: Mapping[str, Any]) -> bytes:
    """The bytes of a shard, equal for equal rows; `metadata` is stored with a checksum."""
    described = schema(metadata)
    if metadata["format"] != OLD_FORMAT:
        metadata = sealed(metadata)
    described = described.with_metadata({KEY: json.dumps(metadata, sort_keys=True).encode()})
    table = _table([_row(*pair, metadata) for pair in rows], described)
    longest = max((tokens.codes.numel() for _, tokens in rows), default=1)
    group_size = max(1, min(ROW_GROUP, GROUP_CODES // longest))
    sink = pa.BufferOutputStream()
    parquet.write_table(
        table, sink, row_group_size=group_size, compression="zstd", write_page_checksum=True
    )
    return sink.getvalue().to_pybytes()


def _table(rows: Sequence[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    made = []
    for field in schema:
        values, kind = [row[field.name] for row in rows], field.type
        if field.name == "codes":
            made.append(columns.lists_of_arrays(values, kind.value_type.value_type))
        elif pa.types.is_string(kind):
            made.append(columns.texts(values))
        elif pa.types.is_struct(kind):
            made.append(columns.structs(values, kind))
        else:
            made.append(columns.numbers(values, kind))
    return pa.Table.from_arrays(made, schema=schema)


def _row(recording: Recording, tokens: Tokens, metadata: Mapping[str, Any]) -> dict[str, Any]:
    free, side = tokens.free_codes, tokens.side
    channels, kind = range(tokens.codes.shape[0]), _code_type(metadata).to_pandas_dtype()
    books = [book[channel] for channel in channels for book in free]
    if tokens.max_duration > 1:
        books.append(tokens.durations - 1)
    if tokens.global_codes is not None:
        books += tokens.global_codes
    row = {
        "id": recording.id,
        "codes": [book.numpy().astype(kind) for book in books],
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
    return row | {"crc32": _checksum(row)} if metadata["format"] != OLD_FORMAT else row


def row_of(table: pa.Table, number: int) -> dict[str, Any]:
    """The columns of a row; `codes` as arrays, because a long clip has millions.

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
    """CRC-32 over all other columns."""
    books = row["codes"]
    head = [[row[name] for name in _SCALARS], row["side"], [len(book) for book in books]]
    total = zlib.crc32(json.dumps(head, sort_keys=True).encode())
    for book in books:
        values = np.ascontiguousarray(book, book.dtype.newbyteorder("<"))
        total = zlib.crc32(values.view(np.uint8), total)
    return total


def tokens_of(row: Mapping[str, Any], metadata: Mapping[str, Any]) -> Tokens:
    """The tokens of `row_of`.

    Raises:
        TokensError: the columns are inconsistent.
    """
    frames, side, books = row["num_frames"], row["side"], list(row["codes"])
    strides, codebooks = metadata["strides"], len(metadata["codebook_sizes"])
    added = added_of(metadata)
    has_globals, varies = bool(added["global_sizes"]), added["max_duration"] > 1
    channels = (len(books) - varies) // (codebooks + has_globals)
    global_codes = None
    if has_globals and channels:
        *books, global_books = *books[:-channels], books[-channels:]
        global_codes = torch.from_numpy(np.stack(global_books).astype("int64"))
    starts, unit = None, math.lcm(*strides)
    shape = (channels, codebooks, frames)
    numbers = metadata["codebook_sizes"], strides, row["num_samples"], row["sample_rate"]
    atok.check_numbers(shape, *numbers)  # before the codes are repeated
    sizes = [-(-frames // stride) for stride in strides]
    if varies and len(books) == channels * codebooks + 1:
        lengths = torch.from_numpy(books.pop().astype("int64")) + 1
        starts = durations.starts_of(lengths, -(-frames // unit))
        for k in range(added["merged_codebooks"]):
            sizes[k] = int(durations.free_frames(starts, unit, strides[k], frames).sum())
    sizes *= channels
    if not channels or len(books) % codebooks or [len(book) for book in books] != sizes:
        raise TokensError(f"the codes of {row['id']} do not fit {frames} frames: damaged?")
    codes = []
    for number, book in enumerate(books):
        free, k = torch.from_numpy(book.astype("int64")), number % codebooks
        if k < added["merged_codebooks"]:
            codes.append(durations.repeated(free[None], starts, unit, strides[k], frames)[0])
        else:
            codes.append(atok.repeat(free, strides[k], frames))
    if side is not None:
        side = torch.tensor(side["values"], dtype=_TYPES[side["type"]]).reshape(side["shape"])
    return Tokens(
        torch.stack(codes).unflatten(0, (-1, codebooks)),
        metadata["codec"],
        metadata["fingerprint"],
        num_samples=row["num_samples"],
        sample_rate=row["sample_rate"],
        codebook_sizes=metadata["codebook_sizes"],
        strides=strides,
        side=side,
        max_duration=added["max_duration"],
        merged_codebooks=added["merged_codebooks"],
        global_codes=global_codes,
        global_sizes=tuple(added["global_sizes"]),
        needs=added["needs"],
    )


def sealed(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """`metadata` with a checksum, which `unsealed` checks and removes."""
    return {**metadata, "crc32": _metadata_checksum(metadata)}


def unsealed(content: bytes) -> dict[str, Any]:
    """The metadata of a folder of tokens, or of a shard, from JSON.

    Raises:
        ValueError: its format is unknown, a value is invalid, or it is damaged.
        TokensError: its numbers are out of range.
    """
    metadata = json.loads(content)
    if not isinstance(metadata, dict):
        raise ValueError("it is not an object")
    file_format = metadata.get("format")
    if file_format not in (FORMAT, OLD_FORMAT, NEW_FORMAT):
        raise ValueError(f"format {file_format!r:.40}, expected {FORMAT!r} or {NEW_FORMAT!r}")
    checksum = metadata.pop("crc32", None)
    if file_format != OLD_FORMAT and checksum != _metadata_checksum(metadata):
        raise ValueError("its checksum does not fit, it is damaged")
    for name, kind in (("codec", str), ("fingerprint", str), ("codebook_sizes", list)):
        if not isinstance(metadata.get(name), kind):
            raise ValueError(f"its {name} is {metadata.get(name)!r:.40}")
    strides = metadata.get("strides")
    if not isinstance(strides, list):
        raise ValueError(f"its strides are {strides!r:.40}")
    added = added_of(metadata)
    for name, value in added.items():
        if type(value) is not type(ADDED[name]) or (value != ADDED[name]) > (
            file_format == NEW_FORMAT
        ):
            raise ValueError(f"its {name} is {value!r:.40}")
    for size in added["global_sizes"]:
        if type(size) is not int or not 2 <= size <= atok.MAX_CODEBOOK_SIZE:
            raise ValueError(f"a global size is {size!r:.40}")
    numbers = metadata["codebook_sizes"], strides, 1, 16_000
    atok.check_numbers((1, len(metadata["codebook_sizes"]), 1), *numbers)
    return metadata


def _metadata_checksum(metadata: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(metadata, sort_keys=True).encode()):08x}"


def metadata_of(file: parquet.ParquetFile) -> dict[str, Any]:
    """The metadata of a shard; TokensError or ValueError if they are missing or invalid."""
    metadata = file.schema_arrow.metadata or {}
    if KEY not in metadata:
        raise TokensError("it has no metadata about the codec")
    return unsealed(metadata[KEY])


def opened(path: Path) -> parquet.ParquetFile:
    """Opens a shard and checks its columns, rows and sizes; use it in a `with`."""
    with reading(path):
        file = parquet.ParquetFile(path, page_checksum_verification=True)
        metadata = metadata_of(file)
        actual, expected = file.schema_arrow, schema(metadata)
        if not actual.equals(expected):
            differing = [column.name for column in expected if column not in actual] or actual.names
            raise TokensError(f"its columns are not those of a shard: {', '.join(differing[:3])}")
        groups = [file.metadata.row_group(number) for number in range(file.num_row_groups)]
        count, clips = sum(group.num_rows for group in groups), file.metadata.num_rows
        if metadata["format"] != OLD_FORMAT:
            clips = metadata.get("shard", {}).get("clips", clips)
        if not count == clips == file.metadata.num_rows:
            raise TokensError(f"it has {count} of {clips} rows")
        for group in groups:  # reading a damaged, huge row group could abort the process
            if group.num_rows > _MAX_ROWS or group.total_byte_size > _MAX_BYTES:
                raise TokensError(
                    f"a row group has {group.num_rows} rows of {group.total_byte_size} bytes, more "
                    f"than {_MAX_ROWS} or {_MAX_BYTES}"
                )
        return file


@contextmanager
def reading(path: Path, row: str = "") -> Iterator[None]:
    """Converts any error of reading a damaged file to a CorpusError that says what to do.

    Args:
        row: of the file, for the message; "" for the whole file.
    """
    name = f"{path}, {row}" if row else str(path)
    try:
        yield
    except MemoryError as reason:
        raise CorpusError(f"{name} does not fit into memory, or is damaged") from reason
    except CorpusError:
        raise
    except (
        AudiotokError, OSError, pa.ArrowException, ArithmeticError, AttributeError, LookupError,
        RecursionError, RuntimeError, TypeError, ValueError,
    ) as reason:  # fmt: skip
        if isinstance(reason, OSError) and reason.errno is not None:
            raise CorpusError(f"{name} cannot be read: {line(reason)}") from reason
        raise CorpusError(
            f"{name} is no shard of tokens, or damaged ({line(reason)}): {_ADVICE}"
        ) from reason


def line(reason: BaseException) -> str:
    """The message of an exception in one line."""
    text = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
    return " ".join(text.split())[:200]
