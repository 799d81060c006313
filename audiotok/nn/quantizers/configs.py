"""Configurations of quantizers: `AnyQuantizer` parses {kind: rvq, num_codebooks: 8, ...}.

Each has `codebook_sizes`, `strides` (frames), `nested` (the first codebooks decode without the
rest), `check(dimension)` and `build(dimension)`, where dimension is D of the latents.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from audiotok.nn.quantizers.factorized import FactorizedResidualQuantizer
from audiotok.nn.quantizers.fsq import FiniteScalarQuantizer
from audiotok.nn.quantizers.grouped import GroupedVectorQuantizer
from audiotok.nn.quantizers.lfq import LookupFreeQuantizer
from audiotok.nn.quantizers.rvq import ResidualVectorQuantizer
from audiotok.nn.quantizers.strided import checked_strides
from audiotok.nn.quantizers.vq import VectorQuantizer

Size = Annotated[int, Field(gt=0)]


class _Config(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    nested: ClassVar[bool] = False

    @property
    def strides(self) -> tuple[int, ...]:
        return (1,) * len(self.codebook_sizes)

    def check(self, dimension: int) -> None:
        """Raises ValueError if latents of this dimension do not fit."""


class VectorConfig(_Config):
    """One Euclidean codebook, trained by moving averages."""

    kind: Literal["vq"]
    codebook_size: Size

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        return (self.codebook_size,)

    def build(self, dimension: int) -> nn.Module:
        return VectorQuantizer(self.codebook_size, dimension)


class _Residual(_Config):
    nested: ClassVar[bool] = True

    num_codebooks: Size
    codebook_size: Size
    frames_per_code: tuple[Size, ...] | None = None  # of each codebook; None: 1

    @model_validator(mode="after")
    def _one_stride_each(self) -> _Residual:
        checked_strides(self.frames_per_code, self.num_codebooks)
        return self

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        return (self.codebook_size,) * self.num_codebooks

    @property
    def strides(self) -> tuple[int, ...]:
        return checked_strides(self.frames_per_code, self.num_codebooks)


class ResidualConfig(_Residual):
    """Residual Euclidean codebooks, trained by moving averages."""

    kind: Literal["rvq"]
    codebook_dim: Size | None = None  # None: that of the latents, without projections

    def build(self, dimension: int) -> nn.Module:
        return ResidualVectorQuantizer(
            self.num_codebooks, self.codebook_size, dimension, self.codebook_dim, self.strides
        )


class FactorizedConfig(_Residual):
    """Residual codebooks of few dimensions with cosine search, trained by gradients."""

    kind: Literal["factorized"]
    codebook_dim: Size = 8

    def build(self, dimension: int) -> nn.Module:
        return FactorizedResidualQuantizer(
            self.num_codebooks, self.codebook_size, dimension, self.codebook_dim, self.strides
        )


class GroupedConfig(_Config):
    """Groups of channels with a Euclidean codebook each, trained by moving averages."""

    kind: Literal["grouped"]
    num_codebooks: Size
    codebook_size: Size

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        return (self.codebook_size,) * self.num_codebooks

    def check(self, dimension: int) -> None:
        if dimension % self.num_codebooks:
            raise ValueError(
                f"{dimension} dimensions of the latents cannot be split into {self.num_codebooks} "
                "equal groups"
            )

    def build(self, dimension: int) -> nn.Module:
        return GroupedVectorQuantizer(self.num_codebooks, self.codebook_size, dimension)


class FiniteScalarConfig(_Config):
    """Finite scalar quantization, no codebook."""

    kind: Literal["fsq"]
    levels: tuple[Annotated[int, Field(gt=1)], ...] = Field(min_length=1)

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        return (math.prod(self.levels),)

    def build(self, dimension: int) -> nn.Module:
        return FiniteScalarQuantizer(self.levels, dimension)


class LookupFreeConfig(_Config):
    """Codes from signs, no codebook: the latents have as many dimensions as a code has bits."""

    kind: Literal["lfq"]
    bits: int = Field(gt=0, le=20)
    spherical: bool = False
    inverse_temperature: float = Field(100.0, gt=0)
    diversity: float = Field(1.0, ge=0)

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        return (2**self.bits,)

    def check(self, dimension: int) -> None:
        if dimension != self.bits:
            raise ValueError(
                f"{dimension} dimensions of the latents for a code of {self.bits} bits"
            )

    def build(self, dimension: int) -> nn.Module:
        return LookupFreeQuantizer(
            self.bits, self.spherical, self.inverse_temperature, self.diversity
        )


AnyQuantizer = Annotated[
    VectorConfig
    | ResidualConfig
    | FactorizedConfig
    | GroupedConfig
    | FiniteScalarConfig
    | LookupFreeConfig,
    Field(discriminator="kind"),
]
