"""Codebooks that run slower than the frames: a stage pools its latents before the search.

SNAC (Siuzdak et al. 2024, arXiv 2410.14411) trains such stages; codec-merging (VALL-E R, Han et
al. 2024, arXiv 2406.07855, section 3.1) adds them to a codec trained without. Both pool the
residual over `stride` frames, search, repeat the codeword over those frames, and subtract it from
the residual before pooling. Codes stay rectangular, the slower ones repeated.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


def pool(latents: Tensor, stride: int) -> Tensor:
    """Latents (B, D, T) -> means (B, D, ceil(T / stride)); the last group may be shorter."""
    if stride == 1 or latents.shape[-1] == 0:
        return latents
    return F.avg_pool1d(latents, stride, ceil_mode=True)


def repeat(frames: Tensor, stride: int, num_frames: int) -> Tensor:
    """Frames (B, D, ceil(T / stride)) -> (B, D, T), each one `stride` times."""
    return frames if stride == 1 else frames.repeat_interleave(stride, -1)[..., :num_frames]


def checked_strides(strides: Sequence[int] | None, num_codebooks: int) -> tuple[int, ...]:
    """One stride, in frames, for each codebook; all 1 where none are given."""
    strides = (1,) * num_codebooks if strides is None else tuple(strides)
    if len(strides) != num_codebooks or any(stride < 1 for stride in strides):
        raise ValueError(
            f"strides {strides} do not fit {num_codebooks} codebooks: "
            "expected one whole number from 1 for each"
        )
    return strides


def merged(quantizer: nn.Module, strides: Sequence[int]) -> nn.Module:
    """A residual quantizer at merged rates, which shares its codebooks with `quantizer`.

    VALL-E R merges pairs of frames in the first codebook of EnCodec: strides (2, 1, 1, ...).
    """
    other = copy.copy(quantizer)
    other.strides = checked_strides(strides, len(quantizer.strides))
    return other
