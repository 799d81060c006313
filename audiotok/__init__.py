"""audiotok: encode sound to discrete tokens and back with any codec, and measure the tokens.

Names are resolved when they are first used, so that `import audiotok` stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from audiotok import _moved

if TYPE_CHECKING:  # for editors and type checkers: the same names as in _HOMES and _MODULES
    from audiotok import corpora, data, errors, metrics, tasks, testing
    from audiotok.codec.card import CodecCard
    from audiotok.codec.codec import Codec
    from audiotok.codec.registry import list_codecs, load
    from audiotok.harness.harness import bench
    from audiotok.report.rates import density, rate_quality
    from audiotok.results.comparison import compare
    from audiotok.sound.audio import Audio
    from audiotok.tokens.tokens import Tokens

__version__ = "1.0.0rc1"

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

__all__ = [  # written out: type checkers read it
    "Audio", "Codec", "CodecCard", "Tokens", "bench", "compare", "corpora", "data", "density",
    "errors", "list_codecs", "load", "metrics", "rate_quality", "tasks", "testing",
]  # fmt: skip

if not TYPE_CHECKING:  # a type checker would accept any name

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            return getattr(importlib.import_module(f"audiotok.{_HOMES[name]}"), name)
        if name in _MODULES or name in _moved.MOVED:
            return importlib.import_module(f"audiotok.{name}")
        raise AttributeError(f"module 'audiotok' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


_moved.install()
