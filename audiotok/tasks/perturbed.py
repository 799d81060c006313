"""perturbed: how far the set of sounds moves when a share of the codes is wrong.

The perturbed Fréchet distance (pFAD) of RobusTok (Qiu et al. 2025, arXiv 2509.12474), with the MMD
in its place, which has no bias for few clips: a share alpha of the codes is replaced by one of the
32 nearest codewords, as in `robustness`, and the distance of the sounds from the references
(`sets`) is computed; the column is its mean over alpha = 0.1, 0.25 and 0.5, the details have each.
Byte streams and codecs without explicit codewords have no number. Work per clip: 3 decodings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from audiotok.errors import AudiotokError
from audiotok.tasks import Column, Item, _embedded, robustness
from audiotok.tasks.sets import Sets

if TYPE_CHECKING:
    import pandas

    from audiotok.codec.codec import Codec
    from audiotok.sound.audio import Audio
    from audiotok.tokens.tokens import Tokens

ALPHAS = (0.1, 0.25, 0.5)


class Perturbed(Sets):
    """Args: encoder: as for `sets`.

    Nothing is ranked: see `sets`.
    """

    name = "perturbed"
    version = 1
    ranked = ()
    observes = True

    @property
    def columns(self) -> tuple[Column, ...]:
        description = f"unbiased squared MMD, mean over shares of wrong codes; {self.encoder.name}"
        return (Column(self._column("perturbed_mmd"), "", False, 4, description),)

    def observe(self, codec: Codec, reference: Audio, tokens: Tokens) -> dict[float, Audio] | None:
        """{alpha: the sound of the perturbed tokens}."""
        if codec.card.byte_stream:
            return None
        neighbours = [
            robustness.nearest(codec.codewords(k), free.flatten(), robustness.JUDGED_DELTA)
            for k, free in enumerate(tokens.free_codes)
        ]
        return {
            alpha: codec.decode(
                robustness.perturbed(tokens, neighbours, alpha, robustness.JUDGED_DELTA),
                reference.sample_rate,
            )
            for alpha in ALPHAS
        }

    def score(self, item: Item) -> dict[str, float | str | AudiotokError]:
        if item.observed is None or item.reference is None:
            return {}
        reference = self._embedding(item.reference)
        return {
            self._point(alpha): _embedded.text(np.stack([reference, self._embedding(sound)]))
            for alpha, sound in item.observed.items()
        }

    def _point(self, alpha: float) -> str:
        return self._column(f"perturbed_embeddings_a{round(100 * alpha)}")

    def basis(self, column: str) -> str:
        return self._point(ALPHAS[0])

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        distances = [_embedded.squared_mmd(rows, self._point(alpha)) for alpha in ALPHAS]
        if None in distances:
            return {}
        return {self._column("perturbed_mmd"): float(np.mean(distances))}

    def details(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, Any]:
        """[[alpha, distance], ...]."""
        points = [[alpha, _embedded.squared_mmd(rows, self._point(alpha))] for alpha in ALPHAS]
        return {"perturbed_mmd": points} if points[0][1] is not None else {}
