"""What every codec promises, and how one is found.

The names that a codec's author needs are here, and are imported when they are first used: what
reads a licence or a card loads no network.
"""

import importlib

_HOMES = {"Codec": "codec", "CodecCard": "card", "Taxonomy": "card", "Weights": "card"}

__all__ = [*_HOMES]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(f"audiotok.codec.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'audiotok.codec' has no attribute {name!r}")
