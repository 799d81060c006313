"""enhance: noise removed from speech by a small model whose input and output are tokens.

Half of the mixtures are in a simulated room. The noises are the bundled everyday sounds (five: only
to try the task); `enhance:FOLDER` takes those of a folder, a manifest or a corpus (`esc50/1`,
`fsd50k/eval`). Training and test never share a source. Do not use noises on which a codec was
trained; its card lists its training data. `audiotok.enhancement` has the recipe, the model and the
budget, equal for every codec: minutes of training on one core. Two seeds, both reported.

Five sounds are scored: the output of the model; that of the same model on latents, which shows the
loss by tokens; the clean speech through the codec, which is the target of the model; the mixture;
and the mixture through the codec. The model removes noise where it is better than the last one, and
is of use where it is better than the mixture.
"""

from __future__ import annotations

from functools import cached_property

from audiotok.tasks import _mixtures


class Enhance(_mixtures.Mixtures):
    """Words, voice and predicted quality of enhanced speech.

    Ranked: see `_mixtures.Mixtures`.
    """

    name = "enhance"
    version = 2
    ranked = ("enhance_dwer", "enhance_similarity")
    option = "noises: a folder, a manifest, the name of a corpus"
    prefix = "enhance"
    seeds = (0, 1)

    @cached_property
    def corpus(self):
        """The noises; read when they are needed, since results are shown without them."""
        from audiotok.enhancement import mixtures

        return (
            mixtures.bundled_noises() if self.noises is None else mixtures.noise_corpus(self.noises)
        )

    def parts(self, corpus):
        from audiotok.enhancement import mixtures

        return mixtures.parts(corpus, self.corpus)

    def mixture(self, corpus, split, part, number):
        from audiotok.enhancement import mixtures

        return mixtures.with_noise(corpus, split, part, number)

    @property
    def identity(self) -> dict[str, str]:
        return super().identity | {"noises": self.corpus.sha256}
