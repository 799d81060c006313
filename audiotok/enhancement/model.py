"""The model of enhancement and separation: residual convolutions over time, equal for all codecs.

Each block sees 3 frames, 1, 2, 4 and 8 frames apart in turn. The output of one speaker is added to
the input, so that an untrained model leaves the sound as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from audiotok.enhancement import PROTOCOL

DILATIONS = (1, 2, 4, 8)


class Block(nn.Module):
    """Args: width: channels."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.norm = nn.GroupNorm(1, width)
        self.spread = nn.Conv1d(width, 2 * width, 3, padding=dilation, dilation=dilation)
        self.join = nn.Conv1d(width, width, 1)

    def forward(self, frames: Tensor) -> Tensor:
        """(B, width, T) -> the same shape."""
        return frames + self.join(nn.functional.glu(self.spread(self.norm(frames)), 1))


class Network(nn.Module):
    """Vectors of a mixture -> vectors of each speaker.

    Args:
        dimension: of the vectors, D.
        speakers: S.
    """

    def __init__(self, dimension: int, speakers: int):
        super().__init__()
        width, self.speakers = PROTOCOL.width, speakers
        self.inward = nn.Conv1d(dimension, width, 1)
        self.blocks = nn.Sequential(
            *(Block(width, DILATIONS[i % len(DILATIONS)]) for i in range(PROTOCOL.blocks))
        )
        self.outward = nn.Conv1d(width, speakers * dimension, 1)
        nn.init.zeros_(self.outward.bias)
        if speakers == 1:
            nn.init.zeros_(self.outward.weight)

    def forward(self, vectors: Tensor) -> Tensor:
        """(B, D, T) -> (B, S, D, T)."""
        output = self.outward(self.blocks(self.inward(vectors))).unflatten(1, (self.speakers, -1))
        return output + vectors[:, None] if self.speakers == 1 else output


def loss(output: Tensor, target: Tensor) -> Tensor:
    """The mean squared error of vectors (B, S, D, T), for each example in the better order of the
    speakers (permutation-invariant, Yu et al. 2017); S is 1 or 2."""
    return torch.stack([_errors(output, target, order) for order in _orders(target)]).amin(0).mean()


def better_order(output: Tensor, target: Tensor) -> list[int]:
    """Which output is which speaker, for one example (S, D, T)."""
    orders = _orders(target[None])
    errors = [float(_errors(output[None], target[None], order)) for order in orders]
    return orders[errors.index(min(errors))]


def _orders(target: Tensor) -> list[list[int]]:
    return [[0]] if target.shape[1] == 1 else [[0, 1], [1, 0]]


def _errors(output: Tensor, target: Tensor, order: list[int]) -> Tensor:
    """(B,): the mean squared error of each example in this order of the outputs."""
    return (output[:, order] - target).square().mean((1, 2, 3))
