"""What `enhance` and `separate` share: models trained on the training mixtures, and the scores of
their outputs for the test mixtures. Recipe, model and budget are in `audiotok.enhancement`.

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
from audiotok.judges.asr import fingerprint, word_errors
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

# In this process: (task, part) -> (key of all that its mixtures depend on, the mixtures).
_cached_mixtures: dict[tuple[str, str], tuple[str, list[Mixture]]] = {}
# In this process: (measure, both sounds) -> score, since all codecs have the same mixtures.
_cached_scores: dict[tuple[str, str, str], float] = {}

Row = dict[str, float | AudiotokError]
Rows = dict[int, Row]

MEASURES = ("dwer", "similarity", "distillmos", "dnsmos")
KINDS = {  # suffix of the columns: which sound
    "": "output of the model of tokens",
    "_continuous": "output of the model of latents, without quantizing",
    "_clean": "clean speech through the codec, the target of the model",
    "_mixture": "the mixture itself",
    "_untreated": "the mixture through the codec, without a model",
}


class Mixtures(Task):
    """Base of both tasks; a subclass sets `seeds` and writes `mixture`.

    Ranked: the word error rate against the transcript of the clean speech, and the similarity of
    the voice. Opinion scores need no reference: a decoder that always says the same clean
    sentence would come first.
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

    def mixture(self, corpus: Corpus, split: Parts, part: str, number: int) -> Mixture:
        """The mixture with this number."""
        raise NotImplementedError

    def parts(self, corpus: Corpus) -> Parts:
        """Clips and noises of training and test; CorpusError without enough of them."""
        raise NotImplementedError

    @property
    def columns(self) -> tuple[Column, ...]:
        about = {
            "dwer": ("", False, 3, f"word errors against the clean speech; {self._asr}"),
            "similarity": ("", True, 3, f"voice of the clean speech; {self.voices.name}"),
            "distillmos": ("MOS", True, 2, "DistillMOS"),
            "dnsmos": ("MOS", True, 2, "DNSMOS P.808"),
        }
        columns = [
            Column(self._column(measure + suffix), unit, better, digits, f"{text}: {sound}")
            for measure, (unit, better, digits, text) in about.items()
            for suffix, sound in self._suffixes.items()
        ]
        columns.append(Column(self._column("words"), "", None, 0, "words in clean transcripts"))
        return tuple(columns)

    @property
    def _asr(self) -> str:
        return self.recogniser.name

    @property
    def _suffixes(self) -> dict[str, str]:
        """{suffix of a column: which sound}; with those of each seed, if there are several."""
        if len(self.seeds) == 1:
            return KINDS
        seeds = {f"_seed_{seed}": f"{KINDS['']}, seed {seed}" for seed in self.seeds}
        return KINDS | {"": f"{KINDS['']}, mean over seeds"} | seeds

    def _column(self, name: str) -> str:
        return f"{self.prefix}_{name}{self.suffix}"

    def _missing(self) -> dict[str, AudiotokError]:
        """{measure: error} for judges that are not on this machine."""
        judges = {"dwer": self.recogniser, "similarity": self.voices, **self.predictors}
        return {
            name: error for name, judge in judges.items() if (error := judge.missing()) is not None
        }

    def left_out(self) -> dict[str, str]:
        reasons = {
            self._column(measure + suffix): str(error)
            for measure, error in self._missing().items()
            for suffix in self._suffixes
        }
        if "dwer" in self._missing():
            reasons[self._column("words")] = str(self._missing()["dwer"])
        return reasons

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

        split = self.parts(corpus)
        count = min(PROTOCOL.test_mixtures, len(split.test))
        test = self._mixtures(corpus, split, "test", count=count, note=note)
        if tokens is None:  # the ceiling: no codec
            return {m.index: self._scores(m, {"_mixture": [m.sound] * len(m.clean)}) for m in test}
        if codec is None:
            raise MetricError(f"{self.name} runs the codec: measure without --only-cache")
        if not test or (reason := vectors.unsuited(codec, test[0].sound)):
            note(f"{self.name} left out: {reason if test else 'no test mixture'}")
            return {}
        count = PROTOCOL.train_mixtures
        train = self._mixtures(corpus, split, "train", count=count, note=note)
        note(f"{self.name}: {codec.card.name} encodes {len(train)} mixtures to train on")
        models = self._models(codec, train, note)
        rows: Rows = {}
        note(f"{self.name}: {len(test)} mixtures to test")
        for mixture in test:
            try:
                rows[mixture.index] = self._scores(mixture, self._sounds(codec, models, mixture))
            except AudiotokError as error:
                names = {column.name for column in self.columns} - self.left_out().keys()
                rows[mixture.index] = dict.fromkeys(names, error)
        return rows

    def _mixtures(
        self, corpus: Corpus, split: Parts, part: str, *, count: int, note: Callable[[str], None]
    ) -> list[Mixture]:
        """The mixtures, cached for the next codec; a note for each that cannot be made. A
        transient failure is raised, since other codecs may have this mixture."""
        key = json.dumps([self.identity, corpus.sha256, count])
        if _cached_mixtures.get((self.name, part), ("",))[0] == key:
            return _cached_mixtures[self.name, part][1]
        mixtures = []
        for number in range(count):
            try:
                mixtures.append(self.mixture(corpus, split, part, number))
            except AudiotokError as reason:
                if is_transient(reason):
                    raise
                note(f"{self.name}: {part} mixture {number} left out: {reason}")
        _cached_mixtures[self.name, part] = key, mixtures
        return mixtures

    def _models(
        self, codec: Codec, mixtures: Sequence[Mixture], note: Callable[[str], None]
    ) -> dict[str, Any]:
        """{suffix of the columns: trained model}, for each seed and for the latents."""
        import torch

        from audiotok.enhancement import training, vectors

        def examples(vectors_of: Callable[[Codec, Audio], torch.Tensor]) -> list:
            return [
                (
                    vectors_of(codec, mixture.sound),
                    torch.stack([vectors_of(codec, clean) for clean in mixture.clean]),
                )
                for mixture in mixtures
            ]

        # sounds are encoded once: the embedded codes are computed from the latents
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
        """{suffix of the columns: the sound of each speaker}."""
        import torch

        from audiotok.enhancement import vectors

        latents = vectors.latents_of(codec, mixture.sound)
        clean = torch.stack([vectors.latents_of(codec, speech) for speech in mixture.clean])
        sounds = {"_mixture": [mixture.sound] * len(mixture.clean)}
        like = mixture.sound  # rate and length of all sounds
        sounds["_clean"] = [vectors.sound_of_codes(codec, speech, like) for speech in clean]
        untreated = vectors.sound_of_codes(codec, latents, like)
        sounds["_untreated"] = [untreated] * len(mixture.clean)
        outputs = models["_continuous"].separated(latents, clean)
        sounds["_continuous"] = [vectors.sound_of_vectors(codec, x, like) for x in outputs]
        embedded, embedded_clean = (vectors.quantized(codec, x) for x in (latents, clean))
        for seed in self.seeds:
            outputs = models[f"_seed_{seed}"].separated(embedded, embedded_clean)
            sounds[f"_seed_{seed}"] = [vectors.sound_of_codes(codec, x, like) for x in outputs]
        return sounds

    def _scores(self, mixture: Mixture, sounds: dict[str, list[Audio]]) -> Row:
        """The columns of one mixture; a measure without a value is an error in its place."""
        row: Row = {}
        words = None
        missing = self._missing()
        for measure in (name for name in MEASURES if name not in missing):
            for suffix, speakers in sounds.items():
                try:
                    numbers = [
                        self._score(measure, sound, clean)
                        for sound, clean in zip(speakers, mixture.clean, strict=True)
                    ]
                    if measure == "dwer":
                        words = sum(count for _, count in numbers)
                        errors = sum(count for count, _ in numbers)
                        if not words:
                            raise MetricError("nothing was recognised in the clean speech")
                        row[measure + suffix] = errors / words
                    else:
                        row[measure + suffix] = float(np.mean(numbers))
                except AudiotokError as error:
                    row[measure + suffix] = error
            seeds = [row.get(f"{measure}_seed_{seed}") for seed in self.seeds]
            if errors := [value for value in seeds if isinstance(value, AudiotokError)]:
                row[measure] = errors[0]
            elif None not in seeds:
                row[measure] = float(np.mean(seeds))
        row |= {} if words is None else {"words": float(words)}
        columns = {column.name for column in self.columns} - self.left_out().keys()
        row = {self._column(name): value for name, value in row.items()}
        return {name: value for name, value in row.items() if name in columns}

    def _score(self, measure: str, sound: Audio, clean: Audio) -> Any:
        """The score of one sound; for dwer the numbers of errors and of words."""
        if measure == "dwer":
            reference, hypothesis = (transcribe(self.recogniser, x) for x in (clean, sound))
            return word_errors(reference, hypothesis)
        key = (measure, fingerprint(clean), fingerprint(sound))
        if key not in _cached_scores:
            _cached_scores[key] = self._compared(measure, sound, clean)
        return _cached_scores[key]

    def _compared(self, measure: str, sound: Audio, clean: Audio) -> float:
        if measure == "similarity":
            return float(self.voices.embed(clean) @ self.voices.embed(sound))
        score = self.predictors[measure](sound)
        return score["dnsmos_p808" if measure == "dnsmos" else measure]

    @property
    def identity(self) -> dict[str, str]:
        identity = dict(self.recogniser.identity) if "dwer" not in self._missing() else {}
        for predictor in self.predictors.values():
            identity |= predictor.identity
        return identity

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        """All errors by all words."""
        rates: dict[str, float] = {}
        for suffix in self._suffixes:
            rates |= micro_average(rows, self._column("dwer" + suffix), self._column("words"))
        return rates

    def details(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, Any]:
        """Means and number of mixtures of each speaker (of the first one, where there are two)."""
        columns = [column.name for column in self.columns if column.name in rows]
        test = rows[rows[columns].notna().any(axis=1)]
        if "speaker" not in rows or not len(test):
            return {}
        speakers = {
            speaker: {"mixtures": len(group)}
            | group[columns].mean().dropna().to_dict()
            | self.summarise(group, tokens)
            for speaker, group in test.groupby("speaker")
        }
        return {f"{self.prefix}_speakers": speakers}
