"""robustness: how the sound degrades when a share of the codes is wrong, as in generated speech.

A random share alpha of the free codes is replaced by one of the delta nearest codewords in the same
codebook (Euclidean, itself included), drawn uniformly: the perturbation of RobusTok (Qiu et al.
2025, arXiv 2503.08354 and 2509.12474), which found that quality under this perturbation predicts
the quality of generated sound better than the quality of clean reconstructions. All alphas and
deltas use the same draws: codes that are wrong at alpha = 0.1 are wrong at 0.25 too.

A column is the area under the curve of a metric over alpha from 0 (the reconstruction) to 1, by the
trapezoidal rule: the mean over all shares, in the unit of the metric. All points of the curves are
in the rows (`mel_distance_a25_d32`: alpha 0.25, delta 32), their means in the summary's details.
Speaker similarity and word error rate are computed at delta 32 alone. Byte streams and codecs
without explicit codewords have no numbers. Work per clip: 12 decodings.
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

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas

    from audiotok.codec.codec import Codec
    from audiotok.data import Corpus
    from audiotok.sound.audio import Audio
    from audiotok.tokens.tokens import Tokens

ALPHAS = (0.1, 0.25, 0.5, 1.0)
DELTAS = (8, 32, 100)
JUDGED_DELTA = 32
"""The delta of speaker similarity and word error rate, which take longer."""

_SIGNAL = {"mel_distance": "mel_distance_16k", "stoi": "stoi"}  # name here: column of the metric
_DESCRIPTION = "mean over shares of wrong codes, each one of the {} nearest"


class Robustness(Task):
    """Areas under the curves of mel distance, STOI, speaker similarity and word error rate.

    Ranked: mel distance (any sound) and STOI (speech), at the middle delta. The areas include the
    quality of the clean reconstruction, so that a decoder which ignores its codes does not win. The
    other deltas measure the same again; speaker similarity and word error rate are ranked in their
    own tasks.
    """

    name = "robustness"
    version = 1
    ranked = ("mel_distance_area_32", "stoi_area_32")
    observes = True
    computes = tuple(_SIGNAL)

    def __init__(self):
        self.grammar: str | None = None
        self.non_speech: frozenset[str] = frozenset()  # ids of clips where no speech is expected

    @property
    def columns(self) -> tuple[Column, ...]:
        judged = _DESCRIPTION.format(JUDGED_DELTA)
        columns = [
            Column(f"{name}_area_{delta}", unit, better, 3, f"{name}, {_DESCRIPTION.format(delta)}")
            for name, unit, better in (("mel_distance", "log10", False), ("stoi", "", True))
            for delta in DELTAS
        ]
        columns += [
            Column(
                f"speaker_similarity_area_{JUDGED_DELTA}",
                "",
                True,
                3,
                f"speaker similarity, {judged}",
            ),
            Column(f"{self._wer}_area_{JUDGED_DELTA}", "", False, 3, f"{self._wer}, {judged}"),
        ]
        left_out = self.left_out()
        return tuple(column for column in columns if column.name not in left_out)

    @property
    def _wer(self) -> str:
        return "wer_closed" if self.grammar else "wer"

    def left_out(self) -> dict[str, str]:
        missing = {f"{self._wer}_area_{JUDGED_DELTA}": sphinx.missing()}
        missing[f"speaker_similarity_area_{JUDGED_DELTA}"] = speaker.Speaker().available()
        for delta in DELTAS:
            missing[f"stoi_area_{delta}"] = metrics.get("stoi").missing()
        return {name: str(reason) for name, reason in missing.items() if reason is not None}

    def prepare(self, corpus: Corpus) -> None:
        self.grammar = corpus.grammar
        self.non_speech = frozenset(clip.id for clip in corpus if not corpus.is_speech(clip))

    def observe(self, codec: Codec, reference: Audio, tokens: Tokens) -> dict[Any, Audio] | None:
        """{(alpha, delta): the sound of the perturbed tokens}."""
        if codec.card.byte_stream:
            return None
        neighbours = [
            nearest(codec.codewords(k), free.flatten(), max(DELTAS))
            for k, free in enumerate(tokens.free_codes)
        ]
        return {
            (alpha, delta): codec.decode(
                perturbed(tokens, neighbours, alpha, delta), reference.sample_rate
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
            judge = cache(judge)  # the clean reconstruction is a point of three curves
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
        if item.clip.id in self.non_speech:
            return judges
        judges.append(("stoi", DELTAS, signal("stoi")))

        encoder = speaker.Speaker()

        def similarity(sound: Audio) -> float:
            return float(encoder.embed(item.reference) @ encoder.embed(sound))

        judges.append(("speaker_similarity", (JUDGED_DELTA,), similarity))
        if item.clip.text:

            def errors(sound: Audio) -> float:
                if reason := unfit(sphinx.Sphinx(), item.clip):
                    raise MetricError(reason)
                transcript = _words.transcribe(sphinx.Sphinx(self.grammar), sound)
                rate = _words.rate(item.clip.text, transcript)
                if isinstance(rate, MetricError):
                    raise rate
                return rate

            judges.append((self._wer, (JUDGED_DELTA,), errors))
        return judges

    def details(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, Any]:
        """The curves: {"stoi_d32": [[alpha, mean over clips], ...]}."""
        curves: dict[str, list[list[float]]] = {}
        for name in (*_SIGNAL, "speaker_similarity", self._wer):
            for delta in DELTAS:
                points = [(alpha, rows.get(_point(name, alpha, delta))) for alpha in (0.0, *ALPHAS)]
                curve = [[alpha, float(p.mean())] for alpha, p in points if p is not None]
                if curve:
                    curves[f"{name}_d{delta}"] = curve
        return curves


def _point(name: str, alpha: float, delta: int) -> str:
    return f"{name}_a{round(100 * alpha)}_d{delta}"


def _curve(
    name: str, delta: int, judge: Callable[[Audio], float], sounds: dict[Any, Audio]
) -> dict[str, float | AudiotokError]:
    """The points and the area; if a point fails, its error stands for the area."""
    from scipy.integrate import trapezoid

    alphas = (0.0, *ALPHAS)
    try:
        points = [judge(sounds[alpha, delta]) for alpha in alphas]
    except AudiotokError as error:
        return {f"{name}_area_{delta}": error}
    row = {_point(name, alpha, delta): p for alpha, p in zip(alphas, points, strict=True)}
    return row | {f"{name}_area_{delta}": float(trapezoid(points, alphas))}


def perturbed(tokens: Tokens, neighbours: list[torch.Tensor], alpha: float, delta: int) -> Tokens:
    """The tokens with a share `alpha` of the free codes of each codebook replaced.

    Args:
        neighbours: for each codebook the result of `nearest` for its free codes, flattened; if
            it has fewer than `delta` codewords, all of them are candidates.
    """
    codes = tokens.codes.clone()
    seed = zlib.crc32(tokens.codes.contiguous().numpy())
    for k, (free, candidates) in enumerate(zip(tokens.free_codes, neighbours, strict=True)):
        generator = np.random.default_rng([seed, k])
        order = torch.from_numpy(generator.permutation(free.numel()))
        draw = torch.from_numpy(generator.random(free.numel()))
        chosen = (draw * min(delta, candidates.shape[1])).long()
        replacements = candidates.gather(1, chosen[:, None])[:, 0]
        result = torch.where(order < round(alpha * free.numel()), replacements, free.flatten())
        codes[:, k] = tokens.repeated(k, result.view_as(free))
    return replace(tokens, codes=codes)


def nearest(codewords: torch.Tensor, codes: torch.Tensor, count: int) -> torch.Tensor:
    """The `count` nearest codewords of each of `codes` (N,), itself first: (N, count).

    Euclidean distance, in fp64; at equal distances the lower code comes first.
    """
    unique, inverse = codes.unique(return_inverse=True)
    vectors = codewords.double()
    neighbours = []
    for chunk in unique.split(64):
        distance = torch.cdist(vectors[chunk], vectors, compute_mode="donot_use_mm_for_euclid_dist")
        distance[torch.arange(len(chunk)), chunk] = -1
        neighbours.append(distance.argsort(dim=1, stable=True)[:, :count])
    return torch.cat(neighbours)[inverse]
