"""A recipe of a speech language model: all settings of its training. `load` reads YAML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field

from audiotok.errors import RecipeError
from audiotok.lm.base import LanguageModel
from audiotok.lm.pattern_lm import PatternLM, PatternLMConfig
from audiotok.system.names import Name
from audiotok.training.reading import read_plain
from audiotok.training.settings import OptimizerConfig, RunName, Section

KIND = "recipes/lm"


class LMRecipe(Section):
    """One training run, complete in itself."""

    name: RunName
    tokens: str  # folder of shards that `audiotok encode` wrote
    validation: str  # another
    num_codebooks: int | None = Field(default=None, gt=0)  # only the first ones
    pattern: Literal["parallel", "delay", "interleaved", "coarse_first"] = "delay"
    text_model: Name | None = None  # folder or Hub name of a language model to initialise from
    dimension: int = Field(default=256, gt=0)  # of a model with random initial weights
    heads: int = Field(default=4, gt=0)
    layers: int = Field(default=6, gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    context: int = Field(gt=0)  # frames
    batch: int = Field(gt=0)  # contexts in one pass of one process
    accumulate: int = Field(default=1, gt=0)  # passes per step
    weights: tuple[float, ...] = ()  # of each codebook in the loss; (): equal
    steps: int = Field(gt=0)
    validate_every: int = Field(gt=0)
    validation_contexts: int = Field(default=64, gt=0)
    log_every: int = Field(default=20, gt=0)
    seed: int = 0
    threads: int | None = Field(default=None, gt=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False  # torch.compile of the body
    optimizer: OptimizerConfig

    def to_yaml(self) -> str:
        """The recipe as YAML that `load` reads back to an equal one."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def model(
        self, sizes: Sequence[int], strides: Sequence[int], weights: bool = True
    ) -> LanguageModel:
        """A new model for these codebooks; without `weights`, a text model gets random weights."""
        config = PatternLMConfig(
            codebook_sizes=tuple(sizes), strides=tuple(strides), pattern=self.pattern,
            dimension=self.dimension, heads=self.heads, layers=self.layers, dropout=self.dropout,
        )  # fmt: skip
        if self.weights and len(self.weights) != len(config.codebook_sizes):
            raise RecipeError(
                f"weights has {len(self.weights)} numbers, but the tokens have "
                f"{len(config.codebook_sizes)} codebooks: give one each"
            )
        if self.text_model is None:
            return PatternLM(config)
        from audiotok.lm.text_body import on_text

        return on_text(config, self.text_model, weights)


def load(path: str | Path, overrides: Sequence[str] = ()) -> LMRecipe:
    """Read a recipe and apply overrides such as `tokens=my/tokens`.

    Raises:
        RecipeError: unreadable, not YAML, an unknown key, a value that does not fit.
    """
    return read_plain(path, overrides, LMRecipe)
