"""A recipe of a recogniser: all settings of its training. `load` reads YAML."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field

from audiotok.system.names import Name
from audiotok.training.reading import read_plain
from audiotok.training.settings import OptimizerConfig, RunName, Section

KIND = "recipes"


class EncoderConfig(Section):
    """Whisper's encoder (arXiv 2212.04356, section 2.2)."""

    num_mels: int = Field(default=80, gt=0)
    dimension: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    seconds: float = Field(gt=0, multiple_of=0.02)  # padded length of the input; Whisper: 30


class AugmentConfig(Section):
    """Augmentation of each training clip; all values are drawn uniformly from these ranges."""

    pace: tuple[float, ...] = (1.0,)  # speed factors; a faster clip also has a higher pitch
    snr_db: tuple[float, float] | None = None  # of coloured noise
    reverberation: tuple[float, float] | None = None  # seconds until -60 dB, for half of the clips
    equaliser_db: float = Field(default=0, ge=0)  # largest gain and attenuation
    low_pass: float = Field(default=8000, gt=0)  # lowest cutoff, Hz, for a third of the clips
    gain_db: tuple[float, float] = (0.0, 0.0)


class RecogniserRecipe(Section):
    """One training run, complete in itself."""

    name: RunName
    corpus: Name  # folder or manifest with `text`, and `split` train and test
    encoder: EncoderConfig
    augment: AugmentConfig = AugmentConfig()
    batch: int = Field(gt=0)  # clips in a step of one process
    steps: int = Field(gt=0)
    validate_every: int = Field(gt=0)
    seed: int = 0
    threads: int | None = Field(default=None, gt=0)
    precision: Literal["fp32", "bf16"] = "fp32"
    optimizer: OptimizerConfig

    def to_yaml(self) -> str:
        """The recipe as YAML that `load` reads back to an equal one."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load(path: str | Path, overrides: Sequence[str] = ()) -> RecogniserRecipe:
    """Read a recipe and apply overrides such as `corpus=my/manifest.tsv`.

    Raises:
        RecipeError: unreadable, not YAML, an unknown key, a value that does not fit.
    """
    return read_plain(path, overrides, RecogniserRecipe)
