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
        context: (P,) bool, True for steps that all others attend to (text).
    """

    hidden: Tensor
    positions: Tensor
    context: Tensor

    @classmethod
    def part(cls, hidden: Tensor, first: int, context: bool = False) -> Row:
        """Steps with positions from `first` on."""
        positions = torch.arange(first, first + len(hidden), device=hidden.device)
        return cls(hidden, positions, torch.full_like(positions, context, dtype=torch.bool))

    def __add__(self, other: Row) -> Row:
        return Row(
            torch.cat([self.hidden, other.hidden]),
            torch.cat([self.positions, other.positions]),
            torch.cat([self.context, other.context]),
        )

    def __len__(self) -> int:
        return len(self.hidden)


@dataclass(frozen=True)
class Batch:
    """Rows, padded at their ends: hidden (B, P, D), positions and `valid` (B, P), mask
    (B, 1, P, P)."""

    hidden: Tensor
    positions: Tensor
    valid: Tensor
    mask: Tensor


def pad_rows(rows: Sequence[Row], causal: bool) -> Batch:
    """
    Args:
        causal: steps attend to those before them and to the context, context only to context;
            False: every step attends to all of its row.
    """
    hidden = pad_sequence([row.hidden for row in rows], batch_first=True)
    positions = pad_sequence([row.positions for row in rows], batch_first=True)
    lengths = torch.tensor([len(row) for row in rows], device=hidden.device)
    valid = torch.arange(hidden.shape[1], device=hidden.device) < lengths[:, None]
    mask = valid[:, None, :].expand(-1, hidden.shape[1], -1)
    if causal:
        context = pad_sequence([row.context for row in rows], batch_first=True)
        earlier = torch.ones(mask.shape[1:], dtype=torch.bool, device=hidden.device).tril()
        mask = mask & (context[:, None, :] | (earlier & ~context[:, :, None]))
        padding = torch.eye(mask.shape[1], dtype=torch.bool, device=hidden.device)
        mask = mask | (padding & ~valid[:, :, None])  # a step without keys would give NaN
    return Batch(hidden, positions, valid, mask[:, None])
