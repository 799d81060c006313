"""The base class of codecs, and how a codec is found by its name.

The names that the author of a codec needs are imported on first use, so that code which only reads
a licence or a card does not load PyTorch networks.
"""

import importlib

from audiotok._moved import names_of

_HOMES = {"Codec": "codec", "CodecCard": "card", "Taxonomy": "card", "Weights": "card"}

__all__ = [*_HOMES]

_OLD = names_of(__name__, "codec")


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(f"audiotok.codec.{_HOMES[name]}"), name)
    return _OLD(name)
