"""sets: how far the set of all reconstructions is from the set of all references.

Distances of embeddings (`audiotok.metrics.sets`) by one encoder: `sets` is Whisper base,
`sets:resemblyzer` compares voices alone, `sets:laion/clap-htsat-unfused`,
`sets:microsoft/wavlm-base-plus` and any other encoder of transformers need weights on this machine.
Numbers of two encoders cannot be compared, and random weights give meaningless numbers: the name of
the column names the encoder.

- `mmd`: squared maximum mean discrepancy, unbiased for any number of clips. The two sounds of a
  clip are never compared with each other, so the reference has distance 0 and chance values are
  slightly above or below 0.
- `frechet`: Fréchet distance (FAD). It is too high for few clips. The details hold
  `frechet_halves`, the distance of two random halves of the references, which shows this bias, and
  `frechet_limit`, the distance extrapolated to infinitely large sets, if there are four times as
  many clips as dimensions.
- `embedding_cosine`: mean cosine of the two embeddings of a clip; its n is that of the distances.

The embeddings are stored in the rows as text (base64 of float16).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotok.errors import AudiotokError, MetricError
from audiotok.judges import embeddings
from audiotok.judges.pretrained import slug
from audiotok.metrics.sets import frechet
from audiotok.tasks import Column, Item, Task, _embedded

if TYPE_CHECKING:
    import pandas

    from audiotok.sound.audio import Audio
    from audiotok.tokens.tokens import Tokens

DEFAULT = "whisper-base"


class Sets(Task):
    """Args: encoder: as for `audiotok.judges.embeddings.get`.

    Nothing is ranked: the distances depend on the encoder, and a set of clips has few degrees of
    freedom. They say what metrics of pairs cannot: whether a change is systematic.
    """

    name = "sets"
    version = 1
    ranked = ()
    option = "resemblyzer, whisper-SIZE, a name on the Hub, a folder"

    def __init__(self, encoder: str = DEFAULT):
        self.encoder = embeddings.get(encoder)
        label = encoder
        if Path(encoder).is_dir():
            label = f"{Path(encoder).resolve().name}@{self.encoder.identity['weights'][:8]}"
        self.suffix = "" if label == DEFAULT else slug(label)
        if self.suffix:
            self.name = f"{type(self).name}:{label}"

    @property
    def identity(self) -> dict[str, str]:
        return self.encoder.identity

    @property
    def columns(self) -> tuple[Column, ...]:
        name = self.encoder.name
        return (
            Column(self._column("mmd"), "", False, 4, f"unbiased squared MMD; {name}"),
            Column(self._column("frechet"), "", False, 3, f"Fréchet distance, biased; {name}"),
            Column(
                self._column("embedding_cosine"), "", True, 4,
                f"cosine of reference and reconstruction; {name}",
            ),
        )  # fmt: skip

    def _column(self, name: str) -> str:
        return name + self.suffix

    def available(self) -> str | None:
        return None if (error := self.encoder.missing()) is None else str(error)

    def score(self, item: Item) -> dict[str, float | str | AudiotokError]:
        if item.reference is None:
            return {}
        pair = [self._embedding(sound) for sound in (item.reference, item.reconstruction)]
        norms = [float(np.linalg.norm(embedding)) for embedding in pair]
        if not all(norms):
            raise MetricError("the embedding of this clip is 0")
        return {
            self._column("embedding_cosine"): float(pair[0] @ pair[1]) / (norms[0] * norms[1]),
            self._column("embeddings"): _embedded.text(np.stack(pair)),
        }

    def _embedding(self, sound: Audio) -> np.ndarray:
        return self.encoder.embed(sound).astype(np.float64)

    def basis(self, column: str) -> str:
        return self._column("embedding_cosine")

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        """The distances of all clips. In a resample, a clip is not compared with its copies, and
        there is no Fréchet distance, whose bias depends on the number of different clips."""
        embeddings = _embedded.sets(rows, self._column("embeddings"))
        if embeddings is None:
            return {}
        reference, reconstruction, weights = embeddings
        squared = _embedded.squared_mmd(rows, self._column("embeddings"))
        if squared is None:
            return {}
        distances = {self._column("mmd"): squared}
        if (weights == 1).all():
            distances[self._column("frechet")] = frechet.distance(reference, reconstruction)
        return distances

    def details(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, Any]:
        """Clips, dimensions, and the bias of the Fréchet distance, shown and removed."""
        embeddings = _embedded.sets(rows, self._column("embeddings"))
        if embeddings is None or len(embeddings[0]) < 4:
            return {}
        reference, reconstruction, _ = embeddings
        details = {"clips": len(reference), "dimensions": reference.shape[1]}
        details["frechet_halves"] = frechet.halves(reference)
        try:
            details["frechet_limit"] = frechet.limit(reference, reconstruction, paired=True)
        except MetricError as reason:
            details["frechet_limit_missing"] = str(reason)
        return details
