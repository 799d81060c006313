"""stability: whether a sound keeps its tokens under changes that a listener hardly notices.

- Unit edit distance (UED): Levenshtein distance between the codes of the sound and those of the
  perturbed sound, divided by the number of codes, for each codebook. StableToken (Song et al. 2025,
  arXiv 2509.22220) averages it over six perturbations, see `audiotok.tasks._perturbations`. Gain,
  resampling and a shift by 2 ms have columns of their own.
- Agreement: the share of equal codes at equal positions. After a shift by 2 ms; after 1 to 10
  rounds of decoding and encoding (ID stability of AudioCodecBench); and for a slice from the
  middle, encoded alone or within the whole clip, with and without its edges (Liu et al. 2024, arXiv
  2409.19283).

Each is the mean over codebooks; `_first` is the first codebook alone. Only free codes count. A
codec whose codes never change is perfectly stable and worthless: read these numbers together with
quality. Byte streams have no frames, so no agreement. Work per clip: 21 encodings and 10 decodings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from audiotok.errors import MetricError
from audiotok.tasks import Column, Item, Task, _perturbations

if TYPE_CHECKING:
    from audiotok.codec.codec import Codec
    from audiotok.sound.audio import Audio
    from audiotok.tokens.tokens import Tokens

Codes = list[np.ndarray]  # the free codes (C, T) of each codebook

ROUNDS = (1, 2, 5, 10)
"""Numbers of rounds of decoding and encoding."""
EDGE = 0.25
"""Seconds at both edges of a slice that `slice_agreement_inside` leaves out."""

_DESCRIPTIONS = {
    "white": f"white noise, SNR {_perturbations.SNR:.0f} dB",
    "pink": f"pink noise, SNR {_perturbations.SNR:.0f} dB",
    "brown": f"brown noise, SNR {_perturbations.SNR:.0f} dB",
    "crush": f"samples of {_perturbations.BITS} bits",
    "background": f"everyday sounds, SNR {_perturbations.SNR:.0f} dB",
    "codec": f"after {_perturbations.OPUS}",
    "louder": f"{_perturbations.GAIN:.0f} dB louder",
    "quieter": f"{_perturbations.GAIN:.0f} dB quieter",
    "resampled": "resampled to 44.1 kHz (sounds at 44.1 kHz to 48 kHz) and back",
    "shifted": f"{1000 * _perturbations.SHIFT:.0f} ms earlier",
}


def _ued(name: str, change: str) -> Column:
    return Column(name, "", False, 3, f"unit edit distance: {change}")


def _share(name: str, change: str) -> Column:
    return Column(name, "", True, 3, f"share of equal codes: {change}")


class Stability(Task):
    """Edit distances and agreement of the codes of each clip.

    Nothing is ranked: a codec whose codes never change is perfectly stable, and the coarser the
    codes of any codec, the more stable they are.
    """

    name = "stability"
    version = 1
    ranked = ()
    observes = True
    reconstructs = False
    columns = (
        _ued("ued", "mean of the six perturbations"),
        _ued("ued_first", "mean of the six, first codebook"),
        *(_ued(f"ued_{name}", change) for name, change in _DESCRIPTIONS.items()),
        _share("shift_agreement", f"{_DESCRIPTIONS['shifted']}, frame by frame"),
        _share("slice_agreement", "the middle half encoded alone and within the clip"),
        _share("slice_agreement_inside", f"the same without {EDGE} s at both edges"),
        *(_share(f"reencode_agreement_{n}", f"encoded again, round {n}") for n in ROUNDS),
        _share("reencode_agreement_first", f"round {ROUNDS[-1]}, first codebook"),
    )

    def observe(self, codec: Codec, reference: Audio, tokens: Tokens) -> dict[str, Any]:
        """The codes of the sound after each change, or the MetricError of a change that fails."""
        observed: dict[str, Any] = {"frame_rate": codec.frame_rate}
        for name, change in (_perturbations.PERTURBATIONS | _perturbations.CHANGES).items():
            try:
                sound = change(reference, _perturbations.generator(reference, name))
                observed[name] = _codes(codec.encode(sound))
            except MetricError as error:
                observed[name] = error
        if not codec.card.byte_stream:
            observed["reencoded"] = {} if codec.card.needs else _reencoded(codec, tokens)
            observed["slice"] = _slice(codec, reference)
        return observed

    def score(self, item: Item) -> dict[str, float | MetricError]:
        if item.observed is None:
            return {}
        observed, codes = item.observed, _codes(item.tokens)
        row: dict[str, float | MetricError] = {}
        distances: dict[str, list[float]] = {}
        for name in _DESCRIPTIONS:
            if isinstance(observed[name], MetricError):
                row[f"ued_{name}"] = observed[name]
            else:
                distances[name] = [ued(a, b) for a, b in zip(codes, observed[name], strict=True)]
                row[f"ued_{name}"] = float(np.mean(distances[name]))
        if missing := [name for name in _perturbations.PERTURBATIONS if name not in distances]:
            row["ued"] = row["ued_first"] = observed[missing[0]]
        else:
            six = np.array([distances[name] for name in _perturbations.PERTURBATIONS])  # (6, K)
            row |= {"ued": float(six.mean()), "ued_first": float(six[:, 0].mean())}
        if observed["frame_rate"] is not None:
            row["shift_agreement"] = agreement(codes, observed["shifted"])
            for count, reencoded in observed["reencoded"].items():
                row[f"reencode_agreement_{count}"] = agreement(codes, reencoded)
            if (last := observed["reencoded"].get(ROUNDS[-1])) is not None:
                row["reencode_agreement_first"] = agreement(codes[:1], last[:1])
            if observed["slice"] is not None:
                row |= _slice_agreement(
                    codes, item.tokens.strides, observed["frame_rate"], observed["slice"]
                )
        return row


def ued(reference: np.ndarray, other: np.ndarray) -> float:
    """Levenshtein distance of codes (C, T) and (C, T'), divided by C T."""
    from rapidfuzz.distance import Levenshtein

    edits = sum(
        Levenshtein.distance(a.tolist(), b.tolist()) for a, b in zip(reference, other, strict=True)
    )
    return edits / reference.size


def agreement(codes: Codes, other_codes: Codes) -> float:
    """Share of equal codes at equal positions, mean over codebooks; the longer one is cut."""
    shares = []
    for a, b in zip(codes, other_codes, strict=False):
        length = min(a.shape[1], b.shape[1])
        shares.append((a[:, :length] == b[:, :length]).mean())
    return float(np.mean(shares))


def _codes(tokens: Tokens) -> Codes:
    if tokens.max_duration > 1:  # frame by frame: segments of two sounds start at other frames
        return [row.numpy() for row in tokens.codes.unbind(1)]
    return [free.numpy() for free in tokens.free_codes]


def _reencoded(codec: Codec, tokens: Tokens) -> dict[int, Codes]:
    """The codes after each of ROUNDS of decoding and encoding, at the codec's own rate."""
    rounds = {}
    for count in range(1, ROUNDS[-1] + 1):
        tokens = codec.encode(codec.decode(tokens))
        if count in ROUNDS:
            rounds[count] = _codes(tokens)
    return rounds


def _slice(codec: Codec, reference: Audio) -> tuple[int, Codes] | None:
    """The first frame of the middle half, and its codes when it is encoded alone; None if it is
    shorter than a frame of each codebook."""
    import math

    from audiotok.sound.audio import Audio

    unit, hop = math.lcm(*codec.card.strides), codec.hop_length
    sound = reference.resample(codec.card.sample_rate_in)
    start = codec.num_frames(sound.num_samples) // 4 // unit * unit
    length = sound.num_samples // hop // 2 // unit * unit
    if length == 0:
        return None
    piece = sound.waveform[:, start * hop : (start + length) * hop]
    return start, _codes(codec.encode(Audio(piece, sound.sample_rate)))


def _slice_agreement(
    codes: Codes, strides: tuple[int, ...], frame_rate: float, observed_slice: tuple[int, Codes]
) -> dict[str, float]:
    start, alone = observed_slice
    within = [
        whole[:, start // stride :][:, : piece.shape[1]]
        for whole, piece, stride in zip(codes, alone, strides, strict=True)
    ]
    row = {"slice_agreement": agreement(within, alone)}
    edges = [round(EDGE * frame_rate / stride) for stride in strides]
    inside = [
        [piece[:, edge : piece.shape[1] - edge] for piece, edge in zip(pieces, edges, strict=True)]
        for pieces in (within, alone)
    ]
    if all(piece.shape[1] for piece in inside[0]):
        row["slice_agreement_inside"] = agreement(*inside)
    return row
