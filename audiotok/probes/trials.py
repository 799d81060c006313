"""Speaker verification: trials of two clips each, and the equal error rate of their scores."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from audiotok.data import Corpus

MAX_TRIALS = 20_000  # trials, if the corpus has no list


def pairs(corpus: Corpus, clips: tuple[int, ...]) -> list[tuple[int, int]]:
    """The trials of the corpus; else all pairs of `clips`, or, if these are too many, a
    random sample of MAX_TRIALS pairs, half of them of the same speaker if there are enough."""
    if corpus.trials:
        index_of = {clip.id: index for index, clip in enumerate(corpus)}
        return [
            (index_of[a], index_of[b])
            for _, a, b in corpus.trials
            if a in index_of and b in index_of
        ]
    n = len(clips)
    if n * (n - 1) // 2 <= MAX_TRIALS:
        return list(itertools.combinations(clips, 2))
    speakers: dict[str, list[int]] = {}
    for index in clips:
        speakers.setdefault(corpus.clips[index].speaker, []).append(index)
    generator = np.random.default_rng(0)
    same = [pair for own in speakers.values() for pair in itertools.combinations(own, 2)]
    if len(same) > MAX_TRIALS // 2:
        same = [same[i] for i in generator.choice(len(same), MAX_TRIALS // 2, replace=False)]
    different: set[tuple[int, int]] = set()
    while len(different) < MAX_TRIALS // 2:
        a, b = sorted(clips[i] for i in generator.integers(0, n, 2))
        if corpus.clips[a].speaker != corpus.clips[b].speaker:
            different.add((a, b))
    return sorted([*same, *different])


def equal_error_rate(
    scores: np.ndarray, same: np.ndarray, weights: np.ndarray | None = None
) -> float:
    """The error rate at the threshold where false acceptance and false rejection rates are equal.

    Args:
        scores: (N,) of the trials; higher: more similar.
        same: (N,) bool, whether both clips are of one speaker.
        weights: (N,) of each trial; None: 1.

    Both rates are interpolated linearly between thresholds, so that constant scores give 0.5. NaN
    if there are no trials of the same speaker, or none of different speakers.
    """
    weights = np.ones(len(scores)) if weights is None else weights
    order = np.argsort(-scores, kind="stable")
    scores, same, weights = scores[order], same[order], weights[order]
    total = weights[same].sum(), weights[~same].sum()
    if not all(total):
        return float("nan")
    last = np.append(np.diff(scores) != 0, True)  # equal scores are accepted together
    accepted = np.append(0, np.cumsum(weights * ~same)[last] / total[1])
    rejected = np.append(1, 1 - np.cumsum(weights * same)[last] / total[0])
    gap = accepted - rejected  # rises from -1 to 1
    right = int(np.argmax(gap >= 0))
    share = gap[right] / (gap[right] - gap[right - 1])
    return float(accepted[right] - share * (accepted[right] - accepted[right - 1]))
