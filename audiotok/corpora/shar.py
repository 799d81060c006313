"""Shards of tokens as Lhotse Shar: cuts.NNNNNN.jsonl.gz and codes.NNNNNN.tar, side by side.

Each clip is a MonoCut without sound; its text and speaker are a supervision, its codes the array
`codes` (C, K, T) at the finest rate; the other fields of its tokens are in `custom`.
`lhotse.CutSet.from_shar(in_dir=...)` reads the folder, `cut.load_codes()` the codes.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from audiotok.corpora.shards import Shards
from audiotok.corpora.webdataset import new_folder
from audiotok.data import Clip
from audiotok.errors import CorpusError
from audiotok.system.files import replacing
from audiotok.tokens.tokens import Tokens


def export_shar(
    folder: str | Path,
    out: str | Path,
    clips_per_file: int = 1_000,
    tick: Callable[[int, float], None] = lambda clips, seconds: None,
) -> list[Path]:
    """Writes the shards of `folder` into the new folder `out`; arguments as of
    `export_webdataset`."""
    if clips_per_file < 1:
        raise CorpusError(f"a file has 1 clip or more, not {clips_per_file}")
    source = Shards(folder)
    source.check_complete()
    out = new_folder(out)
    clips, paths, remaining = iter(source), [], len(source)
    while remaining:
        number = len(paths) // 2
        paths += [out / f"cuts.{number:06d}.jsonl.gz", out / f"codes.{number:06d}.tar"]
        with (
            replacing(paths[-2], CorpusError) as cuts,
            gzip.GzipFile(fileobj=cuts, mode="wb", filename="", mtime=0) as lines,
            replacing(paths[-1], CorpusError) as file,
            tarfile.open(fileobj=file, mode="w") as tar,
        ):
            for _ in range(min(remaining, clips_per_file)):
                clip, tokens = next(clips)
                lines.write(json.dumps(_cut(clip, tokens), ensure_ascii=False).encode() + b"\n")
                _add(tar, clip, tokens)
                tick(1, tokens.duration)
        remaining -= min(remaining, clips_per_file)
    return paths


def _cut(clip: Clip, tokens: Tokens) -> dict:
    times = {"start": 0, "duration": tokens.duration, "channel": 0}
    supervision = {"id": clip.id, "recording_id": clip.id, **times}
    supervision |= {
        name: getattr(clip, name) for name in ("text", "speaker") if getattr(clip, name)
    }
    names = ("codec", "fingerprint", "num_samples", "sample_rate", "codebook_sizes", "strides")
    custom = {name: getattr(tokens, name) for name in (*names, "max_duration", "merged_codebooks")}
    if clip.label:
        custom["label"] = clip.label
    if tokens.side is not None:
        custom["side"] = tokens.side.tolist()
    if tokens.global_codes is not None:
        custom["global_codes"] = tokens.global_codes.tolist()
        custom["global_sizes"] = tokens.global_sizes
    if tokens.needs:
        custom["needs"] = tokens.needs
    return {
        "id": clip.id,
        **times,
        "supervisions": [supervision],
        "custom": custom,
        "type": "MonoCut",
    }


def _add(tar: tarfile.TarFile, clip: Clip, tokens: Tokens) -> None:
    codes, content = tokens.codes.numpy(), io.BytesIO()
    np.save(content, codes.astype(np.min_scalar_type(max(tokens.codebook_sizes) - 1)))
    storage = {"storage_type": "shar", "storage_path": "", "storage_key": ""}
    manifest = {
        "array": storage | {"shape": list(codes.shape)},
        "temporal_dim": 2,
        "frame_shift": tokens.duration / tokens.num_frames,
        "start": 0,
    }
    parts = {"npy": content.getvalue(), "json": json.dumps(manifest).encode() + b"\n"}
    for extension, data in parts.items():
        entry = tarfile.TarInfo(f"{clip.id}.{extension}")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
