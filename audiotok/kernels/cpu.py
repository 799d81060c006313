"""The compiled CPU path: csrc/search.cpp, called on torch tensors through ctypes.

`LIBRARY` is None if no compiler was available at installation; `dispatch` then uses `torch_cpu`.
The instruction set is the best one of the machine; AUDIOTOK_ISA=scalar|avx2|avx512|neon forces
another (the codes are the same). It uses `torch.get_num_threads()` threads; results do not depend
on their number.
"""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from audiotok.kernels import torch_cpu

_ABI = 1  # of csrc/search.cpp; a library of another version is not used
_ISAS = ("scalar", "avx2", "avx512", "neon")  # in the order of search.cpp
_MOST_FRAMES = 1024  # limit of the strides' least common multiple: a block has to hold these frames


def _load() -> ctypes.CDLL | None:
    for path in Path(__file__).parent.glob("_search.*"):
        try:
            library = ctypes.CDLL(str(path))
            if library.audiotok_abi() == _ABI:
                return library
        except (OSError, AttributeError):
            continue
    return None


LIBRARY = _load()


def isas() -> tuple[str, ...]:
    """Names of the instruction sets that both the library and this machine support."""
    return tuple(name for i, name in enumerate(_ISAS) if LIBRARY and LIBRARY.audiotok_supports(i))


def _isa() -> int:
    requested = os.environ.get("AUDIOTOK_ISA") or isas()[-1]
    if requested not in isas():
        raise ValueError(f"AUDIOTOK_ISA is {requested!r}: expected one of {', '.join(isas())}")
    return _ISAS.index(requested)


def vq_argmin(latents: Tensor, codebook: Tensor, metric: str = "euclidean") -> Tensor:
    """As `reference.vq_argmin`."""
    if latents.ndim == 3:
        groups = zip(latents, codebook, strict=True)
        return torch.stack([vq_argmin(rows, words, metric) for rows, words in groups])
    return _encode(latents, codebook[None], None, metric)[:, 0]


def rvq_encode(
    latents: Tensor, codebooks: Tensor, num_codebooks: int, strides: Sequence[int] | None
) -> Tensor:
    """As `reference.rvq_encode`."""
    if strides and math.lcm(*strides) > _MOST_FRAMES:
        return torch_cpu.rvq_encode(latents, codebooks, num_codebooks, strides)
    return _encode(latents, codebooks[:num_codebooks], strides, "euclidean")


def _encode(
    latents: Tensor, codebooks: Tensor, strides: Sequence[int] | None, metric: str
) -> Tensor:
    latents, codebooks = latents.detach().contiguous(), codebooks.detach().contiguous()
    (rows, dimension), (stages, size, _) = latents.shape, codebooks.shape
    codes = torch.empty(rows, stages, dtype=torch.int64, device="cpu")
    if rows and stages:
        _call(
            LIBRARY.audiotok_encode,
            _isa(),
            latents,
            rows,
            dimension,
            codebooks,
            stages,
            size,
            (ctypes.c_int64 * stages)(*strides[:stages]) if strides else None,
            math.lcm(*strides[:stages]) if strides else 1,
            int(metric == "cosine"),
            torch.get_num_threads(),
            codes,
        )
    return codes


def rvq_decode(codes: Tensor, codebooks: Tensor) -> Tensor:
    """As `reference.rvq_decode`."""
    codes, codebooks = codes.contiguous(), codebooks.detach().contiguous()
    decoded = codebooks.new_empty(len(codes), codebooks.shape[2])
    _call(
        LIBRARY.audiotok_decode,
        codes,
        *codes.shape,
        codebooks,
        *codebooks.shape[1:],
        torch.get_num_threads(),
        decoded,
    )
    return decoded


def code_statistics(latents: Tensor, codes: Tensor, codebook_size: int) -> tuple[Tensor, Tensor]:
    """As `reference.code_statistics`."""
    latents, codes = latents.detach().contiguous(), codes.contiguous()
    counts, sums = (
        latents.new_empty(codebook_size),
        latents.new_empty(codebook_size, latents.shape[1]),
    )
    _call(
        LIBRARY.audiotok_statistics,
        latents,
        *latents.shape,
        codes,
        codebook_size,
        torch.get_num_threads(),
        counts,
        sums,
    )
    return counts, sums


def _call(function, *arguments) -> None:
    """Call a C function: tensors as pointers, every integer as int64."""
    status = function(*(_argument(a) for a in arguments))
    if status == 1:
        raise ValueError("a code is out of range: expected -1 or 0 to codebook size - 1")
    if status:
        raise MemoryError("the codebook search ran out of memory")


def _argument(value):
    if isinstance(value, Tensor):
        return ctypes.c_void_p(value.data_ptr())
    return ctypes.c_int64(value) if isinstance(value, int) else value
