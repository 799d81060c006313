"""Corpora of tokens: corpora of sound are encoded into parquet shards, and read back.

    from audiotok import corpora

    corpora.encode("path/to/folder", "wavtokenizer", "tokens/")   # resumes a stopped run
    for clip, tokens in corpora.read("tokens/"):                   # Clip, Tokens
        ...
    corpora.TokenDataset("tokens/", pattern="delay", frames=512)   # for a DataLoader

pandas and the datasets library of Hugging Face can read the shards; their columns are described in
`shards`. Names are imported on first use.
"""

from __future__ import annotations

import importlib

_HOMES = {
    "encode": "encoding",
    "Progress": "encoding",
    "Encoded": "encoding",
    "read": "shards",
    "Shards": "shards",
    "TokenDataset": "dataset",
    "export_webdataset": "webdataset",
    "export_megatron": "megatron",
    "export_shar": "shar",
}

__all__ = list(_HOMES)


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(f"audiotok.corpora.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'audiotok.corpora' has no attribute {name!r}")
