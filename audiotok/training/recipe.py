"""What a recipe may say: a strict schema, read from YAML, changed by `key=value` overrides."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from audiotok.errors import RecipeError
from audiotok.nn.wavtokenizer import WavTokenizerConfig


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataConfig(_Strict):
    """Which sound a codec learns from."""

    corpus: str  # what `audiotok.data.load` takes: a folder, a manifest, a name
    clips: tuple[str, ...] | None = None  # ids; None: all of the corpus
    validation_fraction: float = Field(gt=0, lt=1)  # of the speakers, none of them trained on
    crop_seconds: float = Field(gt=0)
    batch_size: int = Field(gt=0)
    gain_db: tuple[float, float] = (0.0, 0.0)  # uniformly drawn for each crop


class LossConfig(_Strict):
    """Weights of the losses; the windows of the spectral ones."""

    mel_bands: dict[int, int]  # window in samples -> mel bands
    mel: float = Field(ge=0)
    stft: float = Field(ge=0)
    commitment: float = Field(ge=0)


class OptimizerConfig(_Strict):
    """AdamW with a linear warm-up and a cosine to zero."""

    learning_rate: float = Field(gt=0)
    betas: tuple[float, float] = (0.9, 0.99)
    weight_decay: float = Field(ge=0)
    warmup_steps: int = Field(ge=0)
    clip_norm: float = Field(gt=0)


class QuantizerConfig(_Strict):
    """When the codebook starts: before, latents pass by it, and k-means has something to find."""

    start_step: int = Field(ge=0)
    kmeans_latents: int = Field(gt=0)
    kmeans_iterations: int = Field(default=20, gt=0)


class Recipe(_Strict):
    """One training run, complete in itself."""

    name: str  # of the codec that comes out
    family: str
    steps: int = Field(gt=0)
    validate_every: int = Field(gt=0)
    seed: int = 0
    threads: int | None = None  # of the CPU; None: as PyTorch likes
    model: WavTokenizerConfig
    data: DataConfig
    loss: LossConfig
    optimizer: OptimizerConfig
    quantizer: QuantizerConfig

    @model_validator(mode="after")
    def _agree(self) -> Recipe:
        if self.family != "wavtokenizer":
            raise ValueError(f"family {self.family!r} has no trainer: expected 'wavtokenizer'")
        if self.quantizer.start_step >= self.steps:
            raise ValueError(
                f"quantizer.start_step {self.quantizer.start_step} is not before the last of "
                f"{self.steps} steps: the codebook would never be used"
            )
        if self.quantizer.kmeans_latents < self.model.codebook_size:
            raise ValueError(
                f"quantizer.kmeans_latents {self.quantizer.kmeans_latents} is below "
                f"model.codebook_size {self.model.codebook_size}: k-means needs one each at least"
            )
        crop = round(self.data.crop_seconds * self.model.sample_rate)
        if crop < max(self.loss.mel_bands):
            raise ValueError(
                f"data.crop_seconds {self.data.crop_seconds} is {crop} samples, shorter than the "
                f"longest window of loss.mel_bands, {max(self.loss.mel_bands)}"
            )
        frames = self.data.batch_size * -(-crop // math.prod(self.model.strides))
        left = (self.steps - self.quantizer.start_step) * frames
        if left < self.model.codebook_size:
            raise ValueError(
                f"{self.steps} steps from quantizer.start_step {self.quantizer.start_step} on see "
                f"{left} latents, fewer than model.codebook_size {self.model.codebook_size}: take "
                "more steps, or start earlier"
            )
        return self

    def to_yaml(self) -> str:
        """The recipe as YAML that `load_recipe` reads back to an equal one."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply overrides such as `data.batch_size=4`.

    Raises:
        RecipeError: unreadable, not YAML, an unknown key, a value that does not fit.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        detail = " ".join(str(error).split())
        raise RecipeError(f"cannot read recipe {path}: {detail}") from error
    if not isinstance(content, dict):
        raise RecipeError(f"recipe {path} holds no mapping: expected keys such as 'model', 'data'")
    for override in overrides:
        _override(content, override)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"recipe {path}: {_explain(error, content)}") from error


def _override(content: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator:
        raise RecipeError(f"override {override!r} has no '=': expected key=value, as in steps=100")
    *parents, last = key.split(".")
    place = content
    for parent in parents:
        place = place.setdefault(parent, {})
        if not isinstance(place, dict):
            raise RecipeError(f"override {override!r}: {parent!r} is a value, it holds no keys")
    try:
        place[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise RecipeError(f"override {override!r}: the value is not YAML") from error


def _explain(error: ValidationError, content: dict[str, Any]) -> str:
    """The first complaint, in one line, with the nearest known key for an unknown one."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        schema: type[BaseModel] = Recipe
        for part in first["loc"][:-1]:
            schema = schema.model_fields[str(part)].annotation
        near = difflib.get_close_matches(str(first["loc"][-1]), schema.model_fields, n=1, cutoff=0)
        return f"unknown key {where!r}; did you mean {near[0]!r}?"
    if first["type"] == "missing":
        return f"key {where!r} is missing"
    message = first["msg"].removeprefix("Value error, ")
    return f"{where} = {first['input']!r}: {message}" if where else message
