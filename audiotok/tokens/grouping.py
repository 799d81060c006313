"""Grouping: several small codebooks as one large codebook, and back, exactly.

    grouping = Grouping((16,) * 16, 2)      # 16 codebooks of 16 as 8 of 256
    tokens = grouping.join(codes)            # (..., 16, T) -> (..., 8, T)
    codes = grouping.split(tokens)           # the same codes again

A token is the number that the codes of its group write in a mixed radix, the first codebook being
the most significant digit; so every token stands for exactly one tuple of codes, and the bitrate
does not change.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from audiotok.errors import TokensError

MOST = 2**31  # tokens of one group


class Grouping:
    """The bijection between the codes of K codebooks and K / `size` tokens.

    Args:
        codebook_sizes: of the K codebooks.
        size: neighbouring codebooks in a group.

    Raises:
        TokensError: the codebooks cannot be divided into groups of this size, or a group has more
            than MOST tokens.
    """

    def __init__(self, codebook_sizes: Sequence[int], size: int):
        if size < 1 or len(codebook_sizes) % size:
            raise TokensError(
                f"{len(codebook_sizes)} codebooks cannot be divided into groups of {size}: choose "
                "a number of codebooks that is a multiple"
            )
        self.codebook_sizes, self.size = tuple(codebook_sizes), size
        starts = range(0, len(self.codebook_sizes), size)
        self._groups = [self.codebook_sizes[start : start + size] for start in starts]
        self.sizes = tuple(math.prod(group) for group in self._groups)
        if max(self.sizes) > MOST:
            raise TokensError(f"a group has {max(self.sizes)} tokens: {MOST} is the most")

    def join(self, codes: Tensor) -> Tensor:
        """Codes (..., K, T) -> tokens (..., K / size, T), int64.

        Raises:
            TokensError: a code is outside its codebook.
        """
        codes = codes.long()
        _check(codes, self.codebook_sizes)
        tokens = []
        for number, sizes in enumerate(self._groups):
            token = torch.zeros_like(codes[..., 0, :])
            for place, codebook_size in enumerate(sizes):
                token = token * codebook_size + codes[..., number * self.size + place, :]
            tokens.append(token)
        return torch.stack(tokens, -2)

    def split(self, tokens: Tensor) -> Tensor:
        """Tokens (..., K / size, T) -> codes (..., K, T), int64.

        Raises:
            TokensError: a token is outside its group.
        """
        tokens = tokens.long()
        _check(tokens, self.sizes)
        codes = []
        for number, sizes in enumerate(self._groups):
            token, digits = tokens[..., number, :], []
            for codebook_size in reversed(sizes):
                digits.append(token % codebook_size)
                token = token // codebook_size
            codes += reversed(digits)
        return torch.stack(codes, -2)


def _check(codes: Tensor, sizes: Sequence[int]) -> None:
    limits = torch.tensor(sizes, device=codes.device)[:, None]
    if codes.ndim < 2 or codes.shape[-2] != len(sizes):
        raise TokensError(f"codes of shape {tuple(codes.shape)}: expected (..., {len(sizes)}, T)")
    if bool(((codes < 0) | (codes >= limits)).any()):
        raise TokensError(
            f"codes from {int(codes.min())} to {int(codes.max())}: expected 0 up to below the "
            f"sizes {' '.join(map(str, sizes))}"
        )
