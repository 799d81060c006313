"""Shards of tokens as WebDataset: tar files for streaming.

Each clip is `NUMBER.json`, its columns and the codec, and `NUMBER.npy`, its codes (C, K, T) at the
finest rate in the smallest unsigned type. The number is that of the clip in the corpus, nine
digits. It is not the id, because ids may have dots, at which WebDataset starts the
extension.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from audiotok.corpora.shards import Shards
from audiotok.data import Clip
from audiotok.errors import CorpusError
from audiotok.system.files import replacing
from audiotok.tokens.tokens import Tokens

_FIELDS = ("codec", "fingerprint", "codebook_sizes", "strides")


def export_webdataset(
    folder: str | Path,
    out: str | Path,
    clips_per_file: int = 10_000,
    tick: Callable[[int, float], None] = lambda clips, seconds: None,
) -> list[Path]:
    """Writes the shards of `folder` as tokens-000000.tar, ... into `out`; the same bytes each time.

    Args:
        clips_per_file: largest number of clips in one tar file.
        tick: called with numbers of clips and seconds of sound that are done.
    """
    if clips_per_file < 1:
        raise CorpusError(f"a tar file has 1 clip or more, not {clips_per_file}")
    source = Shards(folder)
    source.check_complete()
    out = new_folder(out)
    metadata = {name: source.metadata[name] for name in _FIELDS}
    clips, paths, remaining = enumerate(source), [], len(source)
    while remaining:
        paths.append(out / f"tokens-{len(paths):06d}.tar")
        with replacing(paths[-1], CorpusError) as file, tarfile.open(fileobj=file, mode="w") as tar:
            for _ in range(min(remaining, clips_per_file)):
                number, (clip, tokens) = next(clips)
                _add(tar, f"{number:09d}", clip, tokens=tokens, metadata=metadata)
                tick(1, tokens.duration)
        remaining -= min(remaining, clips_per_file)
    return paths


def new_folder(out: str | Path) -> Path:
    """The folder, made if it is missing; CorpusError if it has files."""
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as reason:
        raise CorpusError(f"cannot make the folder {out}: {reason.strerror or reason}") from reason
    if any(out.iterdir()):
        raise CorpusError(f"{out} is not empty: name a new folder")
    return out


def _add(tar: tarfile.TarFile, key: str, clip: Clip, *, tokens: Tokens, metadata: dict) -> None:
    fields = {
        "id": clip.id,
        "num_samples": tokens.num_samples,
        "sample_rate": tokens.sample_rate,
        "duration": tokens.duration,
        "text": clip.text,
        "speaker": clip.speaker,
        "label": clip.label,
        "side": None if tokens.side is None else tokens.side.tolist(),
    }
    if tokens.max_duration > 1:
        fields |= {"durations": tokens.durations.tolist(), "max_duration": tokens.max_duration}
        fields["merged_codebooks"] = tokens.merged_codebooks
    if tokens.global_codes is not None:
        fields["global_codes"] = tokens.global_codes.tolist()
    codes = io.BytesIO()
    np.save(codes, tokens.codes.numpy().astype(np.min_scalar_type(max(tokens.codebook_sizes) - 1)))
    parts = {
        "json": json.dumps(metadata | fields, sort_keys=True).encode(),
        "npy": codes.getvalue(),
    }
    for extension, content in parts.items():
        entry = tarfile.TarInfo(f"{key}.{extension}")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
