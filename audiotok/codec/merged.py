"""Merging: several frames share one code of a codebook, without any training.

At fixed rates (VALL-E R's codec-merging), `encodec-24k:merge=2`:

Han et al. 2024 (VALL-E R), arXiv 2406.07855, section 3.1. Before the search of a codebook the
residual is averaged over `rate` frames, and the codeword found is repeated over them. The next
codebook gets the residual before the averaging, minus that codeword. The paper merges the first
codebook of EnCodec by 2: `encodec-24k:merge=2`.

The search is that of a codec with slower codebooks (SNAC), in `nn/quantizers/strided.py`; this file
makes the card. Files, token rates and bitrates count a merged code once. The last group of frames
may be shorter. With a single codebook, merging is plain pooling over time.

At a variable rate, `wavtokenizer-mini:merge=similarity-0.9`: a frame joins the segment of the frame
before it if the cosine of their latents is above 0.9 and the segment has fewer than `max_duration`
frames; greedy, from left to right, so that it can stream. The latents of a segment are averaged
before the search. All codebooks share the segments, or the first ones with `layers=1`. Similar
merging by trained networks: VARSTok (arXiv 2509.04685), CodecSlime (arXiv 2506.21074). Where
codebooks run slower than the frames (SNAC), units of lcm(strides) frames take the place of frames.
`merge=equal` changes no code: only runs of equal codes are counted and stored once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from audiotok.codec.card import CodecCard
from audiotok.codec.tensor_level import TensorLevel
from audiotok.errors import CodecError
from audiotok.nn.quantizers.strided import SharedStride, sharing
from audiotok.tokens import durations
from audiotok.tokens.atok import MAX_STRIDE

EQUAL, SIMILARITY = "equal", "similarity-"
MAX_DURATION = 4  # the default: two bits
Merge = tuple[int, ...] | str


def merge_type(text: str) -> Merge:
    """Rates in "2" or "2/2/1": how many frames share a code, from the first codebook on; or
    "similarity-0.9" or "equal", in their shortest form."""
    if text == EQUAL:
        return text
    if text.startswith(SIMILARITY):
        threshold = threshold_of(text)
        if not -1 <= threshold <= 1:
            raise ValueError(text)
        return f"{SIMILARITY}{threshold:g}"
    rates = tuple(int(part) for part in text.split("/"))
    if min(rates) < 1:
        raise ValueError(text)
    return rates


merge_type.__name__ = (
    "list of whole numbers from 1, as 2 or 2/2/1, or similarity-0.9 (-1 to 1), or equal"
)


def threshold_of(text: str) -> float:
    """The number in "similarity-0.9": frames whose cosine is above it are merged."""
    return float(text.removeprefix(SIMILARITY))


def merged_by(card: CodecCard, options: Mapping[str, object]) -> CodecCard:
    """The card with the options merge, layers and max_duration applied.

    Raises:
        CodecError: they do not fit the codec or each other.
    """
    how = options.get("merge")
    if not isinstance(how, str):
        for name in ("layers", "max_duration"):
            if name in options:
                raise CodecError(
                    f"{name}={options[name]} is for merge=similarity-... or merge=equal"
                )
        return card if how is None else merge(card, how)
    layers, most = options.get("layers", card.num_codebooks), options.get("max_duration")
    most = MAX_DURATION if most is None else most
    for name, value, low, high in (
        ("layers", layers, 1, card.num_codebooks),
        ("max_duration", most, 2, durations.MAX_DURATION),
    ):
        if not low <= value <= high:
            raise CodecError(f"{name}={value} of {card.name} is not in {low}..{high}")
    changed = {"max_duration": most, "merged_codebooks": layers}
    if how != EQUAL:
        shared = (SharedStride(stride) for stride in card.strides[:layers])
        changed["strides"] = (*shared, *card.strides[layers:])
        ahead = most * math.lcm(*card.strides) * card.hop_length
        for field in ("lookahead", "settled_lookahead"):  # a segment ends with the frame after it
            if (samples := getattr(card, field)) is not None:
                changed[field] = samples + ahead
    what = "runs of equal codes stored once" if how == EQUAL else "similar frames merged"
    return card.model_copy(update=changed | {"description": f"{card.description}; {what}"})


def merge(card: CodecCard, rates: Sequence[int]) -> CodecCard:
    """The card with its codebooks merged by these rates; those not named stay as they are.

    Raises:
        CodecError: more rates than codebooks, or more frames per code than a file can store.
    """
    if len(rates) > card.num_codebooks:
        raise CodecError(
            f"merge={'/'.join(map(str, rates))} names {len(rates)} codebooks, but {card.name} has "
            f"{card.num_codebooks}"
        )
    rates = (*rates, *(1,) * (card.num_codebooks - len(rates)))
    strides = tuple(s * rate for s, rate in zip(card.strides, rates, strict=True))
    if max(strides) > MAX_STRIDE:
        raise CodecError(
            f"merge={'/'.join(map(str, rates))} lets {max(strides)} frames of {card.name} share a "
            f"code: {MAX_STRIDE} is the most"
        )
    what = "plain pooling over time" if card.num_codebooks == 1 else "codebooks merged in time"
    changed = {"strides": strides, "description": f"{card.description}; {what}"}
    frames = _frames_ahead(strides) - _frames_ahead(card.strides)
    for field in ("lookahead", "settled_lookahead"):  # a code needs all the frames that share it
        if (samples := getattr(card, field)) is not None:
            changed[field] = samples + card.hop_length * frames
    return card.model_copy(update=changed)


def _frames_ahead(strides: Sequence[int]) -> int:
    """How many later frames a code may depend on, in a residual stack with these strides."""
    period = math.lcm(*strides)
    reach = list(range(period))  # for each frame, the last frame that its residual depends on
    for stride in strides:
        groups = [reach[start : start + stride] for start in range(0, period, stride)]
        reach = [max(group) for group in groups for _ in group]
    return max(last - frame for frame, last in enumerate(reach))


def shares(card: CodecCard) -> bool:
    """Whether codebooks of the card share segments that depend on the latents."""
    return any(isinstance(stride, SharedStride) for stride in card.strides)


def search_of(codec: TensorLevel) -> SimilaritySearch:
    """The search of a loaded codec whose card shares strides.

    Raises:
        CodecError: it has no latents to compare.
    """
    card = codec.card
    if type(codec)._encode is not TensorLevel._encode:
        raise CodecError(
            f"{card.base_name} cannot merge by similarity: {codec.NO_LATENTS}; merge=2 and "
            "merge=equal need no latents"
        )
    unit = math.lcm(*card.strides)
    threshold = threshold_of(card.options["merge"])
    return SimilaritySearch(codec._quantize, threshold, card.max_duration, unit)


class SimilaritySearch:
    """The search of a codec whose card has shared strides: finds the segments of each clip first.

    Args:
        search: latents (B, D, T) -> codes (B, K, T).
        threshold: adjacent units of a segment have a cosine above it.
        max_duration: most units of a segment.
        unit: least common multiple of the strides, frames.
    """

    def __init__(
        self, search: Callable[[Tensor], Tensor], threshold: float, max_duration: int, unit: int
    ):
        self.search, self.threshold = search, threshold
        self.max_duration, self.unit = max_duration, unit

    def __call__(self, latents: Tensor) -> Tensor:
        """Codes (B, K, T) of latents (B, D, T). An incomplete last unit is a segment of its own."""
        whole = latents.shape[-1] // self.unit * self.unit
        parts = []
        if whole:
            clips = []
            for clip in latents[..., :whole].split(1):
                with sharing(durations.durations_of(self.starts(clip)[0]), self.unit):
                    clips.append(self.search(clip))
            parts.append(torch.cat(clips))
        if whole < latents.shape[-1]:  # without segments: at the strides themselves
            parts.append(self.search(latents[..., whole:]))
        return torch.cat(parts, -1)

    def starts(self, latents: Tensor) -> Tensor:
        """The units that start a segment, (B, N) bool; those that are not finite stand alone."""
        units = latents.float().transpose(1, 2).unflatten(1, (-1, self.unit)).flatten(2)
        similar = F.cosine_similarity(units[:, 1:], units[:, :-1], dim=2) > self.threshold
        starts = F.pad(~similar, (1, 0), value=True)
        return torch.stack([durations.limited(row, self.max_duration) for row in starts])

    def complete(self, latents: Tensor) -> int:
        """The frames, up to the last start of a segment common to all clips, that later ones cannot
        change; all if all last segments are full."""
        starts = self.starts(latents)
        full = all(int(durations.durations_of(row)[-1]) == self.max_duration for row in starts)
        common = starts.all(0).nonzero()
        return latents.shape[-1] if full else int(common[-1]) * self.unit
