"""robustness: how the sound suffers if some codes are wrong, like those of a language model.

A share alpha of the codes, drawn at random, is replaced: each by one of the delta codewords of its
codebook that are nearest to it (Euclidean distance, itself included), all equally probable. This is
the perturbation of RobusTok (Qiu et al. 2025, arXiv 2503.08354 and 2509.12474), which found that
the quality after it predicts the quality of generated sound better than clean reconstructions do.
The same random draws are used for every alpha and delta.

A column is the area under the curve of a metric over alpha from 0 (the reconstruction) to 1, by the
trapezoidal rule: the mean over all shares, in the unit of the metric. All points of the curves are
in the rows (`mel_distance_a25_d32`: alpha 0.25, delta 32), their means in the details of the
summary. Speaker similarity and WER are computed for delta 32 only. Byte streams and codebooks
without known vectors have no numbers. Work per clip: 12 decodings.
"""

from __future__ import annotations

import zlib
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from audiotok import metrics
from audiotok.errors import AudiotokError, MetricError
from audiotok.judges.asr import sphinx, unfit
from audiotok.tasks import Column, Item, Task, _words, speaker
from audiotok.tokens import atok

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas

    from audiotok.codec.codec import Codec
    from audiotok.data import Corpus
    from audiotok.sound.audio import Audio
    from audiotok.tokens.tokens import Tokens

ALPHAS = (0.1, 0.25, 0.5, 1.0)
DELTAS = (8, 32, 100)
HEARD = 32
"""The delta at which speaker and words are judged, which take longer."""

_SIGNAL = {"mel_distance": "mel_distance_16k", "stoi": "stoi"}  # ours: column of the metric
_WHAT = "mean over shares of wrong codes, each one of the {} nearest"


class Robustness(Task):
    """Areas under the curves of mel distance, STOI, speaker similarity and word error rate.

    Ranked: mel distance (any sound) and STOI (speech), at the middle delta. The areas begin with
    the quality of the clean reconstruction, so that a decoder which ignores its codes does not win;
    the other deltas repeat them, and speaker and words are ranked in tasks of their own.
    """

    name = "robustness"
    version = 1
    ranked = ("mel_distance_area_32", "stoi_area_32")
    observes = True
    computes = tuple(_SIGNAL)

    def __init__(self):
        self.grammar: str | None = None
        self.silent: frozenset[str] = frozenset()  # ids of clips where no speech is expected

    @property
    def columns(self) -> tuple[Column, ...]:
        heard = _WHAT.format(HEARD)
        columns = [
            Column(f"{name}_area_{delta}", unit, better, 3, f"{name}, {_WHAT.format(delta)}")
            for name, unit, better in (("mel_distance", "log10", False), ("stoi", "", True))
            for delta in DELTAS
        ]
        columns += [
            Column(f"speaker_similarity_area_{HEARD}", "", True, 3, f"speaker similarity, {heard}"),
            Column(f"{self._wer}_area_{HEARD}", "", False, 3, f"{self._wer}, {heard}"),
        ]
        left_out = self.left_out()
        return tuple(column for column in columns if column.name not in left_out)

    @property
    def _wer(self) -> str:
        return "wer_closed" if self.grammar else "wer"

    def left_out(self) -> dict[str, str]:
        missing = {f"{self._wer}_area_{HEARD}": sphinx.missing()}
        missing[f"speaker_similarity_area_{HEARD}"] = speaker.Speaker().available()
        for delta in DELTAS:
            missing[f"stoi_area_{delta}"] = metrics.get("stoi").missing()
        return {name: str(why) for name, why in missing.items() if why is not None}

    def prepare(self, corpus: Corpus) -> None:
        self.grammar = corpus.grammar
        self.silent = frozenset(clip.id for clip in corpus if not corpus.is_speech(clip))

    def observe(self, codec: Codec, reference: Audio, tokens: Tokens) -> dict[Any, Audio] | None:
        """{(alpha, delta): the sound of tokens that are wrong so often and so far}."""
        if codec.card.byte_stream:
            return None
        near = [
            nearest(codec.codewords(k), free.flatten(), max(DELTAS))
            for k, free in enumerate(tokens.free_codes)
        ]
        return {
            (alpha, delta): codec.decode(
                perturbed(tokens, near, alpha, delta), reference.sample_rate
            )
            for delta in DELTAS
            for alpha in ALPHAS
        }

    def score(self, item: Item) -> dict[str, float | AudiotokError]:
        if item.observed is None:
            return {}
        sounds = {(0.0, delta): item.reconstruction for delta in DELTAS} | item.observed
        row: dict[str, float | AudiotokError] = {}
        left_out = self.left_out()
        for name, deltas, judge in self._judges(item):
            judge = cache(judge)  # the reconstruction is a point of three curves
            for delta in deltas:
                if f"{name}_area_{delta}" not in left_out:
                    row |= _curve(name, delta, judge, sounds)
        return row

    def _judges(self, item: Item) -> list[tuple[str, tuple[int, ...], Callable[[Audio], float]]]:
        """Name, deltas and function of each metric that applies to this clip."""

        def signal(name: str) -> Callable[[Audio], float]:
            column, metric = _SIGNAL[name], metrics.get(name)

            def judge(sound: Audio) -> float:
                value = metrics.measure([metric], *metrics.pair(item.reference, sound))[column]
                if isinstance(value, MetricError):
                    raise value
                return value

            return judge

        judges = [("mel_distance", DELTAS, signal("mel_distance"))]
        if item.clip.id in self.silent:
            return judges
        judges.append(("stoi", DELTAS, signal("stoi")))

        voices = speaker.Speaker()

        def similarity(sound: Audio) -> float:
            return float(voices.embed(item.reference) @ voices.embed(sound))

        judges.append(("speaker_similarity", (HEARD,), similarity))
        if item.clip.text:

            def errors(sound: Audio) -> float:
                if reason := unfit(sphinx.Sphinx(), item.clip):
                    raise MetricError(reason)
                heard = _words.hear(sphinx.Sphinx(self.grammar), sound)
                rate = _words.rate(item.clip.text, heard)
                if isinstance(rate, MetricError):
                    raise rate
                return rate

            judges.append((self._wer, (HEARD,), errors))
        return judges

    def details(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, Any]:
        """The curves: {"stoi_d32": [[alpha, mean over clips], ...]}."""
        curves: dict[str, list[list[float]]] = {}
        for name in (*_SIGNAL, "speaker_similarity", self._wer):
            for delta in DELTAS:
                points = [(alpha, rows.get(_point(name, alpha, delta))) for alpha in (0.0, *ALPHAS)]
                known = [[alpha, float(p.mean())] for alpha, p in points if p is not None]
                if known:
                    curves[f"{name}_d{delta}"] = known
        return curves


def _point(name: str, alpha: float, delta: int) -> str:
    return f"{name}_a{round(100 * alpha)}_d{delta}"


def _curve(
    name: str, delta: int, judge: Callable[[Audio], float], sounds: dict[Any, Audio]
) -> dict[str, float | AudiotokError]:
    """The points and the area; without an area where a point has no value."""
    from scipy.integrate import trapezoid

    alphas = (0.0, *ALPHAS)
    try:
        points = [judge(sounds[alpha, delta]) for alpha in alphas]
    except AudiotokError as error:
        return {f"{name}_area_{delta}": error}
    row = {_point(name, alpha, delta): p for alpha, p in zip(alphas, points, strict=True)}
    return row | {f"{name}_area_{delta}": float(trapezoid(points, alphas))}


def perturbed(tokens: Tokens, near: list[torch.Tensor], alpha: float, delta: int) -> Tokens:
    """The tokens with a share `alpha` of the free codes of each codebook replaced.

    Args:
        near: of each codebook what `nearest` says of its free codes, in one row; where there are
            fewer than `delta`, any of them may come.
    """
    codes = tokens.codes.clone()
    seed = zlib.crc32(tokens.codes.contiguous().numpy())
    for k, (free, others) in enumerate(zip(tokens.free_codes, near, strict=True)):
        generator = np.random.default_rng([seed, k])
        order = torch.from_numpy(generator.permutation(free.numel()))
        draw = torch.from_numpy(generator.random(free.numel()))
        chosen = (draw * min(delta, others.shape[1])).long()
        other = others.gather(1, chosen[:, None])[:, 0]
        found = torch.where(order < round(alpha * free.numel()), other, free.flatten())
        codes[:, k] = atok.repeat(found.view_as(free), tokens.strides[k], tokens.num_frames)
    return replace(tokens, codes=codes)


def nearest(codewords: torch.Tensor, codes: torch.Tensor, count: int) -> torch.Tensor:
    """Of each of `codes` (N,) the `count` codewords nearest to its own, itself first: (N, count).

    Euclidean distance, in fp64; at equal distances the lower code comes first.
    """
    each, place = codes.unique(return_inverse=True)
    vectors = codewords.double()
    found = []
    for chunk in each.split(64):
        distance = torch.cdist(vectors[chunk], vectors, compute_mode="donot_use_mm_for_euclid_dist")
        distance[torch.arange(len(chunk)), chunk] = -1
        found.append(distance.argsort(dim=1, stable=True)[:, :count])
    return torch.cat(found)[place]
