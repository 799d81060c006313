"""Counter-based noise: a function of key and position, equal in every process, batch and window."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

_DRAWS = 4  # 64-bit words per step of the counter


def key_of(codes: Tensor) -> int:
    """A key of 128 bits from the codes (K, T) of one clip."""
    values = codes.detach().to("cpu", torch.int64).contiguous().numpy()
    content = str(values.shape).encode() + values.astype("<i8").tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=16).digest(), "little")


def gaussian(key: int, stream: int, start: int, stop: int) -> Tensor:
    """Samples `start` to `stop` of Gaussian noise with variance 1, float32 on the CPU.

    Salmon et al. 2011 (Philox, a counter-based generator), and Box and Muller 1958.

    Args:
        key: 128 bits.
        stream: number of one of the independent noises of this key, below 2**64.
    """
    first = start // _DRAWS
    generator = np.random.Philox(key=key, counter=(stream << 128) + first)
    words = generator.random_raw((-(-stop // _DRAWS) - first) * _DRAWS)
    radius = np.sqrt(-2 * np.log(((words >> np.uint64(32)) + 0.5) / 2**32))
    angle = 2 * np.pi / 2**32 * (words & np.uint64(2**32 - 1))
    noise = radius * np.cos(angle)
    skip = start - first * _DRAWS
    return torch.from_numpy(noise[skip : skip + stop - start].astype(np.float32))
