"""separate: two speakers separated by a small model whose input and output are tokens.

As `enhance`, without noise: two clips of different speakers, cut to the shorter one, the second up
to 5 dB louder or softer. The model has two outputs; the clean speech decides which output is which
speaker, in training and in the test. One seed: do not read differences between codecs that are
smaller than those between the seeds of `enhance`.
"""

from __future__ import annotations

from audiotok.tasks import _mixtures


class Separate(_mixtures.Mixtures):
    """Words, voice and predicted quality of separated speech, means over both speakers.

    Ranked: see `_mixtures.Mixtures`.
    """

    name = "separate"
    version = 2
    ranked = ("separate_dwer", "separate_similarity")
    prefix = "separate"
    seeds = (0,)

    def __init__(self):
        super().__init__()

    def parts(self, corpus):
        from audiotok.enhancement import mixtures

        return mixtures.two_speakers(mixtures.parts(corpus, None), corpus)

    def mixture(self, corpus, split, part, number):
        from audiotok.enhancement import mixtures

        return mixtures.of_two_speakers(corpus, split, part, number)
