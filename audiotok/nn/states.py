"""States of several sounds that run as one batch: a row for each sound, split and joined again.

The layers of `nn/pieces.py` keep their state in this form, so that `stream(batch=n)` can run those
sounds together that are at the same point, though each began and paused at its own time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

Sources = Sequence[tuple["Stateful", Tensor]]  # layers of one kind, and the rows to take of each


class Stateful:
    """A layer that runs piece by piece; its state can be split by rows and joined.

    TENSORS names the attributes with one row for each sound in dimension ROWS: tensors, sequences
    of tensors, or None. NUMBERS names those that must be equal where states are joined.
    """

    TENSORS: ClassVar[tuple[str, ...]] = ()
    NUMBERS: ClassVar[tuple[str, ...]] = ()
    ROWS: ClassVar[int] = 0
    parts: Iterable[Any] = ()  # the layers in it

    def __call__(self, hidden: Tensor, last: bool) -> Tensor:
        raise NotImplementedError

    def phase(self) -> tuple:
        """States with equal phases can be joined."""
        numbers = [getattr(self, name) for name in self.NUMBERS]
        return *numbers, *(_shape(getattr(self, name), self.ROWS) for name in self.TENSORS)

    def gather(self, sources: Sources) -> None:
        """Take over the state of these rows, one after another; their phases are equal."""
        first = sources[0][0]
        for name in self.NUMBERS:
            setattr(self, name, getattr(first, name))
        for name in self.TENSORS:
            values = [(getattr(layer, name), rows) for layer, rows in sources]
            setattr(self, name, gathered(values, self.ROWS))


class Stateless(Stateful):
    """A function of (B, C, T) that treats each frame, or each sample, alone."""

    def __init__(self, function: Callable[[Tensor], Tensor]):
        self.function = function

    def __call__(self, hidden: Tensor, last: bool) -> Tensor:
        return self.function(hidden)


def splittable(pieces: Any) -> bool:
    """Whether the state of all layers in `pieces` can be split."""
    return isinstance(pieces, Stateful) and all(map(splittable, pieces.parts))


def phase(pieces: Stateful) -> tuple:
    """The phases of all layers."""
    return tuple(layer.phase() for layer in _layers(pieces))


def gather(new: Stateful, sources: Sources) -> None:
    """Give `new`, which is in its initial state, these rows of the states of others like it."""
    layers = [_layers(source) for source, _ in sources]
    rows = [rows for _, rows in sources]
    for layer, *others in zip(_layers(new), *layers, strict=True):
        layer.gather(list(zip(others, rows, strict=True)))


def gathered(values: Sequence[tuple[Any, Tensor]], dim: int) -> Any:
    """These rows of each value, concatenated."""
    first = values[0][0]
    if first is None:
        return None
    if isinstance(first, Tensor):
        return torch.cat(
            [value.index_select(dim, rows.to(value.device)) for value, rows in values], dim
        )
    pairs = [[(each, rows) for each in value] for value, rows in values]
    return [gathered(each, dim) for each in zip(*pairs, strict=True)]


def _layers(pieces: Stateful) -> Iterator[Stateful]:
    yield pieces
    for part in pieces.parts:
        yield from _layers(part)


def _shape(value: Any, dim: int) -> Any:
    if value is None:
        return None
    if isinstance(value, Tensor):
        return tuple(value.shape[:dim] + value.shape[dim + 1 :])
    return tuple(_shape(each, dim) for each in value)
