"""What all probes share: a head for each seed, the numbers of each seed, and their spread.

See `audiotok.probes` for heads, budget and splits. Only test clips have values in the columns of a
probe; training clips are not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from audiotok.errors import AudiotokError, CorpusError
from audiotok.probes import PROTOCOL
from audiotok.tasks import Column, Item, Task

if TYPE_CHECKING:
    import pandas

    from audiotok.codec.codec import Codec
    from audiotok.data import Clip, Corpus
    from audiotok.probes.features import Inputs
    from audiotok.probes.splits import Split
    from audiotok.tokens.tokens import Tokens

Row = dict[str, float | str]
Rows = dict[int, Row]  # by the index of the clip

VERSION = 2  # of all probes: it rises with every change of the protocol, heads or splits


def columns(stem: str, higher_is_better: bool, description: str) -> tuple[Column, ...]:
    """The mean over seeds, the value of each seed, the spread, and how many seeds diverged."""
    seeds = [
        Column(f"{stem}_seed_{seed}", "", higher_is_better, 3, f"of the head of seed {seed}")
        for seed in PROTOCOL.seeds
    ]
    return (
        Column(
            stem,
            "",
            higher_is_better,
            3,
            f"{description}; mean over all {len(seeds)} seeds",
        ),
        *seeds,
        Column(f"{stem}_seed_std", "", False, 3, "sample standard deviation over seeds"),
        Column(f"{stem}_diverged", "", False, 0, f"seeds that diverged, of {len(seeds)}"),
    )


class Probe(Task):
    """Base of the probes; a subclass sets `stem` and `ranked`, and implements `split` and `run`.

    Ranked: the mean over the seeds alone. The single seeds are parts of it; their spread and the
    number of diverged seeds show how reliable it is.
    """

    concludes = True
    reconstructs = False
    stem: ClassVar[str]  # the first of its columns

    def split(self, corpus: Corpus) -> Split:
        """Training and test clips; CorpusError if the corpus lacks what the probe needs."""
        raise NotImplementedError

    def run(self, corpus: Corpus, inputs: Inputs, split: Split, seed: int) -> tuple[Rows, bool]:
        """For one seed: columns of the test clips, where `stem` is the number of this seed, and
        whether the head diverged."""
        raise NotImplementedError

    def unsuited(self, corpus: Corpus) -> str | None:
        try:
            self.split(corpus)
        except CorpusError as reason:
            return str(reason)
        return None

    def score(self, item: Item) -> dict[str, float]:
        return {}

    def conclude(
        self,
        corpus: Corpus,
        tokens: Sequence[Tokens | None] | None,
        note: Callable[[str], None],
        codec: Codec | None = None,
    ) -> Rows:
        from audiotok.probes import features

        try:
            inputs = features.of_sounds(corpus) if tokens is None else features.of_tokens(tokens)
        except AudiotokError as reason:
            note(f"{self.name} left out: {reason}")
            return {}
        split = self.split(corpus)
        rows: Rows = {}
        diverged = 0
        for seed in PROTOCOL.seeds:
            note(f"{self.name}, seed {seed}: training on {len(split.train)} clips")
            seed_rows, seed_diverged = self.run(corpus, inputs, split, seed)
            diverged += seed_diverged
            for index, row in seed_rows.items():
                seed_value = (
                    {f"{self.stem}_seed_{seed}": row.pop(self.stem)} if self.stem in row else {}
                )
                rows[index] = rows.get(index, {}) | row | seed_value
        for row in rows.values():
            numbers = [row[name] for name in self._seeds if name in row]
            row |= {self.stem: float(np.mean(numbers))} if numbers else {}
            row[f"{self.stem}_diverged"] = float(diverged)
        return rows

    @property
    def _seeds(self) -> list[str]:
        return [f"{self.stem}_seed_{seed}" for seed in PROTOCOL.seeds]

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        """The numbers of the corpus, and their spread over seeds."""
        numbers = self.numbers(rows)
        if not numbers:
            return {}
        return numbers | {
            f"{self.stem}_seed_std": float(np.std(list(numbers.values())[1:], ddof=1))
        }

    def basis(self, column: str) -> str:
        return self.stem if column == f"{self.stem}_seed_std" else column

    def numbers(self, rows: pandas.DataFrame) -> dict[str, float]:
        """{stem: number of the corpus, then one number per seed}; {} without test clips."""
        names = [self.stem, *self._seeds]
        tested = rows[names].dropna()
        return {name: float(tested[name].mean()) for name in names} if len(tested) else {}


class ClassProbe(Probe):
    """A probe that classifies clips; `target` is the class of a clip."""

    target_name: ClassVar[str]  # for descriptions

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        chance = "share of the clips tested that have the class most frequent in training"
        cls.columns = (
            *columns(cls.stem, True, f"share of clips whose {cls.target_name} the head names"),
            Column(f"{cls.stem}_chance", "", None, 3, chance),
        )

    def target(self, clip: Clip) -> str | None:
        """The class of a clip."""
        raise NotImplementedError

    def split(self, corpus: Corpus) -> Split:
        from audiotok.probes import splits

        return splits.by_class(corpus, [self.target(clip) for clip in corpus])

    def run(self, corpus: Corpus, inputs: Inputs, split: Split, seed: int) -> tuple[Rows, bool]:
        from audiotok.probes import training

        targets = [self.target(clip) for clip in corpus]
        train_targets = [targets[index] for index in split.train]
        most_frequent = max(split.classes, key=train_targets.count)
        rows: Rows = {}
        with training.repeatable(seed):
            fitted = train_classes(inputs, split, targets, seed)
            for index, logits in training.apply(fitted.head, inputs, split.test):
                predicted = split.classes[int(logits.argmax())]
                rows[index] = {
                    self.stem: float(predicted == targets[index]),
                    f"{self.stem}_chance": float(most_frequent == targets[index]),
                }
        return rows, fitted.diverged


def train_classes(inputs: Inputs, split: Split, targets: Sequence[str | None], seed: int):
    """The head for the classes of the clips, by cross entropy; inside `training.repeatable`."""
    import torch

    from audiotok.probes import training
    from audiotok.probes.heads import Classes

    class_index = {name: number for number, name in enumerate(split.classes)}

    def objective(logits, lengths, indices):
        expected = torch.tensor([class_index[targets[index]] for index in indices])
        return torch.nn.functional.cross_entropy(logits, expected)

    return training.train(
        lambda: Classes(inputs, len(split.classes)),
        objective,
        inputs,
        split.train,
        seed=seed,
        crop=PROTOCOL.crop,
    )
