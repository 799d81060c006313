"""Quantizers: latents (B, D, T) to codes (B, K, T) and back, and the training of their codebooks.

Every search goes through `audiotok.kernels`. Each quantizer has `encode(latents) -> codes`,
`decode(codes) -> quantized`, and, called on latents while training, returns a named tuple of
quantized vectors, codes and losses. A single codebook is in `codebook` (V, D), several are in
`codebooks` (K of them). Code -1 means that the latents are not finite, or that quantizer dropout
skipped the stage.
"""

from audiotok.nn.quantizers.base import (
    FactorizedQuantized,
    LookupFreeQuantized,
    Quantized,
    codebooks_of,
    losses_of,
)
from audiotok.nn.quantizers.configs import AnyQuantizer
from audiotok.nn.quantizers.factorized import FactorizedQuantizer, FactorizedResidualQuantizer
from audiotok.nn.quantizers.fsq import FiniteScalarQuantizer
from audiotok.nn.quantizers.grouped import GroupedQuantizer, GroupedVectorQuantizer
from audiotok.nn.quantizers.lfq import LookupFreeQuantizer
from audiotok.nn.quantizers.moving_average import MovingAverageLearner
from audiotok.nn.quantizers.rvq import ResidualVectorQuantizer
from audiotok.nn.quantizers.split import SplitQuantizer
from audiotok.nn.quantizers.strided import merged
from audiotok.nn.quantizers.vq import VectorQuantizer

__all__ = [
    "AnyQuantizer",
    "FactorizedQuantized",
    "FactorizedQuantizer",
    "FactorizedResidualQuantizer",
    "FiniteScalarQuantizer",
    "GroupedQuantizer",
    "GroupedVectorQuantizer",
    "LookupFreeQuantized",
    "LookupFreeQuantizer",
    "MovingAverageLearner",
    "Quantized",
    "ResidualVectorQuantizer",
    "SplitQuantizer",
    "VectorQuantizer",
    "codebooks_of",
    "losses_of",
    "merged",
]
