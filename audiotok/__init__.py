"""audiotok: any sound into discrete tokens and back, with any codec, and how good the tokens are.

Names are resolved when they are first used, so that `import audiotok` stays light.
"""

from __future__ import annotations

import importlib

from audiotok import _moved

__version__ = "0.1.0"

_HOMES = {
    "load": "codec.registry",
    "list_codecs": "codec.registry",
    "Audio": "sound.audio",
    "Tokens": "tokens.tokens",
    "Codec": "codec.codec",
    "CodecCard": "codec.codec",
    "bench": "harness.harness",
    "compare": "results.comparison",
    "density": "report.rates",
    "rate_quality": "report.rates",
}
_MODULES = ("corpora", "data", "errors", "metrics", "tasks", "testing")

__all__ = [*_HOMES, *_MODULES]


def __getattr__(name: str):
    if name in _HOMES:
        return getattr(importlib.import_module(f"audiotok.{_HOMES[name]}"), name)
    if name in _MODULES or name in _moved.MOVED:
        return importlib.import_module(f"audiotok.{name}")
    raise AttributeError(f"module 'audiotok' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


_moved.install()
