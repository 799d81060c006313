"""A recipe of a speech model: all settings of its training. `load` reads YAML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import Field

from audiotok.system.names import Name
from audiotok.training.reading import read_plain
from audiotok.training.settings import OptimizerConfig, RunName, Section
from audiotok.tts.resgen.model import ResGenConfig
from audiotok.tts.valle_ar import ARConfig
from audiotok.tts.valle_nar import NARConfig

KIND = "recipes/tts"

ModelConfig = Annotated[ARConfig | NARConfig | ResGenConfig, Field(discriminator="kind")]


class TTSRecipe(Section):
    """One training run, complete in itself."""

    name: RunName
    corpus: Name  # folder or manifest with `text` and `speaker`
    tokens: str  # folder for its codes and phones, which are made when they are missing
    codecs: tuple[Name, ...] = Field(min_length=1)  # with options; batches of them in turn
    model: ModelConfig
    start_from: Name | None = None  # weights: a file, or a model that ships, with this part
    prompt_seconds: tuple[float, float] = (1.0, 3.0)  # uniformly drawn
    validation_every: int = Field(default=25, gt=1)  # every n-th clip of each speaker
    batch: int = Field(gt=0)  # clips in a step of one process
    steps: int = Field(gt=0)
    validate_every: int = Field(gt=0)
    validation_clips: int = Field(default=64, gt=0)
    log_every: int = Field(default=100, gt=0)
    seed: int = 0
    threads: int | None = Field(default=None, gt=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    optimizer: OptimizerConfig

    def to_yaml(self) -> str:
        """The recipe as YAML that `load` reads back to an equal one."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load(path: str | Path, overrides: Sequence[str] = ()) -> TTSRecipe:
    """Read a recipe and apply overrides such as `corpus=my/manifest.tsv`.

    Raises:
        RecipeError: unreadable, not YAML, an unknown key, a value that does not fit.
    """
    return read_plain(path, overrides, TTSRecipe)
