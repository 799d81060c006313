"""The Triton path: the public functions of `audiotok.kernels` for CUDA tensors.

Codes equal `audiotok.kernels.reference`. With TRITON_INTERPRET=1, set before this is imported, the
same kernels run on CPU tensors (slowly), which is how they are tested without a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import torch

from audiotok.kernels import triton_pack, triton_rvq, triton_train, triton_vq
from audiotok.kernels.triton_codebooks import pack
from audiotok.kernels.triton_step import Step as prepare_step

__all__ = [
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


def _on_its_device(function: Callable) -> Callable:
    """Launches on the device of the first tensor, which need not be the current one."""

    @wraps(function)
    def call(tensor, *arguments, **keywords):
        with torch.cuda.device_of(tensor):
            return function(tensor, *arguments, **keywords)

    return call


vq_argmin = _on_its_device(triton_vq.vq_argmin)
rvq_encode = _on_its_device(triton_rvq.rvq_encode)
rvq_decode = _on_its_device(triton_rvq.rvq_decode)
code_statistics = _on_its_device(triton_train.code_statistics)
vq_straight_through = _on_its_device(triton_train.vq_straight_through)
fsq_encode = _on_its_device(triton_pack.fsq_encode)
fsq_decode = _on_its_device(triton_pack.fsq_decode)
lfq_encode = _on_its_device(triton_pack.lfq_encode)
lfq_decode = _on_its_device(triton_pack.lfq_decode)
