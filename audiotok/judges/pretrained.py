"""Networks of others that judge sound: found on this machine, never fetched.

A model is a name on the Hugging Face Hub whose files are in its cache (`hf download NAME` brings
them: a user's step), or a folder that holds them; see also `hub_file` for files of torch.hub.
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
from audiotok.system.names import Recorded

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
WEIGHTS += ("pytorch_model.bin", "pytorch_model.bin.index.json")  # read with weights_only=True


class Pretrained:
    """Base of what runs a network through transformers; a subclass writes `_load`.

    Args:
        model: a name on the Hub, or a folder; None: DEFAULT.

    Weights are loaded in the process that first needs them, and do not travel to others.
    """

    DEFAULT: ClassVar[str]
    EXTRA: ClassVar[str] = "asr"  # brings transformers
    PURPOSE: ClassVar[str]  # what it does, for messages and descriptions: "Whisper"

    def __init__(self, model: str | Path | None = None):
        self.model = str(model or self.DEFAULT)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key != "network"}

    @property
    def label(self) -> str:
        """What tells this model from DEFAULT; of a folder its name and the hash of its weights."""
        if not Path(self.model).is_dir():
            return "" if self.model == self.DEFAULT else self.model
        digest = self.identity.get("weights", "")[:8]
        return f"{Path(self.model).resolve().name}@{digest}"

    @property
    def name(self) -> str:
        return f"{self.PURPOSE} {self.label or self.DEFAULT}"

    @property
    def identity(self) -> dict[str, str]:
        """Which weights these are: the commit in the cache, or the sha256 of a folder's files."""
        if Path(self.model).is_dir():
            found = [Path(self.model) / name for name in WEIGHTS]
            return {"weights": folder_sha256(tuple(map(str, filter(Path.is_file, found))))}
        path = cached(self.model)
        return {} if path is None else {"revision": path.parent.name}

    def missing(self) -> AudiotokError | None:
        """The error that says what is not here, the package or the weights; None where all is."""
        if (error := transformers_error(self.EXTRA, self.PURPOSE)) is not None:
            return error
        if Path(self.model).is_dir() or cached(self.model) is not None:
            return None
        return MetricError(
            f"the weights of {self.model} are not on this machine: hf download {self.model}"
        )

    @cached_property
    def network(self) -> Any:
        """What `_load` gives; MetricError where it cannot be loaded."""
        if (error := self.missing()) is not None:
            raise error
        try:
            return self._load({"local_files_only": True, "trust_remote_code": False})
        except (OSError, ValueError, KeyError, RuntimeError) as reason:
            raise unloadable(self.PURPOSE, self.model, reason) from reason

    def _load(self, options: dict[str, Any]) -> Any:
        """The network in eval mode and what prepares its input; `options` for from_pretrained."""
        raise NotImplementedError


def cached(model: str, files: Sequence[str] = WEIGHTS) -> Path | None:
    """Where the first of these files of a model lies in the cache of the Hub; None: nowhere."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = (try_to_load_from_cache(model, name) for name in files)
        return next((Path(path) for path in found if isinstance(path, str)), None)
    except HFValidationError:  # a path that is not there
        return None


def from_pretrained_options(name: str, what: str) -> dict[str, Any]:
    """Options for transformers' `from_pretrained` with which no code of the model's author runs.

    A `Recorded` name stands for a folder or for what lies in the cache of the Hub.

    Raises:
        RecipeError: a recorded name is neither.
    """
    if not isinstance(name, Recorded):
        return {"trust_remote_code": False}
    if not Path(name).is_dir() and cached(str(name), ("config.json",)) is None:
        raise RecipeError(name.refusal(what, "which is not on this machine"))
    return {"trust_remote_code": False, "local_files_only": True}


def hub_file(name: str) -> Path:
    """Where torch.hub keeps a file of weights, there or not."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / name


def hub_missing(name: str, url: str, what: str) -> MetricError | None:
    """The error that says where a file of torch.hub comes from and goes to; None where it is."""
    if (path := hub_file(name)).is_file():
        return None
    if path.is_relative_to(Path.home()):  # results that say it are the same for everyone
        path = "~" / path.relative_to(Path.home())
    return MetricError(
        f"the weights of {what} are not on this machine: curl -L --create-dirs -o {path} {url}"
    )


def unloadable(what: str, where: str | Path, reason: Exception) -> MetricError:
    """The error that says in one line why weights that are here do not load."""
    text = " ".join(str(reason).split())
    return MetricError(f"{what} cannot be loaded from {where}: {text[:200]}")


@cache
def folder_sha256(paths: tuple[str, ...]) -> str:
    """Of the bytes of these files, one after the other."""
    total = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def slug(label: str) -> str:
    """A label as the end of a column's name: 'large-v3' -> '_large_v3', '' -> ''."""
    plain = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")
    return f"_{plain}" if plain else ""
