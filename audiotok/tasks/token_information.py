"""token_information: what single codes tell about phones and about the speaker, in bits.

Mutual information between the code of a frame and the phone at that time, and between the code and
the speaker of the clip. Phones come from a forced alignment of the text by pocketsphinx; silence
counts as a phone. The information divided by the entropy of the phones is the phone-normalised
mutual information (PNMI) of HuBERT (Hsu et al. 2021, arXiv 2106.07447, section 3.4).

Mutual information that is estimated from n frames is too high, more so for larger codebooks.
Therefore the same estimate for labels without any relation to the codes is subtracted: the phones
of the corpus rotated in time by a random amount, which keeps their durations, and the speakers
permuted among clips. `_share` is (I - chance) / (H - chance): 0 for codes without information about
the label, 1 for codes that determine it (adjusted mutual information, Vinh et al. 2010, normalised
by the entropy of the label). The plain PNMI is in a column of its own.

A column is about the first codebook; the others are in the rows (`phone_share_k1`: the second).
Only clips with a text, or with a speaker, count. Byte streams have no frames, so they have no
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

TURNS = 20
"""Times that labels are turned or drawn anew, of which the mean is subtracted."""

# Of each clip, for all codecs: its phones, or why it could not be aligned.
_phones: dict[Clip, list[tuple[str, float]] | AudiotokError] = {}


def _columns(label: str, what: str) -> tuple[Column, ...]:
    first = f"first codebook and {what}"
    return (
        Column(f"{label}_bits", "bit", None, 3, f"mutual information of {first}, less chance"),
        Column(f"{label}_share", "", None, 3, f"(I - chance) / (H - chance) of {first}"),
        Column(f"{label}_pnmi", "", None, 3, f"I / H of {first}, chance not subtracted"),
        Column(f"{label}_frames", "", None, 0, f"codes counted for {what}"),
    )


class TokenInformation(Task):
    """What codes say of phones and speakers; the part of each clip in it, and the whole.

    Nothing is ranked: whether codes should tell the speaker depends on their use, and a share of
    what the first codebook tells grows with its size.
    """

    name = "token_information"
    version = 1
    ranked = ()
    concludes = True

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
        """Of each clip the mean over its codes of log2 p(code, label) / (p(code) p(label)), less
        chance; the chance and entropy of the whole; the number of its codes. The columns of phones
        hold the error where a clip could not be aligned."""
        coded = {i: one for i, one in enumerate(tokens or ()) if one is not None}
        found: dict[int, dict[str, Any]] = {index: {} for index in coded}
        speakers = {i: corpus.clips[i].speaker for i in coded if corpus.clips[i].speaker}
        _add(found, coded, speakers, label="speaker", spread=_of_clip, unrelated=_drawn_anew)
        rate = _frame_rate(list(coded.values()))
        if rate is not None and sphinx.missing() is None:
            texts = {i: corpus.clips[i] for i in coded if corpus.clips[i].text}
            phones, failed = _aligned(texts, note)
            columns = [column.name for column in _columns("phone", "phone")]
            for index, error in failed.items():
                found[index] |= dict.fromkeys(columns, error)
            _add(
                found,
                coded,
                phones,
                label="phone",
                spread=lambda p, t, k: _at(p, t, k, rate),
                unrelated=_turned,
            )
        return found

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        return _whole(rows, "phone") | _whole(rows, "speaker")

    def basis(self, column: str) -> str:
        return f"{column.partition('_')[0]}_frames"

    def details(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, Any]:
        """{"phone_share": that of each codebook, ...}."""
        found: dict[str, list[float]] = {}
        for label in ("phone", "speaker"):
            k = 0
            while whole := _whole(rows, label, _suffix(k)):
                for key in ("bits", "share", "pnmi"):
                    found.setdefault(f"{label}_{key}", []).append(whole[f"{label}_{key}"])
                k += 1
        return found


def information(codes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Of each of n pairs log2 p(code, label) / (p(code) p(label)), by their frequencies: (n,).

    Both are numbers from 0 on. The mean is the mutual information in bits, as counted.
    """
    both = codes * (int(labels.max()) + 1) + labels
    times = [np.bincount(values)[values] for values in (both, codes, labels)]
    return np.log2(len(codes) * times[0] / (times[1] * times[2]))


def _add(
    found: dict[int, dict[str, float]],
    coded: dict[int, Tokens],
    known: dict[int, Any],
    *,
    label: str,
    spread: Callable[[Any, Tokens, int], np.ndarray],
    unrelated: Callable[[list[np.ndarray], np.random.Generator], np.ndarray],
) -> None:
    """Adds the columns of `label` for the clips in `known`; nothing where one label is all."""
    chosen = [index for index in coded if index in known]
    if not chosen:
        return
    for k in range(coded[chosen[0]].num_codebooks):
        each = [coded[index].free_codes[k].numpy() for index in chosen]
        labels = [
            np.tile(spread(known[index], coded[index], k), len(codes))
            for index, codes in zip(chosen, each, strict=True)
        ]
        codes = np.concatenate([c.ravel() for c in each])
        names, flat = np.unique(np.concatenate(labels), return_inverse=True)
        if len(names) < 2:
            return
        generator = np.random.default_rng(0)
        ends = np.cumsum([c.size for c in each])[:-1]
        labels = np.split(flat, ends)
        others = (unrelated(labels, generator) for _ in range(TURNS))
        chance = float(np.mean([information(codes, other).mean() for other in others]))
        parts = np.split(information(codes, flat), ends)
        surprise = np.split(information(flat, flat), ends)
        for index, part, own in zip(chosen, parts, surprise, strict=True):
            found[index] |= {
                f"{label}_bits{_suffix(k)}": float(part.mean()) - chance,
                f"{label}_chance{_suffix(k)}": chance,
                f"{label}_entropy{_suffix(k)}": float(own.mean()),
                f"{label}_frames{_suffix(k)}": float(part.size),
            }


def _suffix(k: int) -> str:
    return f"_k{k}" if k else ""


def _whole(rows: pandas.DataFrame, label: str, suffix: str = "") -> dict[str, float]:
    """The columns of the corpus from those of its clips, each counting as its codes."""
    names = [f"{label}_{key}{suffix}" for key in ("bits", "chance", "entropy", "frames")]
    if not set(names) <= set(rows.columns):
        return {}
    *values, frames = rows[names].dropna().to_numpy(float).T
    total = frames.sum()
    if not total:
        return {}
    bits, chance, entropy = (float(value @ frames / total) for value in values)
    whole = {f"{label}_bits": bits, f"{label}_frames": float(total)}
    if entropy > chance:
        whole |= {
            f"{label}_share": bits / (entropy - chance),
            f"{label}_pnmi": (bits + chance) / entropy,
        }
    return whole


# --- labels ------------------------------------------------------------------------------------


def _frame_rate(tokens: list[Tokens]) -> float | None:
    """Frames per second, if one rate explains the number of frames of every clip."""
    if not tokens:
        return None
    lowest = max((one.num_frames - 1) / one.duration for one in tokens)
    highest = min(one.num_frames / one.duration for one in tokens)
    return highest if lowest < highest else None


def _of_clip(speaker: str, tokens: Tokens, k: int) -> np.ndarray:
    return np.repeat(speaker, tokens.free_codes[k].shape[1])


def _at(phones: list[tuple[str, float]], tokens: Tokens, k: int, frame_rate: float) -> np.ndarray:
    """The phone in the middle of what each free code stands for."""
    names, starts = zip(*phones, strict=True)
    stride, count = tokens.strides[k], tokens.free_codes[k].shape[1]
    middles = (np.arange(count) + 0.5) * stride / frame_rate
    return np.array(names)[np.searchsorted(starts, middles, side="right") - 1]


def _turned(labels: list[np.ndarray], generator: np.random.Generator) -> np.ndarray:
    """All labels one after the other, turned round by at least a tenth of them."""
    flat = np.concatenate(labels)
    return np.roll(flat, generator.integers(len(flat) // 10, len(flat) - len(flat) // 10))


def _drawn_anew(labels: list[np.ndarray], generator: np.random.Generator) -> np.ndarray:
    """The labels of clips exchanged among them."""
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
        note(f"aligns the phones of {len(clips)} clips")
    found, failed = {}, {}
    for index, clip in clips.items():
        if clip not in _phones:
            try:
                _phones[clip] = sphinx.phones(clip.read(), clip.text)
            except AudiotokError as error:
                _phones[clip] = error
        if isinstance(_phones[clip], AudiotokError):
            failed[index] = _phones[clip]
        elif _phones[clip]:
            found[index] = _phones[clip]
    return found, failed
