"""Folders of shards that tests write, by hand and by encoding."""

from pathlib import Path

from audiotok import corpora
from audiotok.corpora import shards
from audiotok.corpora.sources import Recording


def write(folder, tokens, ids=None, **more):
    """A folder of one shard; its clips are c0, c1, ..., or `ids`."""
    folder.mkdir()
    first = tokens[0]
    metadata = {
        "format": shards.FORMAT, "codec": first.codec, "fingerprint": first.fingerprint,
        "codebook_sizes": first.codebook_sizes, "strides": first.strides, "shards": 1,
        "corpus": {"clips": len(tokens)}, "settings": {},
    }  # fmt: skip
    names = ids or [f"c{n}" for n in range(len(tokens))]
    rows = [
        (Recording(name, "x", text=f"t{n}"), one)
        for n, (name, one) in enumerate(zip(names, tokens, strict=True))
    ]
    (folder / shards.METADATA_FILE).write_bytes(shards.metadata_bytes(metadata))
    path = folder / shards.file_name(0, 1)
    path.write_bytes(shards.write(rows, metadata | more))
    return path


def encode(clips, out, name="mulaw", **settings):
    """`corpora.encode` in this process, with shards of six clips; `settings` come first."""
    return corpora.encode(clips, name, out, **({"workers": 0, "shard_clips": 6} | settings))


def contents(folder: Path) -> dict[str, bytes]:
    """The bytes of each shard, by file name."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}
