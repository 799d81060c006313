"""token_information: mutual information of single codes with phones and with speakers, in bits.

Mutual information of the code of a frame with the phone at its time, and with the speaker of the
clip. Phones are from forced alignment of the clip's text by pocketsphinx (silence is a phone too).
Divided by the entropy of the phones it is HuBERT's phone-normalised mutual information (PNMI, Hsu
et al. 2021, arXiv 2106.07447, section 3.4); SLMTokBench uses it for codecs.

Estimated from n frames, mutual information is biased upwards, more for larger codebooks. The
estimate for unrelated labels on the same codes is subtracted (chance): phones of the corpus rotated
in time by a random amount, which keeps their durations; speakers permuted among clips. `_share` is
(I - chance) / (H - chance): 0 for codes without information, 1 for codes that determine the label
(adjusted mutual information, Vinh et al. 2010, normalised by the label's entropy). `_pnmi` is the
plain PNMI.

A column is of the first codebook; the other codebooks are in the rows (`phone_share_k1`: the
second). Only clips with a text (for phones) or a speaker count. Byte streams have no frames, so no
phones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotok.errors import AudiotokError
from audiotok.judges.asr import sphinx
from audiotok.tasks import Column, Item, Task

if TYPE_CHECKING:
    import pandas

    from audiotok.codec.codec import Codec
    from audiotok.data import Clip, Corpus
    from audiotok.tokens.tokens import Tokens

SHUFFLES = 20
"""Number of random rotations or permutations of the labels, whose mean is subtracted."""

# {clip: its phones, or the error of its alignment}, for all codecs.
_phones: dict[Clip, list[tuple[str, float]] | AudiotokError] = {}


def _columns(label: str, description: str) -> tuple[Column, ...]:
    first = f"first codebook and {description}"
    return (
        Column(f"{label}_bits", "bit", None, 3, f"mutual information of {first}, less chance"),
        Column(f"{label}_share", "", None, 3, f"(I - chance) / (H - chance) of {first}"),
        Column(f"{label}_pnmi", "", None, 3, f"I / H of {first}, chance not subtracted"),
        Column(f"{label}_frames", "", None, 0, f"codes counted for {description}"),
    )


class TokenInformation(Task):
    """Mutual information of codes with phones and speakers, per clip and for the corpus.

    Nothing is ranked: whether codes should contain the speaker depends on their use, and the share
    of the first codebook grows with its size.
    """

    name = "token_information"
    version = 1
    ranked = ()
    concludes = True
    reconstructs = False

    @property
    def columns(self) -> tuple[Column, ...]:
        phones = _columns("phone", "phone") if sphinx.missing() is None else ()
        return (*phones, *_columns("speaker", "speaker"))

    def left_out(self) -> dict[str, str]:
        if (error := sphinx.missing()) is None:
            return {}
        return {column.name: str(error) for column in _columns("phone", "phone")}

    def score(self, item: Item) -> dict[str, float]:
        return {}

    def conclude(
        self,
        corpus: Corpus,
        tokens: Sequence[Tokens | None] | None,
        note: Callable[[str], None],
        codec: Codec | None = None,
    ) -> dict[int, dict[str, float]]:
        """For each clip the mean over its codes of log2 p(code, label) / (p(code) p(label)), minus
        chance; chance and entropy of the corpus; the number of its codes. If a clip could not be
        aligned, its columns of phones have the error."""
        coded = {i: clip for i, clip in enumerate(tokens or ()) if clip is not None}
        rows: dict[int, dict[str, Any]] = {index: {} for index in coded}
        speakers = {i: corpus.clips[i].speaker for i in coded if corpus.clips[i].speaker}
        _add(rows, coded, speakers, label="speaker", labels_of=_speaker_of_codes, shuffle=_permuted)
        rate = _frame_rate(list(coded.values()))
        if rate is not None and sphinx.missing() is None:
            texts = {i: corpus.clips[i] for i in coded if corpus.clips[i].text}
            phones, failed = _aligned(texts, note)
            columns = [column.name for column in _columns("phone", "phone")]
            for index, error in failed.items():
                rows[index] |= dict.fromkeys(columns, error)
            _add(
                rows,
                coded,
                phones,
                label="phone",
                labels_of=lambda p, t, k: _phones_of_codes(p, t, k, rate),
                shuffle=_rotated,
            )
        return rows

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        return _of_corpus(rows, "phone") | _of_corpus(rows, "speaker")

    def basis(self, column: str) -> str:
        return f"{column.partition('_')[0]}_frames"

    def details(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, Any]:
        """{"phone_share": that of each codebook, ...}."""
        by_codebook: dict[str, list[float]] = {}
        for label in ("phone", "speaker"):
            k = 0
            while values := _of_corpus(rows, label, _suffix(k)):
                for key in ("bits", "share", "pnmi"):
                    by_codebook.setdefault(f"{label}_{key}", []).append(values[f"{label}_{key}"])
                k += 1
        return by_codebook


def information(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """log2 p(code, label) / (p(code) p(label)) of each of n pairs, by their frequencies: (n,).

    Both are integers from 0 on. The mean is the plug-in estimate of mutual information, in bits.
    """
    pairs = codes * (int(labels.max()) + 1) + labels
    counts = [np.bincount(values)[values] for values in (pairs, codes, labels)]
    return np.log2(len(codes) * counts[0] / (counts[1] * counts[2]))


def _add(
    rows: dict[int, dict[str, float]],
    coded: dict[int, Tokens],
    labelled: dict[int, Any],
    *,
    label: str,
    labels_of: Callable[[Any, Tokens, int], np.ndarray],
    shuffle: Callable[[list[np.ndarray], np.random.Generator], np.ndarray],
) -> None:
    """Adds the columns of `label` for the clips in `labelled`; none if there is only one label.

    Args:
        labels_of: (label of a clip, its tokens, codebook) -> the label of each free code.
        shuffle: (labels of the codes of each clip, generator) -> labels unrelated to the codes.
    """
    chosen = [index for index in coded if index in labelled]
    if not chosen:
        return
    for k in range(coded[chosen[0]].num_codebooks):
        clip_codes = [coded[index].free_codes[k].numpy() for index in chosen]
        labels = [
            np.tile(labels_of(labelled[index], coded[index], k), len(codes))
            for index, codes in zip(chosen, clip_codes, strict=True)
        ]
        codes = np.concatenate([c.ravel() for c in clip_codes])
        names, flat = np.unique(np.concatenate(labels), return_inverse=True)
        if len(names) < 2:
            return
        generator = np.random.default_rng(0)
        ends = np.cumsum([c.size for c in clip_codes])[:-1]
        labels = np.split(flat, ends)
        shuffled = (shuffle(labels, generator) for _ in range(SHUFFLES))
        chance = float(np.mean([information(codes, other).mean() for other in shuffled]))
        parts = np.split(information(codes, flat), ends)
        label_entropies = np.split(information(flat, flat), ends)
        for index, part, label_information in zip(chosen, parts, label_entropies, strict=True):
            rows[index] |= {
                f"{label}_bits{_suffix(k)}": float(part.mean()) - chance,
                f"{label}_chance{_suffix(k)}": chance,
                f"{label}_entropy{_suffix(k)}": float(label_information.mean()),
                f"{label}_frames{_suffix(k)}": float(part.size),
            }


def _suffix(k: int) -> str:
    return f"_k{k}" if k else ""


def _of_corpus(rows: pandas.DataFrame, label: str, suffix: str = "") -> dict[str, float]:
    """The columns of the corpus: means of those of the clips, weighted by their codes."""
    names = [f"{label}_{key}{suffix}" for key in ("bits", "chance", "entropy", "frames")]
    if not set(names) <= set(rows.columns):
        return {}
    *values, frames = rows[names].dropna().to_numpy(float).T
    total = frames.sum()
    if not total:
        return {}
    bits, chance, entropy = (float(value @ frames / total) for value in values)
    columns = {f"{label}_bits": bits, f"{label}_frames": float(total)}
    if entropy > chance:
        columns |= {
            f"{label}_share": bits / (entropy - chance),
            f"{label}_pnmi": (bits + chance) / entropy,
        }
    return columns


# --- labels ------------------------------------------------------------------------------------


def _frame_rate(tokens: list[Tokens]) -> float | None:
    """Frames per second, if one rate fits the number of frames of every clip; else None."""
    if not tokens:
        return None
    lowest = max((clip.num_frames - 1) / clip.duration for clip in tokens)
    highest = min(clip.num_frames / clip.duration for clip in tokens)
    return highest if lowest < highest else None


def _speaker_of_codes(speaker: str, tokens: Tokens, k: int) -> np.ndarray:
    return np.repeat(speaker, tokens.free_codes[k].shape[1])


def _phones_of_codes(
    phones: list[tuple[str, float]], tokens: Tokens, k: int, frame_rate: float
) -> np.ndarray:
    """The phone at the middle of the time span of each free code."""
    names, starts = zip(*phones, strict=True)
    starts_of_codes = tokens.free[k].nonzero()[:, 0].numpy()
    lengths = np.full(len(starts_of_codes), tokens.strides[k])
    if k < tokens.merged_codebooks:
        lengths = np.diff(starts_of_codes, append=tokens.num_frames)
    middles = (starts_of_codes + lengths / 2) / frame_rate
    return np.array(names)[np.searchsorted(starts, middles, side="right") - 1]


def _rotated(labels: list[np.ndarray], generator: np.random.Generator) -> np.ndarray:
    """All labels in one sequence, rotated by at least a tenth of its length."""
    flat = np.concatenate(labels)
    return np.roll(flat, generator.integers(len(flat) // 10, len(flat) - len(flat) // 10))


def _permuted(labels: list[np.ndarray], generator: np.random.Generator) -> np.ndarray:
    """The labels of clips, permuted among the clips."""
    order = generator.permutation(len(labels))
    sizes = [len(label) for label in labels]
    return np.concatenate([
        np.full(size, labels[other][0]) for size, other in zip(sizes, order, strict=True)
    ])  # fmt: skip


def _aligned(
    clips: dict[int, Clip], note: Callable[[str], None]
) -> tuple[dict[int, list[tuple[str, float]]], dict[int, AudiotokError]]:
    """The phones of each clip, and the errors of those that cannot be aligned."""
    if any(clip not in _phones for clip in clips.values()):
        note(f"aligning the phones of {len(clips)} clips")
    phones, failed = {}, {}
    for index, clip in clips.items():
        if clip not in _phones:
            try:
                _phones[clip] = sphinx.phones(clip.read(), clip.text)
            except AudiotokError as error:
                _phones[clip] = error
        if isinstance(_phones[clip], AudiotokError):
            failed[index] = _phones[clip]
        elif _phones[clip]:
            phones[index] = _phones[clip]
    return phones, failed
