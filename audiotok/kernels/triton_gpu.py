"""The Triton path: the public functions of `audiotok.kernels` for CUDA tensors.

Codes equal `audiotok.kernels.reference`. With TRITON_INTERPRET=1, set before this is imported, the
same kernels run on CPU tensors (slowly), which is how they are tested without a GPU.
"""

from __future__ import annotations

from audiotok.kernels.triton_pack import fsq_decode, fsq_encode, lfq_decode, lfq_encode
from audiotok.kernels.triton_rvq import rvq_decode, rvq_encode
from audiotok.kernels.triton_step import Step as prepare_step
from audiotok.kernels.triton_train import code_statistics, vq_straight_through
from audiotok.kernels.triton_vq import Packed, pack, vq_argmin

__all__ = [
    "Packed",
    "code_statistics",
    "fsq_decode",
    "fsq_encode",
    "lfq_decode",
    "lfq_encode",
    "pack",
    "prepare_step",
    "rvq_decode",
    "rvq_encode",
    "vq_argmin",
    "vq_straight_through",
]
