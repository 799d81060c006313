"""Third-party networks that evaluate sound: loaded from this machine, never downloaded.

A model is a name on the Hugging Face Hub whose files are in its cache (the user downloads them with
`hf download NAME`), or a folder with the files; see also `hub_file` for files of torch.hub.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar

from audiotok.errors import AudiotokError, MetricError, RecipeError
from audiotok.system.dependencies import transformers_error
from audiotok.system.names import Recorded, digest

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
WEIGHTS += ("pytorch_model.bin", "pytorch_model.bin.index.json")  # read with weights_only=True


class Pretrained:
    """Base class for networks of transformers; a subclass defines `_load`.

    Args:
        model: a name on the Hub, or a folder; None: DEFAULT.

    Each process loads the weights when it first needs them; they are not pickled.
    """

    DEFAULT: ClassVar[str]
    EXTRA: ClassVar[str] = "asr"  # the extra of audiotok that installs transformers
    PURPOSE: ClassVar[str]  # for messages and descriptions: "Whisper"

    def __init__(self, model: str | Path | None = None):
        self.model = str(model or self.DEFAULT)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "network"}

    @property
    def label(self) -> str:
        """ "" for DEFAULT, else the name; for a folder its name and the hash of its weights."""
        if not Path(self.model).is_dir():
            return "" if self.model == self.DEFAULT else self.model
        digest = self.identity.get("weights", "")[:8]
        return f"{Path(self.model).resolve().name}@{digest}"

    @property
    def name(self) -> str:
        return f"{self.PURPOSE} {self.label or self.DEFAULT}"

    @property
    def identity(self) -> dict[str, str]:
        """Of the weights: the commit in the cache, or the sha256 of a folder's files."""
        if Path(self.model).is_dir():
            files = [Path(self.model) / name for name in WEIGHTS]
            return {"weights": folder_sha256(tuple(map(str, filter(Path.is_file, files))))}
        path = cached(self.model)
        return {} if path is None else {"revision": path.parent.name}

    def missing(self) -> AudiotokError | None:
        """An error if the package or the weights are missing; None if they are there."""
        if (error := transformers_error(self.EXTRA, self.PURPOSE)) is not None:
            return error
        if Path(self.model).is_dir() or cached(self.model) is not None:
            return None
        return MetricError(
            f"the weights of {self.model} are not on this machine: hf download {self.model}"
        )

    @cached_property
    def network(self) -> Any:
        """The result of `_load`; MetricError if it fails."""
        if (error := self.missing()) is not None:
            raise error
        try:
            return self._load({"local_files_only": True, "trust_remote_code": False})
        except (OSError, ValueError, KeyError, RuntimeError) as reason:
            raise unloadable(self.PURPOSE, self.model, reason) from reason

    def _load(self, options: dict[str, Any]) -> Any:
        """The network in eval mode and its preprocessor; `options` are for from_pretrained."""
        raise NotImplementedError


def cached(model: str, files: Sequence[str] = WEIGHTS) -> Path | None:
    """The path of the first of these files of a model in the cache of the Hub; None if none is."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        paths = (try_to_load_from_cache(model, name) for name in files)
        return next((Path(path) for path in paths if isinstance(path, str)), None)
    except HFValidationError:  # a path that is not there
        return None


def from_pretrained_options(name: str, kind: str) -> dict[str, Any]:
    """Options for `from_pretrained` of transformers that run no code of the model's repository.

    A `Recorded` name must be a folder, or be in the cache of the Hub.

    Raises:
        RecipeError: a recorded name is neither.
    """
    if not isinstance(name, Recorded):
        return {"trust_remote_code": False}
    if not Path(name).is_dir() and cached(str(name), ("config.json",)) is None:
        raise RecipeError(name.refusal(kind, "which is not on this machine"))
    return {"trust_remote_code": False, "local_files_only": True}


def hub_file(name: str) -> Path:
    """The path where torch.hub stores a file of weights, which may not exist."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / name


def hub_missing(name: str, url: str, network: str) -> MetricError | None:
    """An error with how to download a file of torch.hub; None if it exists."""
    if (path := hub_file(name)).is_file():
        return None
    if path.is_relative_to(Path.home()):  # so that results with this message are reproducible
        path = "~" / path.relative_to(Path.home())
    return MetricError(
        f"the weights of {network} are not on this machine: curl -L --create-dirs -o {path} {url}"
    )


def unloadable(network: str, path: str | Path, reason: Exception) -> MetricError:
    """An error of one line for weights that cannot be loaded."""
    text = " ".join(str(reason).split())
    return MetricError(f"{network} cannot be loaded from {path}: {text[:200]}")


@cache
def folder_sha256(paths: tuple[str, ...]) -> str:
    """The hash of the bytes of these files, in order."""
    total = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def slug(label: str) -> str:
    """A label as suffix of a column's name: 'large-v3' -> '_large_v3', '' -> ''. A label that is
    not made of lower-case words with dashes gets its hash too, so that suffixes are unique."""
    plain = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")
    if re.fullmatch(r"([a-z0-9]+(-[a-z0-9]+)*)?", label):
        return f"_{plain}" if plain else ""
    return f"_{plain}__{digest(label, 8)}"
