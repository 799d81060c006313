"""Centroids of units, learned on a corpus by scikit-learn's mini-batch k-means: `fit_units`.

Every clip goes through the network once; of its frames a random sample is kept in memory, and
k-means runs over that. The settings of k-means are those of HuBERT's authors (batches of 10000, no
reassignment), with the number of passes given instead of a tolerance.
"""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

import audiotok
from audiotok import data
from audiotok.codec import checkpoints, registry
from audiotok.codec.batches import prepare
from audiotok.codec.card import CodecCard
from audiotok.codec.devices import find_device
from audiotok.codec.inference import inference
from audiotok.codec.variants import text_of
from audiotok.codecs import _centroids, _speech_encoder
from audiotok.codecs.units import LAYERS, Units
from audiotok.data import Corpus
from audiotok.errors import AudiotokError, CodecError, CorpusError
from audiotok.system import progress
from audiotok.system.memory import free_memory

BATCH = 10_000  # frames of a step of k-means
CHUNK = 30  # seconds of sound in one forward of the network
FRAMES, PASSES = 200_000, 20


def fit_units(
    name: str,
    corpus: str | Path | Corpus,
    out: str | Path,
    *,
    checkpoint: str | Path | None = None,
    frames: int = FRAMES,
    passes: int = PASSES,
    limit: int | None = None,
    seed: int = 0,
    device: str = "auto",
) -> dict[str, Any]:
    """Learns the centroids of units, and writes them as a file that `audiotok.load` opens.

    Args:
        name: with the number of centroids and the layers: "units:hubert:k=500,layer=9".
        corpus: "bundled", a folder, a manifest, the name of a corpus, or a loaded corpus.
        out: .safetensors file, replaced completely or not at all.
        checkpoint: folder or file with the weights of the network and its config.json; None:
            those of the name.
        frames: largest number of frames to keep in memory, a random sample of all; of each layer.
        passes: number of passes of k-means over them.
        limit: use only the first clips, this many.
        seed: of the sample and of k-means.

    Returns:
        The content of `fitted_on` in the file: corpus, clips, seconds, frames, mean squared
        distance to the centroids of each layer, versions.

    Raises:
        CodecError: the name is not one of units.
        CorpusError: the corpus has fewer frames than centroids.
        CheckpointError: weights that do not fit, or a file that cannot be written.
    """
    for option, value in ("frames", frames), ("passes", passes), ("limit", limit):
        if value is not None and value < 1:
            raise AudiotokError(f"{option} is {value}: expected 1 or more")
    family, card = registry.find(name)
    if family is not Units or "@" in card.name:
        available = " or ".join(card.name for card in Units.CARDS)
        raise CodecError(f"centroids are fitted for {available}, with options, not for {card.name}")
    size, layers = card.codebook_sizes[0], card.options.get("layer", LAYERS[card.base_name])
    if not isinstance(corpus, Corpus):
        corpus = data.load(corpus, limit=limit)
    network = Units.network_of(card)
    weights = checkpoints.resolve(network, checkpoint)
    encoder = _speech_encoder.read(weights, network.name.partition(":")[2], card.name)
    digest = checkpoints.network_sha256(encoder)
    states = _speech_encoder.HiddenStates(encoder, layers).to(find_device(device)).eval()
    rows, seconds, total = _sample_frames(states, corpus, network, frames=frames, seed=seed)
    if rows.shape[1] < size:
        raise CorpusError(
            f"{corpus.name} has {rows.shape[1]} frames, fewer than {size} centroids: give more "
            "sound, or a smaller k"
        )
    kmeans = _KMeans(len(layers), passes)
    centroids, distances = zip(*(kmeans.fit(part, size, seed) for part in rows), strict=True)
    fitted_on = {
        "corpus": corpus.name,
        "corpus_sha256": corpus.sha256,
        "clips": len(corpus),
        "seconds": round(seconds, 3),
        "frames": int(rows.shape[1]),
        "frames_of_the_corpus": total,
        "passes": passes,
        "seed": seed,
        "mean_squared_distance": [round(distance, 6) for distance in distances],
        "audiotok": audiotok.__version__,
        "scikit-learn": version("scikit-learn"),
    }
    metadata = {
        "family": card.family,
        "name": network.name,
        "layers": text_of(layers),
        "k": str(size),
        "hop_length": str(states.hop_length),
        "network_sha256": digest,
        "training_data": json.dumps([*card.training_data, corpus.name]),
        "fitted_on": json.dumps(fitted_on),
    }
    _centroids.write(Path(out), torch.from_numpy(np.stack(centroids)), metadata)
    return fitted_on


def _sample_frames(
    states: _speech_encoder.HiddenStates,
    corpus: Corpus,
    card: CodecCard,
    *,
    frames: int,
    seed: int,
) -> tuple[np.ndarray, float, int]:
    """Hidden states (K, N, D) of a random sample of N frames, seconds of sound, and all frames.

    Reservoir sampling: every frame is in the sample with equal probability.
    """
    generator = np.random.default_rng(seed)
    device = next(states.parameters()).device
    bytes_needed = 4 * 2.5 * frames * len(states.layers) * states.encoder.config.hidden_size
    if bytes_needed > free_memory():
        raise AudiotokError(
            f"{frames} frames of {len(states.layers)} layer(s) need {bytes_needed / 1e9:.1f} GB of "
            "memory: give fewer frames, or fewer layers"
        )
    reservoir: list[np.ndarray] = []
    keys: list[np.ndarray] = []  # the frames with the smallest random keys are the sample
    count, seconds, total = 0, 0.0, 0

    def reduce_reservoir() -> None:
        rows, order = np.concatenate(reservoir, 1), np.concatenate(keys)
        chosen = (
            np.sort(np.argpartition(order, frames - 1)[:frames]) if len(order) > frames else ...
        )
        reservoir[:], keys[:] = [rows[:, chosen]], [order[chosen]]

    for number, clip in enumerate(corpus):
        waveform = prepare(clip.read(), card).waveform[:1]  # (1, 1, L)
        seconds += waveform.shape[-1] / card.sample_rate_in
        for chunk in waveform.split(CHUNK * card.sample_rate_in, -1):
            with inference(states, device):
                latents = states(chunk.to(device))[0].float().cpu()
            rows = latents.unflatten(0, (len(states.layers), -1)).mT.numpy()
            if not np.isfinite(rows).all():
                raise CodecError(f"the network gives {clip.id} hidden states that are not finite")
            reservoir.append(rows)
            keys.append(generator.random(rows.shape[1]))
            count += rows.shape[1]
            total += rows.shape[1]
            if count > 1.5 * frames:
                reduce_reservoir()
                count = reservoir[0].shape[1]
        progress.report(number + 1, len(corpus))
    reduce_reservoir()
    return reservoir[0], seconds, total


class _KMeans:
    """K-means of several layers, with one progress count."""

    def __init__(self, layers: int, passes: int):
        self.passes, self.total, self.done = passes, layers * passes, 0

    def fit(self, rows: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, float]:
        """Centroids (V, D) float32 of rows (N, D), and their mean squared distance to the rows."""
        from sklearn.cluster import MiniBatchKMeans

        batch = max(BATCH, 3 * size)
        kmeans = MiniBatchKMeans(
            size, batch_size=batch, n_init=1, reassignment_ratio=0.0, random_state=seed
        )
        generator = np.random.default_rng(seed)
        for _ in range(self.passes):
            order = generator.permutation(len(rows))
            for start in range(0, len(rows), batch):
                kmeans.partial_fit(rows[order[start : start + batch]])
            self.done += 1
            progress.report(self.done, self.total)
        distance = -kmeans.score(rows) / len(rows)
        return kmeans.cluster_centers_.astype(np.float32), float(distance)
