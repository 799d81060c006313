"""Patterns: the codes of one clip as ids of a language model's vocabulary, and back.

    parallel      (K, T)          one column per frame
    delay         (K, T + K - 1)  codebook k shifted right by k frames (MusicGen, arXiv 2306.05284)
    interleaved   (N,)            frame after frame, in each its codes, codebook after codebook
    coarse_first  (N,)            all of codebook 0, then all of codebook 1, ... (AudioLM's order,
                                  arXiv 2209.03143)

If codebooks run at different rates, only free codes become ids: one-dimensional patterns omit the
repeated codes, and two-dimensional ones have the padding id in their place. Frames without a free
code in any codebook get no column: if all strides have a common divisor, as that of a single merged
codebook, T above is the number of frames divided by it, rounded up.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from audiotok.errors import TokensError
from audiotok.tokens import atok

log = logging.getLogger("audiotok")
PATTERNS = ("parallel", "delay", "interleaved", "coarse_first")
SPECIAL = ("pad", "bos", "eos", "sep")
_GRIDS = ("parallel", "delay")


@dataclass(frozen=True)
class Vocabulary:
    """The ids of codes and special symbols.

    Attributes:
        codebook_sizes: K sizes V; each codebook has ids of its own, in this order.
        offset: the first id, of code 0 of codebook 0 unless special ids come first.
        special: names of special ids, some of SPECIAL, in the order of their ids: "bos" is at the
            start of every sequence, "eos" at its end, "sep" between the codebooks of coarse_first,
            "pad" where a pattern has no code. Names that are not given are not written; but a
            pattern that needs padding then uses the first id after all others for it.
        special_first: the special ids come before those of the codebooks, not after them.
    """

    codebook_sizes: tuple[int, ...]
    offset: int = 0
    special: tuple[str, ...] = ()
    special_first: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "codebook_sizes", tuple(self.codebook_sizes))
        object.__setattr__(self, "special", tuple(self.special))
        if set(self.special) - set(SPECIAL) or len(set(self.special)) < len(self.special):
            raise TokensError(f"special ids are some of {SPECIAL}, each once, not {self.special}")
        if type(self.offset) is not int or self.offset < 0:
            raise TokensError(f"the offset is an integer of 0 or more, not {self.offset!r}")

    @property
    def starts(self) -> torch.Tensor:
        """The id of code 0 of each codebook, (K,) int64."""
        first = self.offset + len(self.special) * self.special_first
        return torch.tensor([0, *self.codebook_sizes[:-1]], device="cpu").cumsum(0) + first

    @property
    def end(self) -> int:
        """The first id after codebooks and special ids."""
        return self.offset + sum(self.codebook_sizes) + len(self.special)

    def id(self, name: str) -> int:
        """The id of a special name."""
        if name in self.special:
            before = 0 if self.special_first else sum(self.codebook_sizes)
            return self.offset + before + self.special.index(name)
        if name == "pad":
            return self.end
        raise TokensError(f"the vocabulary has no {name!r} among its special ids {self.special}")


def to_ids(
    codes: torch.Tensor, strides: Sequence[int], pattern: str, vocabulary: Vocabulary
) -> torch.Tensor:
    """Codes (K, T) -> ids int64, in the shape of the pattern; bos and eos add a column or id
    each."""
    _check(pattern)
    codebooks, num_frames = codes.shape
    ids = codes + vocabulary.starts[:, None]
    free = free_codes(strides, num_frames)
    if pattern == "interleaved":
        ids = ids.T[free.T]
    elif pattern == "coarse_first":
        pieces = [row[::stride] for row, stride in zip(ids, strides, strict=True)]
        if "sep" in vocabulary.special:
            sep = ids.new_tensor([vocabulary.id("sep")])
            pieces = [piece for row in pieces for piece in (sep, row)][1:]
        ids = torch.cat(pieces)
    else:
        ids = ids.where(free, vocabulary.id("pad"))[:, :: math.gcd(*strides)]
        if pattern == "delay":
            rows, columns = ids, ids.shape[1]
            ids = rows.new_full((codebooks, columns + codebooks - 1), vocabulary.id("pad"))
            for k, row in enumerate(rows):
                ids[k, k : k + columns] = row
    one = ids[..., :1]
    bos, eos = (
        [torch.full_like(one, vocabulary.id(name))] if name in vocabulary.special else []
        for name in ("bos", "eos")
    )
    return torch.cat([*bos, ids, *eos], dim=-1)


def from_ids(
    ids: torch.Tensor,
    strides: Sequence[int],
    pattern: str,
    vocabulary: Vocabulary,
    num_frames: int | None = None,
    trim: bool = False,
) -> torch.Tensor:
    """The inverse of `to_ids`: codes (K, T). Everything after the first eos, and padding after the
    last frame, is ignored.

    Args:
        ids: integers, in a tensor, an array or lists.
        num_frames: T, if the number of ids fits several.
        trim: drop an incomplete frame at the end, and log the number of dropped ids.

    Raises:
        TokensError: ids that are no whole number of frames, or a code at a position for padding. An
            id outside of its codebook gives a code outside of it, which `Tokens` refuses.
    """
    _check(pattern)
    ids = _integers(ids)
    codebooks = len(vocabulary.codebook_sizes)
    dimensions = 2 if pattern in _GRIDS else 1
    if ids.ndim != dimensions or (dimensions == 2 and len(ids) != codebooks):
        shape = f"({codebooks}, columns)" if dimensions == 2 else "(N,)"
        raise TokensError(f"ids of {pattern} have shape {shape}, not {tuple(ids.shape)}")
    ids = _without_ends(ids, vocabulary)
    if trim:
        ids = _trimmed(ids, strides, pattern, vocabulary)
    if dimensions == 2:
        codes = _from_grid(ids, strides, pattern == "delay", vocabulary, num_frames)
    else:
        codes = _from_row(ids, strides, pattern == "coarse_first", vocabulary, num_frames)
    codes -= vocabulary.starts[:, None]
    for k, stride in enumerate(strides):
        codes[k] = atok.repeat(codes[k, ::stride].clone(), stride, codes.shape[1])
    return codes


def _integers(ids: torch.Tensor | Sequence) -> torch.Tensor:
    """Ids of any integer type as int64, on the CPU."""
    try:
        tensor = torch.as_tensor(ids, device="cpu")
    except (TypeError, ValueError, RuntimeError) as reason:
        raise TokensError(f"these are no ids: {str(reason).splitlines()[0]}") from None
    if tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool:
        raise TokensError(f"ids are integers, not {tensor.dtype}")
    return tensor.long()


def _trimmed(
    ids: torch.Tensor, strides: Sequence[int], pattern: str, vocabulary: Vocabulary
) -> torch.Tensor:
    """`ids` up to the end of the last complete frame."""
    if pattern == "coarse_first":
        raise TokensError("coarse_first cannot be trimmed: the codes of a frame are not adjacent")
    if pattern == "interleaved":
        counts = free_codes(strides, max(1, len(ids) * max(strides))).sum(0).cumsum(0)
        fitting = counts[counts <= len(ids)]
        kept = ids[: int(fitting[-1])] if len(fitting) else ids[:0]
        lost = len(ids) - len(kept)
    else:
        pad, (codebooks, width) = vocabulary.id("pad"), ids.shape
        shifts = [k * (pattern == "delay") for k in range(codebooks)]
        longer = torch.cat([ids, ids.new_full((codebooks, shifts[-1]), pad)], dim=1)
        frames = [row[shift : shift + width] for row, shift in zip(longer, shifts, strict=True)]
        steps = [stride // math.gcd(*strides) for stride in strides]
        whole = ((torch.stack(frames) != pad) | ~free_codes(steps, width)).all(0)
        count = int(whole.long().cumprod(0).sum())
        kept = ids.clone()
        for row, shift in zip(kept, shifts, strict=True):
            row[count + shift :] = pad
        lost = int(((ids != pad) & (kept == pad)).sum())
        kept = kept[:, : count + shifts[-1]] if count else kept[:, :0]
    if lost:
        log.warning("%d ids of an incomplete frame were dropped", lost)
    return kept


def free_codes(strides: Sequence[int], num_frames: int) -> torch.Tensor:
    """Which codes are free: (K, T) bool."""
    frames = torch.arange(num_frames, device="cpu")
    return torch.stack([frames % stride == 0 for stride in strides])


def _check(pattern: str) -> None:
    if pattern not in PATTERNS:
        hint = ": 'flatten' is called 'interleaved'" if pattern == "flatten" else ""
        raise TokensError(f"the pattern is one of {', '.join(PATTERNS)}, not {pattern!r}{hint}")


def _without_ends(ids: torch.Tensor, vocabulary: Vocabulary) -> torch.Tensor:
    """Removes bos, eos and everything after it, and padding at the end."""

    def whole(name: str) -> torch.Tensor:  # columns that contain only this id
        matches = ids == vocabulary.id(name)
        return matches.all(0) if ids.ndim == 2 else matches

    if "eos" in vocabulary.special and whole("eos").any():
        ids = ids[..., : int(whole("eos").nonzero()[0])]
    if "bos" in vocabulary.special and whole("bos")[:1].any():
        ids = ids[..., 1:]
    codes = (~whole("pad")).nonzero()
    return ids[..., : int(codes[-1]) + 1] if len(codes) else ids[..., :0]


def _from_grid(
    ids: torch.Tensor,
    strides: Sequence[int],
    delayed: bool,
    vocabulary: Vocabulary,
    num_frames: int | None,
) -> torch.Tensor:
    """Ids (K, columns) -> codes (K, T), still with the offsets of their codebooks."""
    codebooks, width = ids.shape
    shifts, unit = [k * delayed for k in range(codebooks)], math.gcd(*strides)
    filled = ids != vocabulary.id("pad")
    ends = (filled * torch.arange(1, width + 1, device="cpu")).amax(1) if width else filled.sum(1)
    most = width * unit + max(strides)
    possible = torch.arange(1, most + 1, device="cpu")  # numbers of frames
    fits = torch.ones_like(possible, dtype=torch.bool)
    for end, stride, shift in zip(ends, strides, shifts, strict=True):
        last = (possible - 1) // stride * stride  # the frame of the last free code
        fits &= last // unit + shift + 1 == end
    num_frames = _choose(possible[fits], num_frames, f"{width} columns")
    free = free_codes(strides, num_frames)
    codes = torch.zeros(codebooks, num_frames, dtype=torch.int64, device="cpu")
    rest = ids.clone()
    for k, shift in enumerate(shifts):
        columns = free[k].nonzero()[:, 0] // unit + shift
        codes[k, free[k]] = ids[k, columns]
        rest[k, columns] = vocabulary.id("pad")
    misplaced = (rest != vocabulary.id("pad")).nonzero()
    if len(misplaced):
        row, column = misplaced[0].tolist()
        raise TokensError(
            f"id {int(ids[row, column])} in row {row}, column {column}, where the pattern has no "
            f"code: expected the padding id {vocabulary.id('pad')}"
        )
    return codes


def _from_row(
    ids: torch.Tensor,
    strides: Sequence[int],
    coarse_first: bool,
    vocabulary: Vocabulary,
    num_frames: int | None,
) -> torch.Tensor:
    """Ids (N,) -> codes (K, T), still with the offsets of their codebooks."""
    codebooks = len(strides)
    separated = coarse_first and "sep" in vocabulary.special
    count = len(ids) - (codebooks - 1) * separated
    possible = torch.arange(1, max(count, 0) * min(strides) + 1, device="cpu")
    filled = sum(-(-possible // stride) for stride in strides)
    num_frames = _choose(possible[filled == count], num_frames, f"{len(ids)} ids")
    codes = torch.zeros(codebooks, num_frames, dtype=torch.int64, device="cpu")
    if not coarse_first:
        codes.T[free_codes(strides, num_frames).T] = ids
        return codes
    position = 0
    for k, stride in enumerate(strides):
        if separated and k:
            if int(ids[position]) != vocabulary.id("sep"):
                raise TokensError(
                    f"id {int(ids[position])} at {position} is not the separator "
                    f"{vocabulary.id('sep')} expected before codebook {k}"
                )
            position += 1
        row = ids[position : position + -(-num_frames // stride)]
        codes[k, ::stride] = row
        position += len(row)
    return codes


def _choose(possible: torch.Tensor, preferred: int | None, what: str) -> int:
    """The number of frames: `preferred` if it is possible, else the largest possible one."""
    if not len(possible):
        raise TokensError(
            f"{what} are no whole number of frames: trim=True drops an incomplete last frame"
        )
    return preferred if preferred in possible.tolist() else int(possible[-1])
