"""The base class of codecs, and how a codec is found by its name.

The names that the author of a codec needs are imported on first use, so that code which only reads
a licence or a card does not load PyTorch networks.
"""

import importlib

_HOMES = {"Codec": "codec", "CodecCard": "card", "Taxonomy": "card", "Weights": "card"}

__all__ = [*_HOMES]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(f"audiotok.codec.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'audiotok.codec' has no attribute {name!r}")
