"""Damaged shards: every reader raises one line with the file, and the row where it can; no damage
gives other codes without an error."""

import json
import logging
import random
import shutil
import subprocess
import sys

import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
import torch
from support.shard_kit import write
from support.token_kit import make

from audiotok import corpora
from audiotok.corpora import rows, shards
from audiotok.errors import CorpusError

CLIPS = [
    make((50, 20), (2, 1), frames, seed=frames, side=torch.tensor([frames]) if frames % 2 else None)
    for frames in range(1, 12)
]
METADATA_FILE = {"shard": {"clips": len(CLIPS)}}


@pytest.fixture
def shard(tmp_path):
    return write(tmp_path / "tokens", CLIPS, **METADATA_FILE)


def by_reading(folder):
    return [(clip.id, tokens.to_bytes()) for clip, tokens in corpora.read(folder)]


def by_items(folder):
    result = corpora.TokenDataset(folder)
    return [(result[n]["id"], result[n]["ids"].tolist()) for n in range(len(result))]


def by_export(folder):
    out = folder.parent / "tars"
    shutil.rmtree(out, ignore_errors=True)
    return [path.read_bytes() for path in corpora.export_webdataset(folder, out)]


READERS = [by_reading, by_items, by_export]


def refused(reader, folder):
    """The message; an exception of another kind fails the test."""
    with pytest.raises(CorpusError) as caught:
        reader(folder)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 1000
    return message


@pytest.mark.parametrize("reader", READERS)
def test_no_flipped_bit_gives_other_codes(shard, reader):
    whole, good, dice = shard.read_bytes(), reader(shard.parent), random.Random(1)
    for _ in range(40):
        damaged = bytearray(whole)
        damaged[dice.randrange(len(whole))] ^= 1 << dice.randrange(8)
        shard.write_bytes(damaged)
        try:
            assert reader(shard.parent) == good  # a bit that says nothing
        except CorpusError as error:
            assert str(shard) in str(error) and "\n" not in str(error)


def test_no_flipped_bit_of_the_folder_s_file_passes(shard):
    path, metadata = shard.parent / shards.METADATA_FILE, shards.read_metadata(shard.parent)
    whole = path.read_bytes()
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        try:
            assert shards.read_metadata(shard.parent) == metadata  # white space
        except CorpusError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("reader", READERS)
def test_codes_changed_behind_the_pages_checksum(shard, reader):
    """What another program writes anew has right page checksums; the row's own does not fit."""
    table = parquet.read_table(shard)
    columns = table.to_pylist()
    columns[7]["codes"][1][3] ^= 1
    parquet.write_table(pa.Table.from_pylist(columns, schema=table.schema), shard)
    message = refused(reader, shard.parent)
    assert f"{shard}, row 7" in message and "checksum does not fit" in message
    assert "remove this file and run the same `audiotok encode` again" in message


def rewritten(path, change, metadata=None):
    """The shard with its columns changed, and with checksums that fit: an attacker's."""
    table = parquet.read_table(path)
    columns = table.to_pylist()
    change(columns)
    if metadata is not None:
        table = table.replace_schema_metadata(
            {rows.KEY: json.dumps(rows.sealed(metadata)).encode()}
        )
    for row in columns:
        arrays = [np.array(book, np.uint8) for book in row["codes"] or () if book is not None]
        if "crc32" in row and row["codes"] and None not in row["codes"]:
            row["crc32"] = rows._checksum(row | {"codes": arrays})
    parquet.write_table(pa.Table.from_pylist(columns, schema=table.schema), path)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("id", None, "it has no id"),
        ("codes", None, "row 4"),
        ("codes", [], "row 4"),
        ("codes", [None, None], "row 4"),
        ("codes", [[1, 2]], "channels 0"),
        ("codes", [[1, 2], [3, 4, 5]], "do not fit"),
        ("codes", [[55, 2, 3], [3, 4, 5, 1, 1]], "code 55 in codebook 0"),
        ("num_frames", None, "row 4"),
        ("num_frames", 0, "frames 0"),
        ("num_frames", -5, "frames -5"),
        ("num_frames", 2**62, "frames 4611686018427387904"),
        ("num_samples", None, "num_samples None"),
        ("num_samples", 0, "num_samples 0"),
        ("sample_rate", None, "sample_rate None"),
        ("sample_rate", -1, "sample_rate -1"),
        ("side", {"values": [1], "shape": [1], "type": "complex64"}, "complex64"),
        ("side", {"values": [1], "shape": [1], "type": None}, "row 4"),
        ("side", {"values": [1, 2], "shape": [3], "type": "int64"}, "row 4"),
        ("side", {"values": None, "shape": None, "type": "int64"}, "row 4"),
        ("side", {"values": [2**40], "shape": [1], "type": "int32"}, "row 4"),
        ("side", {"values": [1], "shape": [-1, -1], "type": "int64"}, "row 4"),
        ("side", {"values": [], "shape": [0], "type": "int64"}, "row 4"),
    ],
)
def test_rows_that_cannot_be(shard, column, value, message):
    rewritten(shard, lambda columns: columns[4].__setitem__(column, value))
    result = refused(by_reading, shard.parent)
    assert str(shard) in result and message in result
    assert "row 4" in refused(by_items, shard.parent)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"PAR1"),
        lambda path: path.write_bytes(b"PAR1" + bytes(500) + b"PAR1"),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
        lambda path: path.write_bytes(path.read_bytes()[50:]),
        lambda path: path.write_bytes(bytes(path.stat().st_size)),
        lambda path: path.write_text("id,codes\n"),
        lambda path: (path.unlink(), path.mkdir()),
        lambda path: (path.unlink(), path.symlink_to(path)),
        lambda path: pandas.DataFrame({"id": ["a"]}).to_parquet(path),
        lambda path: parquet.write_table(parquet.read_table(path).slice(2), path),
        lambda path: parquet.write_table(parquet.read_table(path).slice(0, 0), path),
        lambda path: parquet.write_table(parquet.read_table(path).drop_columns(["codes"]), path),
        lambda path: parquet.write_table(parquet.read_table(path).drop_columns(["crc32"]), path),
        lambda path: parquet.write_table(
            parquet.read_table(path).set_column(2, "num_frames", pa.array(["x"] * 11)), path
        ),
        lambda path: rewritten(path, list.clear),
        lambda path: rewritten(path, list.reverse, {"format": rows.FORMAT}),
        lambda path: rewritten(path, list.reverse, {"format": ["a"], "codec": 5}),
    ],
)  # fmt: skip
def test_files_that_are_no_shards(shard, change):
    change(shard)
    for reader in READERS:
        assert str(shard) in refused(reader, shard.parent)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b'{"format": []}',
     b'{"format": "audiotok-tokens-1"}', b'{"format": "audiotok-tokens-2", "crc32": "00000000"}'],
)  # fmt: skip
def test_folders_whose_file_is_damaged(shard, content):
    (shard.parent / shards.METADATA_FILE).write_bytes(content)
    for reader in READERS:
        assert shards.METADATA_FILE in refused(reader, shard.parent)


@pytest.mark.parametrize(
    ("name", "value"),
    [("codec", None), ("codec", 7), ("fingerprint", []), ("codebook_sizes", "50"),
     ("codebook_sizes", []), ("codebook_sizes", [50, "20"]), ("codebook_sizes", [50]),
     ("codebook_sizes", [50, 2**40]), ("strides", None), ("strides", [2, 0]), ("strides", [1]),
     ("strides", [2, 1.0]), ("codebook_sizes", [True, 20])],
)  # fmt: skip
def test_descriptions_that_cannot_be(shard, name, value):
    path = shard.parent / shards.METADATA_FILE
    metadata = shards.read_metadata(shard.parent)
    path.write_bytes(shards.metadata_bytes(metadata | {name: value}))
    refused(by_reading, shard.parent)
    rewritten(shard, lambda columns: None, metadata | METADATA_FILE | {name: value})
    path.write_bytes(shards.metadata_bytes(metadata))
    assert str(shard) in refused(by_reading, shard.parent)


def test_a_shard_that_is_there_in_part(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "ROW_GROUP", 3)
    path = write(tmp_path / "tokens", CLIPS, shard={"clips": len(CLIPS) + 1})
    assert "it has 11 of 12 rows" in refused(by_reading, path.parent)


def test_rows_stand_together_by_their_codes(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "GROUP_CODES", 50)
    path = write(tmp_path / "tokens", CLIPS, **METADATA_FILE)
    assert parquet.read_metadata(path).row_group(0).num_rows == 2  # the longest has 22
    assert [clip for clip, _ in by_reading(path.parent)] == [f"c{n}" for n in range(11)]
    monkeypatch.setattr(rows, "_MAX_ROWS", 1)
    assert "2 rows of" in refused(by_reading, path.parent)


def test_metadata_that_abort_pyarrow(tmp_path):
    """Read in a process of its own: damage to the statistics of a column ends it."""
    path = write(tmp_path / "tokens", CLIPS, **METADATA_FILE)
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    program = f"""
import sys
from pathlib import Path
from audiotok import corpora
from audiotok.errors import CorpusError
path = Path({str(path)!r})
whole = path.read_bytes()
for at in range({footer}, {footer} + 900, 3):
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
    try:
        list(corpora.read(path.parent))
    except CorpusError:
        pass
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_shard_cannot_pass_for_one_without_checksums(tmp_path):
    path = write(tmp_path / "tokens", CLIPS)
    path.write_bytes(write(tmp_path / "old", CLIPS, format=rows.OLD_FORMAT).read_bytes())
    assert "tokens of another codec (format" in refused(by_reading, path.parent)


def test_folders_of_before(tmp_path, caplog):
    path = write(tmp_path / "tokens", CLIPS, format=rows.OLD_FORMAT)
    metadata = shards.read_metadata(path.parent) | {"format": rows.OLD_FORMAT}
    (path.parent / shards.METADATA_FILE).unlink()
    (path.parent / "corpus.json").write_text(json.dumps(metadata))
    assert shards.is_shards(path.parent)
    with caplog.at_level(logging.WARNING, "audiotok"):
        for _ in range(2):
            for (_, tokens), clip in zip(corpora.read(path.parent), CLIPS, strict=True):
                assert torch.equal(tokens.codes, clip.codes)
    message = [record for record in caplog.records if "without checksums" in record.getMessage()]
    assert len(message) == 1
    with pytest.raises(CorpusError, match="no shard of tokens, or damaged"):
        rewritten(path, lambda columns: columns[1].__setitem__("num_frames", 7))
        by_reading(path.parent)


def test_pandas_reads_the_folder(tmp_path):
    path = write(tmp_path / "tokens", CLIPS, **METADATA_FILE)
    (path.parent / "_failed.tsv").write_text("clip\tmessage\n")
    (path.parent / ".lock").write_text("")
    frame = pandas.read_parquet(path.parent)
    assert list(frame.id) == [f"c{n}" for n in range(11)]
