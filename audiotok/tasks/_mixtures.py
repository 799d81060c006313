"""What `enhance` and `separate` share: models trained on the training mixtures, and the scores of
their sounds of the test mixtures. `audiotok.enhancement` has the recipe, the model and the budget.

Every sound of a speaker is scored against the clean speech of that speaker; scores of a mixture are
means over its speakers, and the word error rate of all mixtures is all errors by all words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from audiotok.errors import AudiotokError, CorpusError, MetricError
from audiotok.judges import mos
from audiotok.judges.asr import word_errors
from audiotok.judges.asr.whisper import Whisper
from audiotok.judges.pretrained import slug
from audiotok.judges.speakers.resemblyzer import Resemblyzer
from audiotok.system.failures import is_transient
from audiotok.tasks import Column, Item, Task
from audiotok.tasks._words import micro_average, transcribe

if TYPE_CHECKING:
    import pandas

    from audiotok.codec.codec import Codec
    from audiotok.data import Corpus
    from audiotok.enhancement.mixtures import Mixture, Parts
    from audiotok.sound.audio import Audio
    from audiotok.tokens.tokens import Tokens

# Of this process: (task, part) -> what its mixtures depend on, and the mixtures.
_made: dict[tuple[str, str], tuple[str, list[Mixture]]] = {}

Row = dict[str, float | AudiotokError]
Rows = dict[int, Row]

MEASURES = ("dwer", "similarity", "distillmos", "dnsmos")
KINDS = {  # column ending: which sound
    "": "speech that the model of tokens makes, mean over seeds",
    "_continuous": "that of the model of latents, without quantizing",
    "_clean": "clean speech through the codec, what tokens can reach",
    "_mixture": "the mixture itself",
}


class Mixtures(Task):
    """Base of both tasks; a subclass sets `seeds` and writes `mixture`.

    Ranked: the word error rate against what is heard in the clean speech, and the similarity of the
    voice. Opinion scores need no reference, so a decoder that always says the same clean sentence
    would come first.
    """

    concludes = True
    uses_codec = True
    seeds: ClassVar[tuple[int, ...]]
    prefix: ClassVar[str]  # of its columns

    def __init__(self, noises: str | None = None):
        self.noises = noises
        self.suffix = "" if noises is None else slug(self._noise_name)
        if noises is not None:
            self.name = f"{type(self).name}:{self._noise_name}"
        self.recogniser, self.voices = Whisper("base"), Resemblyzer()
        self.predictors = {name: mos.get(name) for name in ("distillmos", "dnsmos")}

    @property
    def _noise_name(self) -> str:
        from pathlib import Path

        path = Path(self.noises)
        return path.resolve().name if path.exists() else self.noises

    def mixture(self, corpus: Corpus, found: Parts, part: str, number: int) -> Mixture:
        """The mixture with this number."""
        raise NotImplementedError

    def parts(self, corpus: Corpus) -> Parts:
        """Clips and noises of training and test; CorpusError without enough of them."""
        raise NotImplementedError

    @property
    def columns(self) -> tuple[Column, ...]:
        about = {
            "dwer": ("", False, 3, f"words that differ from the clean speech; {self._asr}"),
            "similarity": ("", True, 3, f"voice of the clean speech; {self.voices.name}"),
            "distillmos": ("MOS", True, 2, "DistillMOS"),
            "dnsmos": ("MOS", True, 2, "DNSMOS P.808"),
        }
        columns = [
            Column(self._named(measure + ending), unit, better, digits, f"{text}: {what}")
            for measure, (unit, better, digits, text) in about.items()
            for ending, what in self._endings.items()
        ]
        columns.append(Column(self._named("words"), "", None, 0, "words heard in clean speech"))
        return tuple(columns)

    @property
    def _asr(self) -> str:
        return self.recogniser.name

    @property
    def _endings(self) -> dict[str, str]:
        """{ending of a column: which sound}; of single seeds, if there are several."""
        seeds = self.seeds if len(self.seeds) > 1 else ()
        return KINDS | {f"_seed_{seed}": f"that of seed {seed}" for seed in seeds}

    def _named(self, name: str) -> str:
        return f"{self.prefix}_{name}{self.suffix}"

    def _missing(self) -> dict[str, AudiotokError]:
        """{measure: error} for judges that are not on this machine."""
        judges = {"dwer": self.recogniser, "similarity": self.voices, **self.predictors}
        return {
            name: error for name, judge in judges.items() if (error := judge.missing()) is not None
        }

    def left_out(self) -> dict[str, str]:
        found = {
            self._named(measure + ending): str(error)
            for measure, error in self._missing().items()
            for ending in self._endings
        }
        if "dwer" in self._missing():
            found[self._named("words")] = str(self._missing()["dwer"])
        return found

    def available(self) -> str | None:
        missing = self._missing()
        return "; ".join(map(str, missing.values())) if len(missing) == len(MEASURES) else None

    def unsuited(self, corpus: Corpus) -> str | None:
        if reason := corpus.no_speech():
            return reason
        try:
            self.parts(corpus)
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
        from audiotok.enhancement import PROTOCOL, vectors

        found = self.parts(corpus)
        count = min(PROTOCOL.test_mixtures, len(found.test))
        tested = self._mixtures(corpus, found, "test", count, note)
        if tokens is None:  # the ceiling: no codec
            return {
                m.index: self._scores(m, {"_mixture": [m.sound] * len(m.clean)}) for m in tested
            }
        if codec is None:
            raise MetricError(f"{self.name} runs the codec: measure without --only-cache")
        if not tested or (reason := vectors.unsuited(codec, tested[0].sound)):
            note(f"{self.name} left out: {reason if tested else 'no test mixture'}")
            return {}
        count = PROTOCOL.train_mixtures
        trained = self._mixtures(corpus, found, "train", count, note)
        note(f"{self.name}: {codec.card.name} encodes {len(trained)} mixtures to train on")
        models = self._models(codec, trained, note)
        rows: Rows = {}
        note(f"{self.name}: {len(tested)} mixtures to test")
        for mixture in tested:
            try:
                rows[mixture.index] = self._scores(mixture, self._sounds(codec, models, mixture))
            except AudiotokError as error:
                names = {column.name for column in self.columns} - self.left_out().keys()
                rows[mixture.index] = dict.fromkeys(names, error)
        return rows

    def _mixtures(
        self, corpus: Corpus, found: Parts, part: str, count: int, note: Callable[[str], None]
    ) -> list[Mixture]:
        """The mixtures, kept for the next codec; a note for each that its clips do not allow. A
        transient failure is raised, since other codecs may have this mixture."""
        key = json.dumps([self.identity, corpus.sha256, count])
        if _made.get((self.name, part), ("",))[0] == key:
            return _made[self.name, part][1]
        made = []
        for number in range(count):
            try:
                made.append(self.mixture(corpus, found, part, number))
            except AudiotokError as reason:
                if is_transient(reason):
                    raise
                note(f"{self.name}: {part} mixture {number} left out: {reason}")
        _made[self.name, part] = key, made
        return made

    def _models(
        self, codec: Codec, mixtures: Sequence[Mixture], note: Callable[[str], None]
    ) -> dict[str, Any]:
        """{ending of the column: trained model}, of each seed and of the latents."""
        import torch

        from audiotok.enhancement import training, vectors

        def examples(vectors_of: Callable[[Codec, Audio], torch.Tensor]) -> list:
            return [
                (
                    vectors_of(codec, one.sound),
                    torch.stack([vectors_of(codec, clean) for clean in one.clean]),
                )
                for one in mixtures
            ]

        # latents are encoded once, embedded codes are made of them
        latents = examples(vectors.latents_of)
        embedded = [
            (vectors.quantized(codec, mixture), vectors.quantized(codec, clean))
            for mixture, clean in latents
        ]
        models = {}
        for seed in self.seeds:
            note(f"{self.name}, seed {seed}: trains on {len(mixtures)} mixtures")
            models[f"_seed_{seed}"] = training.train(embedded, seed)
        note(f"{self.name}: trains on latents")
        models["_continuous"] = training.train(latents, self.seeds[0])
        return models

    def _sounds(
        self, codec: Codec, models: dict[str, Any], mixture: Mixture
    ) -> dict[str, list[Audio]]:
        """{ending of the column: the sound of each speaker}."""
        import torch

        from audiotok.enhancement import vectors

        heard = vectors.latents_of(codec, mixture.sound)
        clean = torch.stack([vectors.latents_of(codec, one) for one in mixture.clean])
        sounds = {"_mixture": [mixture.sound] * len(mixture.clean)}
        like = mixture.sound
        sounds["_clean"] = [vectors.sound_of_codes(codec, one, like) for one in clean]
        found = models["_continuous"].separated(heard, clean)
        sounds["_continuous"] = [vectors.sound_of_vectors(codec, one, like) for one in found]
        codes_heard, codes_clean = (vectors.quantized(codec, one) for one in (heard, clean))
        for seed in self.seeds:
            found = models[f"_seed_{seed}"].separated(codes_heard, codes_clean)
            sounds[f"_seed_{seed}"] = [vectors.sound_of_codes(codec, one, like) for one in found]
        return sounds

    def _scores(self, mixture: Mixture, sounds: dict[str, list[Audio]]) -> Row:
        """The columns of one mixture; a measure without a value is an error in its place."""
        row: Row = {}
        words = None
        missing = self._missing()
        for measure in (name for name in MEASURES if name not in missing):
            for ending, speakers in sounds.items():
                try:
                    found = [
                        self._measured(measure, sound, clean)
                        for sound, clean in zip(speakers, mixture.clean, strict=True)
                    ]
                    if measure == "dwer":
                        words = sum(count for _, count in found)
                        errors = sum(count for count, _ in found)
                        if not words:
                            raise MetricError("nothing was recognised in the clean speech")
                        row[measure + ending] = errors / words
                    else:
                        row[measure + ending] = float(np.mean(found))
                except AudiotokError as error:
                    row[measure + ending] = error
            seeds = [row.get(f"{measure}_seed_{seed}") for seed in self.seeds]
            if errors := [one for one in seeds if isinstance(one, AudiotokError)]:
                row[measure] = errors[0]
            elif None not in seeds:
                row[measure] = float(np.mean(seeds))
        row |= {} if words is None else {"words": float(words)}
        known = {column.name for column in self.columns} - self.left_out().keys()
        named = {self._named(name): value for name, value in row.items()}
        return {name: value for name, value in named.items() if name in known}

    def _measured(self, measure: str, sound: Audio, clean: Audio) -> Any:
        """One number; of dwer the errors and the words."""
        if measure == "dwer":
            reference, heard = (transcribe(self.recogniser, one) for one in (clean, sound))
            return word_errors(reference, heard)
        if measure == "similarity":
            return float(self.voices.embed(clean) @ self.voices.embed(sound))
        score = self.predictors[measure](sound)
        return score["dnsmos_p808" if measure == "dnsmos" else measure]

    @property
    def identity(self) -> dict[str, str]:
        found = dict(self.recogniser.identity) if "dwer" not in self._missing() else {}
        return found | {k: v for one in self.predictors.values() for k, v in one.identity.items()}

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        """All errors by all words."""
        found: dict[str, float] = {}
        for ending in self._endings:
            found |= micro_average(rows, self._named("dwer" + ending), self._named("words"))
        return found

    def details(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, Any]:
        """The numbers of each speaker (of the first one of two), and how many mixtures."""
        numbers = [column.name for column in self.columns if column.name in rows]
        tested = rows[rows[numbers].notna().any(axis=1)]
        if "speaker" not in rows or not len(tested):
            return {}
        speakers = {
            speaker: {"mixtures": len(own)}
            | own[numbers].mean().dropna().to_dict()
            | self.summarise(own, tokens)
            for speaker, own in tested.groupby("speaker")
        }
        return {f"{self.prefix}_speakers": speakers}
