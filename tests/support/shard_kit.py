"""Folders of shards that tests write."""

from audiotok.corpora import shards
from audiotok.corpora.sources import Recording


def write(folder, tokens, **more):
    """A folder of one shard."""
    folder.mkdir()
    first = tokens[0]
    about = {
        "format": shards.FORMAT, "codec": first.codec, "fingerprint": first.fingerprint,
        "codebook_sizes": first.codebook_sizes, "strides": first.strides, "shards": 1,
        "corpus": {"clips": len(tokens)}, "settings": {},
    }  # fmt: skip
    rows = [(Recording(f"c{n}", "x", text=f"t{n}"), one) for n, one in enumerate(tokens)]
    (folder / shards.ABOUT).write_bytes(shards.about_bytes(about))
    path = folder / shards.file_name(0, 1)
    path.write_bytes(shards.write(rows, about | more))
    return path
