"""Folders of shards that tests write."""

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
