"""Corpora of tokens: whole corpora of sound encoded into parquet shards, and read back.

    from audiotok import corpora

    corpora.encode("path/to/folder", "wavtokenizer", "tokens/")   # goes on where it was stopped
    for clip, tokens in corpora.read("tokens/"):                   # Clip, Tokens
        ...
    corpora.TokenDataset("tokens/", pattern="delay", frames=512)   # for a DataLoader

The shards are what pandas and Hugging Face's datasets read as they are; their columns are described
in `shards`. Names are resolved when they are first used.
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
}

__all__ = list(_HOMES)


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(f"audiotok.corpora.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'audiotok.corpora' has no attribute {name!r}")
