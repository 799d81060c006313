"""tags: whether a classifier of sounds predicts the same classes for the reconstruction.

`tags` is AST on the 527 classes of AudioSet, `tags:org/name` or `tags:path/of/folder` another audio
classifier of transformers whose weights are on this machine.

- `tag_kld`: Kullback-Leibler divergence from the class posteriors of the reference to those of the
  reconstruction (`audiotok.metrics.sets.kld`), 0 if they are equal;
- `tag_kept`: share of clips whose most likely class stays the same.
"""

from __future__ import annotations

import numpy as np

from audiotok.errors import AudiotokError
from audiotok.judges.embeddings.tagger import Tagger
from audiotok.judges.pretrained import slug
from audiotok.metrics.sets import kld
from audiotok.tasks import Column, Item, Task


class Tags(Task):
    """Args: model: of the classifier.

    Ranked: the divergence. The share of unchanged classes measures the same, more coarsely.
    """

    name = "tags"
    version = 1
    ranked = ("tag_kld",)
    option = "an audio classifier: a name on the Hub, a folder"

    def __init__(self, model: str | None = None):
        self.tagger = Tagger(model)
        self.suffix = slug(self.tagger.label)
        if self.suffix:
            self.name = f"tags:{self.tagger.label}"

    @property
    def identity(self) -> dict[str, str]:
        return self.tagger.identity

    @property
    def columns(self) -> tuple[Column, ...]:
        name = self.tagger.name
        return (
            Column(
                f"tag_kld{self.suffix}",
                "nat",
                False,
                3,
                f"KL divergence of posteriors; {name}",
            ),
            Column(f"tag_kept{self.suffix}", "", True, 3, f"most likely class unchanged; {name}"),
        )

    def available(self) -> str | None:
        return None if (error := self.tagger.missing()) is None else str(error)

    def score(self, item: Item) -> dict[str, float | AudiotokError]:
        if item.reference is None:
            return {}
        reference = self.tagger.posteriors(item.reference)
        reconstruction = self.tagger.posteriors(item.reconstruction)
        return {
            f"tag_kld{self.suffix}": kld.divergence(reference[None], reconstruction[None]),
            f"tag_kept{self.suffix}": float(np.argmax(reference) == np.argmax(reconstruction)),
        }
