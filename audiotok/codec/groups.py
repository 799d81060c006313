"""Which sounds of a batch of streams are computed together: those that are at the same point.

A pause, a reset or a chunk of another length takes an item out of its group; it comes back when its
state has the same phase again. While nothing of this happens, nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from audiotok.codec.windows import Pieces
from audiotok.nn import states


@dataclass
class _Group:
    """Items that are at the same point, and their joined state."""

    items: list[int]
    pieces: Pieces
    rows: int = 1  # of each item

    def rows_of(self, items: list[int]) -> torch.Tensor:
        starts = [self.items.index(item) * self.rows for item in items]
        return torch.tensor([start + row for start in starts for row in range(self.rows)])


class Groups:
    """One direction of all items: who is computed with whom.

    Args:
        start: new pieces, in their initial state.
        batch: number of items.
    """

    def __init__(self, start: Callable[[], Pieces], batch: int) -> None:
        self.start = start
        pieces = start()
        self.splittable = states.splittable(pieces)
        self.groups = [_Group(list(range(batch)), pieces)] if self.splittable else []
        if not self.splittable:
            self.reset(range(batch))

    def reset(self, items: Iterable[int]) -> None:
        items = list(items)
        kept = [[item for item in group.items if item not in items] for group in self.groups]
        self.groups = [
            self._joined([(group, rest)])
            for group, rest in zip(self.groups, kept, strict=True)
            if rest
        ]
        new = [items] if self.splittable else [[item] for item in items]
        self.groups += [_Group(each, self.start()) for each in new if each]

    def run(
        self, inputs: dict[int, torch.Tensor], ends: list[bool], device: torch.device
    ) -> dict[int, torch.Tensor]:
        """The output (B, ..., N) on the CPU for each input (B, ..., L)."""
        paused, together = [], {}
        for group in self.groups:
            point = states.phase(group.pieces) if self.splittable else id(group)
            parts: dict[Any, list[int]] = {}
            for item in group.items:
                key = (tuple(inputs[item].shape), ends[item]) if item in inputs else None
                parts.setdefault(key, []).append(item)
            for key, items in parts.items():
                if key is None:
                    paused.append((group, items))
                else:
                    together.setdefault((point, key), []).append((group, items))
        active = [self._joined(parts) for parts in together.values()]
        self.groups = [self._joined([part]) for part in paused] + active
        outputs: dict[int, torch.Tensor] = {}
        for group in active:
            batch = torch.cat([inputs[item] for item in group.items]).to(device)
            group.rows = len(batch) // len(group.items)
            output = group.pieces(batch, ends[group.items[0]]).cpu()
            outputs |= zip(group.items, output.split(group.rows), strict=True)
        return outputs

    def _joined(self, parts: list[tuple[_Group, list[int]]]) -> _Group:
        """One group of these items of each group."""
        group, items = parts[0]
        if len(parts) == 1 and items == group.items:
            return group
        pieces = self.start()
        states.gather(pieces, [(each.pieces, each.rows_of(some)) for each, some in parts])
        return _Group([item for _, some in parts for item in some], pieces, group.rows)
