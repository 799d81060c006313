"""Checks arguments and selects an implementation.

Tensors on a CUDA device go to `triton_gpu`; others to the compiled library (`cpu`), or to PyTorch
(`torch_cpu`) if there was no compiler at installation. The environment variable
AUDIOTOK_KERNELS=reference|torch|compiled|triton forces a path. All give the same codes. While
`torch.compile`, `torch.export` or the export to ONNX record, `traced` takes their place.
"""

from __future__ import annotations

import functools
import importlib
import os
from collections.abc import Callable, Sequence
from types import ModuleType

import torch
from torch import Tensor

from audiotok.kernels import traced
from audiotok.system.denormals import keep_denormals

_PATHS = {"reference": "reference", "torch": "torch_cpu", "compiled": "cpu", "triton": "triton_gpu"}


def path_for(tensor: Tensor) -> str:
    """The path for this tensor: "reference", "torch", "compiled" or "triton"."""
    forced = os.environ.get("AUDIOTOK_KERNELS")
    if forced and forced not in _PATHS:
        raise ValueError(f"AUDIOTOK_KERNELS is {forced!r}: expected one of {', '.join(_PATHS)}")
    if forced == "compiled" and tensor.device.type != "cpu":
        raise ValueError(f"AUDIOTOK_KERNELS is 'compiled', but the tensor is on {tensor.device}")
    if forced == "compiled" and not _compiled():
        raise ValueError(
            "AUDIOTOK_KERNELS is 'compiled', but there is no compiled library: "
            "install audiotok again with a C++ compiler available"
        )
    if forced:
        return forced
    if tensor.device.type == "cuda":
        return "triton"
    return "compiled" if tensor.device.type == "cpu" and _compiled() else "torch"


def _compiled() -> bool:
    return _module("compiled").LIBRARY is not None


def _module(path: str) -> ModuleType:
    return importlib.import_module(f"audiotok.kernels.{_PATHS[path]}")


def function(name: str, tensor: Tensor, default: Callable | None = None) -> Callable | None:
    """The function of that name in the path for this tensor, else `default`, else PyTorch's."""
    implementation = getattr(_module(path_for(tensor)), name, default)
    return implementation or getattr(_module("torch"), name, None)


def traceable(function: Callable) -> Callable:
    """While PyTorch records operations, the function of that name in `traced` is called instead."""
    recorded = getattr(traced, function.__name__)

    @functools.wraps(function)
    def call(*arguments, **named):
        if traced.recording():
            return recorded(*arguments, **named)
        return function(*arguments, **named)

    return call


@traceable
@keep_denormals()
def vq_argmin(latents: Tensor, codebook: Tensor, metric: str = "euclidean") -> Tensor:
    """Codes (N,) int64: for each row of latents (N, D) the nearest row of the codebook (V, D).

    Grouped: latents (G, N, D) and codebook (G, V, D) give (G, N). All float32. `metric` is
    "euclidean", or "cosine" for the largest x.c / ||c||. Exact in the sense of
    `audiotok.kernels.reference`: ties go to the lowest index, rows with NaN or infinity get -1.

    Raises:
        ValueError: shapes, dtypes or devices do not fit, or the codebook is empty.
    """
    if metric not in ("euclidean", "cosine"):
        raise ValueError(f"metric is {metric!r}: expected 'euclidean' or 'cosine'")
    fits = latents.ndim in (2, 3) and latents.ndim == codebook.ndim
    if (
        not fits
        or latents.shape[-1] != codebook.shape[-1]
        or latents.shape[:-2] != codebook.shape[:-2]
    ):
        raise ValueError(
            f"latents {tuple(latents.shape)} and codebook {tuple(codebook.shape)} do not fit: "
            "expected (N, D) and (V, D), or (G, N, D) and (G, V, D)"
        )
    check_floats(latents, codebook)
    if latents.ndim == 3 and not len(latents):
        return latents.new_zeros(latents.shape[:2], dtype=torch.int64)
    return function("vq_argmin", latents)(latents.detach(), codebook.detach(), metric)


@traceable
@keep_denormals()
def rvq_encode(
    latents: Tensor,
    codebooks: Tensor,
    num_codebooks: int | None = None,
    strides: Sequence[int] | None = None,
) -> Tensor:
    """Codes (N, K) int64 of latents (N, D) in a residual stack of codebooks (K, V, D), float32.

    Each stage searches the residual of the previous ones, exactly. Only the first `num_codebooks`
    stages run. With `strides` (one for each codebook) the rows are the frames of one clip, and
    stage k searches the mean of every strides[k] frames, whose codes are then equal
    (SNAC, arXiv 2410.14411; merged codes, arXiv 2406.07855). -1 stays -1 at all later stages.

    Raises:
        ValueError: shapes, dtypes or devices do not fit, a codebook is empty, or there are fewer
            codebooks or strides than requested.
    """
    _check_stack(latents, codebooks)
    stages = len(codebooks) if num_codebooks is None else num_codebooks
    if not 0 <= stages <= len(codebooks):
        raise ValueError(f"num_codebooks is {stages}: expected 0 to {len(codebooks)}")
    if strides is not None:
        strides = [int(stride) for stride in strides[:stages]]
        if len(strides) < stages or min(strides, default=1) < 1:
            raise ValueError(f"strides are {strides}: expected {stages} integers of at least 1")
        strides = strides if any(stride > 1 for stride in strides) else None
    if not stages:
        return latents.new_zeros((len(latents), 0), dtype=torch.int64)
    encode = function("rvq_encode", latents)
    return encode(latents.detach(), codebooks.detach(), stages, strides)


def rvq_encode_from(latents: Tensor, codebooks: Tensor, first: Tensor) -> Tensor:
    """Codes (N, K) int64 of latents (N, D) in the stages of codebooks (K, V, D) from `first` on.

    Row n is searched in the stages first[n], ..., K - 1, exactly as `rvq_encode` would in a stack
    of these codebooks alone; its earlier codes are -1. `first` (N,) int64 holds 0 to K: with K a
    row is not searched at all. For generators that know the first codes of a frame already and
    predict the sum of the others.

    Raises:
        ValueError: shapes, dtypes or devices do not fit, or `first` is out of range.
    """
    _check_stack(latents, codebooks)
    if first.shape != latents.shape[:1] or first.dtype != torch.int64:
        raise ValueError(
            f"first is {first.dtype} of shape {tuple(first.shape)}: expected torch.int64, one for "
            f"each row of latents {tuple(latents.shape)}"
        )
    stages = first.unique().tolist()
    if stages and not 0 <= stages[0] <= stages[-1] <= len(codebooks):
        raise ValueError(f"first is {stages[0]} to {stages[-1]}: expected 0 to {len(codebooks)}")
    codes = first.new_full((len(latents), len(codebooks)), -1)
    for stage in stages:
        rows = first == stage
        codes[rows, stage:] = rvq_encode(latents[rows], codebooks[stage:])
    return codes


@traceable
@keep_denormals()
def rvq_decode(codes: Tensor, codebooks: Tensor) -> Tensor:
    """Vectors (N, D): sums of the codewords of codes (N, K) int64 in codebooks (>= K, V, D).

    Bitwise equal to adding them one after another, starting with the first. A row with a code -1
    becomes NaN.

    Raises:
        ValueError: shapes, dtypes or devices do not fit; on the CPU also any other code outside
            of 0 to V - 1 (on a GPU it gives NaN).
    """
    fits = codes.ndim == 2 and codebooks.ndim == 3 and 1 <= codes.shape[1] <= len(codebooks)
    if not fits:
        raise ValueError(
            f"codes {tuple(codes.shape)} and codebooks {tuple(codebooks.shape)} do not fit: "
            "expected (N, K) and (K or more, V, D), K at least 1"
        )
    _check_codes(codes, codebooks)
    return function("rvq_decode", codebooks)(codes, codebooks.detach())


@keep_denormals()
def code_statistics(latents: Tensor, codes: Tensor, codebook_size: int) -> tuple[Tensor, Tensor]:
    """The number of codes (N,) of each codeword, (V,), and the sum of their latents (V, D).

    Both float32, of latents (N, D) float32, without a one-hot matrix; summed in a fixed order, so
    that results are reproducible to the bit. Code -1 is ignored.

    Raises:
        ValueError: shapes, dtypes or devices do not fit; on the CPU also codes out of range.
    """
    if latents.ndim != 2 or codes.shape != latents.shape[:1]:
        raise ValueError(
            f"latents {tuple(latents.shape)} and codes {tuple(codes.shape)} do not fit: "
            "expected (N, D) and (N,)"
        )
    _check_codes(codes, latents)
    return function("code_statistics", latents)(latents.detach(), codes, codebook_size)


def _check_stack(latents: Tensor, codebooks: Tensor) -> None:
    """Raises ValueError unless latents (N, D) can be searched in codebooks (K, V, D)."""
    if latents.ndim != 2 or codebooks.ndim != 3 or latents.shape[1] != codebooks.shape[2]:
        raise ValueError(
            f"latents {tuple(latents.shape)} and codebooks {tuple(codebooks.shape)} do not fit: "
            "expected (N, D) and (K, V, D)"
        )
    check_floats(latents, codebooks)


def check_floats(latents: Tensor, codebook: Tensor) -> None:
    """Raises ValueError unless both are float32 on one device, and the codebook holds codewords."""
    if latents.dtype != torch.float32 or codebook.dtype != torch.float32:
        raise ValueError(
            f"latents are {latents.dtype}, codebook is {codebook.dtype}: expected torch.float32"
        )
    if latents.device != codebook.device:
        raise ValueError(
            f"latents are on {latents.device}, codebook on {codebook.device}: expected one device"
        )
    if codebook.shape[-2] == 0:
        raise ValueError("the codebook is empty: expected at least one codeword")


def _check_codes(codes: Tensor, floats: Tensor) -> None:
    if codes.dtype != torch.int64 or floats.dtype != torch.float32:
        raise ValueError(
            f"codes are {codes.dtype} and vectors {floats.dtype}: "
            "expected torch.int64 and torch.float32"
        )
    if codes.device != floats.device:
        raise ValueError(
            f"codes are on {codes.device}, vectors on {floats.device}: expected one device"
        )
