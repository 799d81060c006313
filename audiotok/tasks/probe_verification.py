"""probe_verification: speaker verification with embeddings of a head that was trained on the tokens
of other speakers.

The head is trained to classify the training speakers. Trials (see `probes/trials.py`) are scored by
cosines of its embeddings, centred by the mean embedding of the training clips. The interval
resamples clips, not speakers: with few speakers it is too narrow.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from audiotok.probes import PROTOCOL, trials
from audiotok.tasks import Column, _probe

if TYPE_CHECKING:
    import pandas

    from audiotok.data import Corpus
    from audiotok.probes.features import Inputs
    from audiotok.probes.splits import Split

TRIALS = "probe_trial_scores"
"""Text in a row: trials of this clip with later ones, [id, same speaker, a cosine per seed]."""


class ProbeVerification(_probe.Probe):
    """Equal error rate of a head's embeddings. Ranked: its mean over seeds, see `_probe.Probe`."""

    name = "probe_verification"
    version = _probe.VERSION
    stem = "probe_eer"
    ranked = ("probe_eer",)
    columns = (
        *_probe.columns("probe_eer", False, "equal error rate of speaker verification"),
        Column("probe_trials", "", None, 0, "trials in which a clip occurs"),
    )

    def split(self, corpus: Corpus) -> Split:
        from audiotok.probes import splits

        return splits.by_speaker(corpus)

    def run(
        self, corpus: Corpus, inputs: Inputs, split: Split, seed: int
    ) -> tuple[_probe.Rows, bool]:
        from audiotok.probes import training

        speakers = [clip.speaker for clip in corpus]
        with training.repeatable(seed):
            fitted = _probe.train_classes(inputs, split, speakers, seed)
            trained, tested = (
                {i: x.numpy() for i, x in training.apply(fitted.head.embed, inputs, part)}
                for part in (split.train, split.test)
            )
        centre = np.mean(list(trained.values()), axis=0, dtype=np.float64)
        units = {index: _unit(x, centre) for index, x in tested.items()}
        rows: _probe.Rows = {}
        for a, b in trials.pairs(corpus, split.test):
            if a in units and b in units:
                for index in (a, b):
                    row = rows.setdefault(index, {"probe_trials": 0.0, f"cosines_{seed}": {}})
                    row["probe_trials"] += 1
                rows[a][f"cosines_{seed}"][b] = round(float(units[a] @ units[b]), 6)
        return rows, fitted.diverged

    def conclude(self, corpus, tokens, note, codec=None):
        rows = super().conclude(corpus, tokens, note, codec)
        clips = corpus.clips
        for index, row in rows.items():
            first, *other_seeds = (row.pop(f"cosines_{seed}") for seed in PROTOCOL.seeds)
            if first:
                row[TRIALS] = json.dumps([
                    [clips[b].id, clips[b].speaker == clips[index].speaker, cosine]
                    + [other[b] for other in other_seeds]
                    for b, cosine in first.items()
                ])  # fmt: skip
        return rows

    def basis(self, column: str) -> str:
        """The clips in trials: an equal error rate has no values of clips."""
        return column if column.endswith("_diverged") else "probe_trials"

    def numbers(self, rows: pandas.DataFrame) -> dict[str, float]:
        if TRIALS not in rows:
            return {}
        counts = Counter(rows.get("clip", rows.index))
        parts = [_parsed(text) for text in rows[TRIALS] if isinstance(text, str)]
        if not parts:
            return {}
        other_clips, same, scores = (np.concatenate([part[i] for part in parts]) for i in range(3))
        # a clip drawn n times has n rows; the other clip of a trial is weighted by its draws
        weights = np.array([counts[other] for other in other_clips])
        rates = [trials.equal_error_rate(column, same, weights) for column in scores.T]
        if np.isnan(rates).any():
            return {}
        names = [self.stem, *self._seeds]
        return dict(zip(names, [float(np.mean(rates)), *rates], strict=True))


def _unit(embedding: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """The direction from `centre`; zeros if the distance is no more than rounding, so that
    embeddings of codes without information are not separated by rounding errors."""
    difference = embedding - centre
    size = np.linalg.norm(difference)
    if size <= 1e-4 * np.linalg.norm(centre):
        return np.zeros_like(difference)
    return difference / size


@lru_cache(maxsize=10_000)
def _parsed(text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Other clips (N,), same speaker (N,), cosines (N, seeds)."""
    parsed = json.loads(text)
    other_clips, same = ([trial[field] for trial in parsed] for field in range(2))
    return np.array(other_clips, dtype=object), np.array(same), np.array([t[2:] for t in parsed])
