"""Codebook search with exact codes, and related functions, on the CPU and on a GPU.

`reference` defines the results; `cpu` (compiled), `torch_cpu` (plain PyTorch) and `triton_gpu` are
fast and give the same codes; `dispatch` selects one.
"""

from audiotok.kernels.dispatch import (
    code_statistics,
    rvq_decode,
    rvq_encode,
    rvq_encode_from,
    vq_argmin,
)
from audiotok.kernels.ema import Processes, ema_update
from audiotok.kernels.scalar import fsq_decode, fsq_encode, lfq_decode, lfq_encode
from audiotok.kernels.step import RVQStep
from audiotok.kernels.straight_through import VQResult, vq_straight_through

__all__ = [
    "Processes",
    "RVQStep",
    "VQResult",
    "code_statistics",
    "ema_update",
    "fsq_decode",
    "fsq_encode",
    "lfq_decode",
    "lfq_encode",
    "rvq_decode",
    "rvq_encode",
    "rvq_encode_from",
    "vq_argmin",
    "vq_straight_through",
]
