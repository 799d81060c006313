"""Shards of tokens as an indexed dataset of Megatron-LM: PREFIX.bin holds ids, PREFIX.idx the start
of each sequence. Every sequence, a clip or a pack of clips, is a document.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np

from audiotok.corpora.sequences import Layout, packed, sequences
from audiotok.corpora.shards import Shards
from audiotok.errors import CorpusError
from audiotok.system.files import replacing

MAGIC, VERSION = b"MMIDIDX\x00\x00", 1
_TYPES = {np.dtype("<u2"): 8, np.dtype("<i4"): 4}  # codes of types in Megatron
_INT32_FROM = 65_500  # size of the vocabulary from which ids are int32, as in Megatron


def export_megatron(
    folder: str | Path,
    prefix: str | Path,
    *,
    layout: Layout | None = None,
    pack: int | None = None,
    tick: Callable[[int, float], None] = lambda clips, seconds: None,
) -> list[Path]:
    """Writes the shards of `folder` as PREFIX.bin and PREFIX.idx.

    Args:
        layout: of the sequences; None: interleaved codes.
        pack: ids of every sequence: clips are concatenated and cut.
        tick: called with numbers of clips and seconds of sound that are done.

    Raises:
        CorpusError: the corpus is not complete, a file exists, or an id is too large.
    """
    source, layout = Shards(folder), layout or Layout()
    source.check_complete()
    paths = [Path(f"{prefix}.bin"), Path(f"{prefix}.idx")]
    for path in paths:
        if path.exists():
            raise CorpusError(f"{path} exists: name another prefix")
    end = layout.end(source.layout()[0])
    if end > 2**31:
        raise CorpusError(f"ids up to {end - 1} do not fit into the 32 bits of Megatron's files")
    id_type = np.dtype("<u2" if end < _INT32_FROM else "<i4")
    lengths: list[int] = []
    documents = sequences(source, layout, tick)
    with replacing(paths[1], CorpusError) as index:
        with replacing(paths[0], CorpusError) as file:
            for ids in packed(documents, pack) if pack is not None else documents:
                file.write(ids.numpy().astype(id_type).tobytes())
                lengths.append(len(ids))
        starts = np.cumsum([0, *lengths], dtype="<i8")[:-1] * id_type.itemsize
        index.write(MAGIC + struct.pack("<QB", VERSION, _TYPES[id_type]))
        index.write(struct.pack("<QQ", len(lengths), len(lengths) + 1))
        index.write(np.array(lengths, "<i4").tobytes() + starts.astype("<i8").tobytes())
        index.write(np.arange(len(lengths) + 1, dtype="<i8").tobytes())
    return paths
