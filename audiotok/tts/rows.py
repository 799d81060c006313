"""Rows of a batch whose parts differ in length, and the mask of which step attends to which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

PROMPT_TEXT, TEXT, PROMPT, SPEECH = range(4)  # segments of a row


@dataclass(frozen=True)
class Row:
    """Steps of one row.

    Attributes:
        hidden: (P, D).
        positions: (P,) int64; they need not ascend.
        known: (P,) bool, True for steps that all others see (text).
    """

    hidden: Tensor
    positions: Tensor
    known: Tensor

    @classmethod
    def part(cls, hidden: Tensor, first: int, known: bool = False) -> Row:
        """Steps with positions from `first` on."""
        positions = torch.arange(first, first + len(hidden), device=hidden.device)
        return cls(hidden, positions, torch.full_like(positions, known, dtype=torch.bool))

    def __add__(self, other: Row) -> Row:
        return Row(
            torch.cat([self.hidden, other.hidden]),
            torch.cat([self.positions, other.positions]),
            torch.cat([self.known, other.known]),
        )

    def __len__(self) -> int:
        return len(self.hidden)


@dataclass(frozen=True)
class Batch:
    """Rows, padded at their ends: hidden (B, P, D), positions and `present` (B, P), mask
    (B, 1, P, P)."""

    hidden: Tensor
    positions: Tensor
    present: Tensor
    mask: Tensor


def pad_rows(rows: Sequence[Row], causal: bool) -> Batch:
    """
    Args:
        causal: steps see those before them and the known ones, and known steps see known steps
            only; False: every step sees all of its row.
    """
    hidden = pad_sequence([row.hidden for row in rows], batch_first=True)
    positions = pad_sequence([row.positions for row in rows], batch_first=True)
    lengths = torch.tensor([len(row) for row in rows], device=hidden.device)
    present = torch.arange(hidden.shape[1], device=hidden.device) < lengths[:, None]
    mask = present[:, None, :].expand(-1, hidden.shape[1], -1)
    if causal:
        known = pad_sequence([row.known for row in rows], batch_first=True)
        earlier = torch.ones(mask.shape[1:], dtype=torch.bool, device=hidden.device).tril()
        mask = mask & (known[:, None, :] | (earlier & ~known[:, :, None]))
        padding = torch.eye(mask.shape[1], dtype=torch.bool, device=hidden.device)
        mask = mask | (padding & ~present[:, :, None])  # a step that sees nothing gives NaN
    return Batch(hidden, positions, present, mask[:, None])
