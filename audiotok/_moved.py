"""Old import paths, for one release: `audiotok.audio` is now `audiotok.sound.audio`, and so on.

Each works as before and warns. Remove this file, and its use in `audiotok/__init__.py`, after 0.2.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Callable
from typing import Any

_FOLDERS = {
    "system": ("files", "assets"),
    "sound": ("audio", "containers", "resampling"),
    "tokens": ("atok", "patterns", "entropy", "ngrams"),
    "codec": (
        "card", "variants", "merged", "batches", "windows", "streaming", "registry",
        "checkpoints", "inference", "licences",
    ),
    "judges": ("pretrained", "asr", "speakers", "mos"),
    "harness": ("plan", "suite", "coding", "cache", "journal", "workers", "summary", "clusters"),
    "results": (
        "provenance", "statistics", "comparison", "ranking", "contamination", "validating",
        "published",
    ),
    "report": ("leaderboard", "site", "listening", "hub", "rates"),
    "cli": ("show", "inputs", "doctor", "checking"),
}  # fmt: skip
MOVED = {name: f"{folder}.{name}" for folder, names in _FOLDERS.items() for name in names}
MOVED["perturbations"] = "tasks._perturbations"


class Finder:
    """Finds the module at its new path for its old name.

    Not derived from the classes of importlib.abc, whose import takes a fifth of `audiotok --help`.
    """

    def find_spec(self, fullname, path=None, target=None):
        package, _, rest = fullname.partition(".")
        if package == "audiotok" and rest.partition(".")[0] in MOVED:
            return importlib.util.spec_from_loader(fullname, self)
        return None

    def create_module(self, spec) -> None:
        """None: the module is created in the usual way."""

    def exec_module(self, module) -> None:
        old = module.__name__
        name, dot, rest = old.partition(".")[2].partition(".")
        new = f"audiotok.{MOVED[name]}{dot}{rest}"
        warnings.warn(
            f"{old} is now {new}: change the import, the old path goes with the next release",
            FutureWarning,
            stacklevel=2,
        )
        sys.modules[old] = importlib.import_module(new)


def names_of(package: str, module: str) -> Callable[[str], Any]:
    """`__getattr__` of a package that has the name of an old module: the names of that module."""

    def find(name: str) -> Any:
        old, new = f"{package}.{name}", f"{package}.{module}"
        if not name.startswith("__") and importlib.util.find_spec(old) is None:
            new_module = importlib.import_module(new)
            if hasattr(new_module, name):
                text = f"{old} is now {new}.{name}: the old path goes with the next release"
                warnings.warn(text, FutureWarning, stacklevel=2)
                return getattr(new_module, name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find


def install() -> None:
    """Registers the finder before the standard ones, which would search the new packages."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
