"""A recipe: the settings of a training run, and checks that they fit together."""

from __future__ import annotations

from typing import Literal

import torch
import yaml
from pydantic import BaseModel, Field, InstanceOf, SerializeAsAny, model_validator

from audiotok.errors import RecipeError
from audiotok.system.names import Name
from audiotok.training import adversary, codebooks, families
from audiotok.training.settings import (
    BalancerConfig,
    DataConfig,
    DiscriminatorConfig,
    DistillationConfig,
    LossConfig,
    OptimizerConfig,
    QuantizerConfig,
    RunName,
    Section,
    StopConfig,
)


class Recipe(Section):
    """One training run. `load_recipe` reads it from YAML."""

    name: RunName  # of the trained codec
    family: str
    start_from: Name | None = None  # name of a codec, or weights of audiotok, to start from
    start_checkpoint: str | None = None  # an official checkpoint of that codec
    steps: int = Field(gt=0)
    validate_every: int = Field(gt=0)
    save_every: int | None = Field(default=None, gt=0)  # None: at each validation
    log_every: int = Field(default=20, gt=0)
    seed: int = 0
    threads: int | None = Field(default=None, gt=0)  # of the CPU; None: PyTorch's default
    precision: Literal["fp32", "bf16"] = "fp32"  # bf16: only networks, not losses or search
    ema: float | None = Field(default=None, gt=0, lt=1)  # decay of a moving average of the weights,
    # which is validated and exported instead of them
    accumulate: int = Field(default=1, gt=0)  # passes per step
    trackers: tuple[str, ...] = ("tensorboard",)  # of Accelerate
    model: SerializeAsAny[InstanceOf[BaseModel]]
    data: DataConfig
    losses: LossConfig
    balancer: BalancerConfig | None = None
    discriminators: tuple[DiscriminatorConfig, ...] = ()
    optimizer: OptimizerConfig
    discriminator_optimizer: OptimizerConfig | None = None
    quantizer: QuantizerConfig = QuantizerConfig()
    distillation: DistillationConfig | None = None
    stop: StopConfig = StopConfig()

    @model_validator(mode="after")
    def _agree(self) -> Recipe:
        if (self.quantizer.start_step or 0) >= self.steps:
            raise ValueError(
                f"quantizer.start_step {self.quantizer.start_step} is not before the last of "
                f"{self.steps} steps: the codebook would never be used"
            )
        for number, config in enumerate(self.discriminators):
            if config.start_step >= self.steps:
                raise ValueError(
                    f"discriminators.{number}.start_step {config.start_step} is not before the "
                    f"last of {self.steps} steps: it would never be used"
                )
        if self.family == families.DECODER:
            changing = {
                "quantizer.new": self.quantizer.new,
                "quantizer.start_step": self.quantizer.start_step != 0,
                "quantizer.semantic_only": self.quantizer.semantic_only,
                "quantizer.gradient": self.quantizer.gradient != QuantizerConfig().gradient,
                "distillation": self.distillation is not None,
            }
            if given_keys := [name for name, is_set in changing.items() if is_set]:
                raise ValueError(
                    f"{given_keys[0]} changes codes, which stay in the family decoder: leave it out"
                )
        if self.quantizer.new and self.start_from is None:
            raise ValueError("quantizer.new has a meaning only beside start_from")
        trains_discriminators = any(not config.frozen for config in self.discriminators)
        if trains_discriminators != (self.discriminator_optimizer is not None):
            raise ValueError(
                "discriminators that learn and discriminator_optimizer belong together: "
                f"{len(self.discriminators)} discriminators, "
                f"{'no' if self.discriminator_optimizer is None else 'an'} optimizer"
            )
        if self.crop_samples < max(self.losses.mel_bands, default=0):
            raise ValueError(
                f"data.crop_seconds {self.data.crop_seconds} is {self.crop_samples} samples, "
                f"shorter than the longest window of losses.mel_bands, {max(self.losses.mel_bands)}"
            )
        return self

    @property
    def crop_samples(self) -> int:
        """Samples of a crop."""
        return round(self.data.crop_seconds * self.model.sample_rate)

    @property
    def starts_codebooks(self) -> bool:
        """Whether codebooks start by k-means or at random instead of from a checkpoint."""
        return self.start_from is None or self.quantizer.new

    def to_yaml(self) -> str:
        """The recipe as YAML that `load_recipe` reads back to an equal one."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def check_network(recipe: Recipe) -> None:
    """Raises RecipeError if the recipe does not fit its network or its discriminators.

    The network is built without memory for its weights.
    """
    with torch.device("meta"):
        network = families.build(recipe.family, recipe.model)
    settings, sizes = recipe.quantizer, codebooks.sizes(network.quantizer)
    frames = (
        recipe.data.batch_size * recipe.accumulate * -(-recipe.crop_samples // network.hop_length)
    )
    if recipe.crop_samples < network.hop_length:
        raise RecipeError(
            f"data.crop_seconds {recipe.data.crop_seconds} is {recipe.crop_samples} samples, "
            f"shorter than one frame of the model, {network.hop_length} samples"
        )
    learns = settings.start_step is not None and codebooks.moving_average_parts(network.quantizer)
    if learns and recipe.starts_codebooks:
        if settings.kmeans_latents is None:
            raise RecipeError(
                "quantizer.kmeans_latents is missing: these codebooks start by k-means"
            )
        if settings.kmeans_latents < max(sizes):
            raise RecipeError(
                f"quantizer.kmeans_latents {settings.kmeans_latents} is below the codebook size "
                f"{max(sizes)}: k-means needs one each at least"
            )
        remaining = (recipe.steps - settings.start_step) * frames
        if remaining < max(sizes):
            raise RecipeError(
                f"{recipe.steps} steps from quantizer.start_step {settings.start_step} on see "
                f"{remaining} latents, fewer than the codebook size {max(sizes)}: take more steps, "
                "or start earlier"
            )
    codebooks.prepare(network, settings)
    for number, config in enumerate(recipe.discriminators):
        try:
            with torch.device("meta"):
                adversary.build(config, getattr(recipe.model, "channels", 1))
        except RecipeError as reason:
            raise RecipeError(f"discriminators.{number}: {reason}") from reason
