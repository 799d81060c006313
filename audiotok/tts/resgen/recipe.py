"""A recipe of ResGen: all settings of its training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field

from audiotok.training.reading import read_plain
from audiotok.training.settings import OptimizerConfig, RunName, Section

KIND = "recipes/tts"


class NetworkConfig(Section):
    """Sizes of the network, beside those that codec and phones decide; see `ResGenConfig`."""

    dimension: int = Field(default=256, gt=0)
    heads: int = Field(default=4, gt=0)
    layers: int = Field(default=8, gt=0)
    text_layers: int = Field(default=2, ge=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    components: int = Field(default=64, gt=0)  # K
    rank: int = Field(default=16, gt=0)  # h
    visible_counts: bool = True  # not in the paper
    predictor: Literal["latents", "tokens"] = "latents"


class ResGenRecipe(Section):
    """One training run, complete in itself."""

    name: RunName
    model: Literal["resgen"] = "resgen"
    clips: str  # folder of aligned clips
    validation: str  # another
    deviations: str | None = None  # file of sigma_j; None: those that ship
    depth: int = Field(gt=0)  # codebooks, from the first on
    network: NetworkConfig = NetworkConfig()
    prompt_seconds: tuple[float, float] = (1.0, 3.0)  # uniformly drawn
    drop: float = Field(default=0.1, ge=0, lt=1)  # share of clips without condition, for guidance
    q_gradient: bool = False  # through q of the bound; the paper does not say
    duration_weight: float = Field(default=1.0, ge=0)  # the paper gives none
    batch: int = Field(gt=0)  # clips in one pass of one process
    accumulate: int = Field(default=1, gt=0)  # passes per step
    steps: int = Field(gt=0)
    validate_every: int = Field(gt=0)
    validation_batches: int = Field(default=8, gt=0)
    seed: int = 0
    threads: int | None = Field(default=None, gt=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    optimizer: OptimizerConfig

    def to_yaml(self) -> str:
        """The recipe as YAML that `load` reads back to an equal one."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load(path: str | Path, overrides: Sequence[str] = ()) -> ResGenRecipe:
    """Read a recipe and apply overrides such as `steps=100`.

    Raises:
        RecipeError: unreadable, not YAML, an unknown key, a value that does not fit.
    """
    return read_plain(path, overrides, ResGenRecipe)
