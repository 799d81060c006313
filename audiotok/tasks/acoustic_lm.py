"""acoustic_lm: how well a small language model predicts the tokens, and how it continues them.

A model of fixed size is trained with a fixed budget of sound (`audiotok.lm.acoustic`), with three
seeds, on the training clips of the corpus, and scores the test clips. Without a split every fifth
clip is a test clip.

- `lm_bitrate`: bits per second that the codes cost under the model. It does not rank codecs by
  itself: a codec whose codes never change costs nothing. Read it together with the quality of the
  reconstruction, and with `lm_saving`, the share of the unigram cost (frequencies of the codes in
  the same training clips) that the model saves.
- `lm_accuracy`: how often the most likely code, given all codes before it, is the right one; by
  codebook in the details.
- `pairs_*`: how often a right sound is more likely than a wrong one (`audiotok.lm.pairs`); 0.5 is
  chance. Wilson's intervals are in the details.
- `continuation_*`: the model of the first seed continues the first seconds of a clip. Speaker
  similarity to the beginning of the original, and predicted opinion scores; `_true` is the same for
  the clip's own tokens, the bound. A continuation has no text, so `continuation_wer` compares two
  recognisers, Whisper base and tiny.en: they agree on clear words and differ on babble.
  `continuation_mmd` is the distance of the set of continuations from the continuations of the
  recordings (see `sets`), by the encoder of Whisper base.

`acoustic_lm:interleaved`, `:parallel`, `:coarse_first` and `:rq` use other arrangements of the
codes than the delay pattern; their columns end in the name. `acoustic_lm:bpe` learns the tokens of
a byte-pair encoding that is fitted to the training clips, one after another: its bits per second
are those of the same sound, so they say whether BPE helps or only shortens the sequence.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from audiotok.errors import AudiotokError, CorpusError, MetricError
from audiotok.tasks import Column, Item, Task, _continuations
from audiotok.tasks._words import micro_average

if TYPE_CHECKING:
    import pandas
    import torch

    from audiotok.codec.codec import Codec
    from audiotok.data import Corpus
    from audiotok.probes.splits import Split
    from audiotok.sound.audio import Audio
    from audiotok.tokens.tokens import Tokens

SEEDS = 3
KINDS = ("speaker", "background", "reversed")
MODELS = ("delay", "parallel", "interleaved", "coarse_first", "rq", "bpe")  # the first: default
Rows = dict[int, dict[str, Any]]


class AcousticLM(Task):
    """Bits per second, accuracy, pairs and continuations under a small language model.

    Ranked: the accuracy in the pairs, where chance is 0.5 for every codec. Bits, the share of them
    that is saved and the accuracy of the next code are best for a codec whose codes never change:
    bits are the cost axis of a Pareto front. Continuations are not ranked: opinion scores are
    predicted without a reference, and the speaker similarity of random codes comes close to that of
    the best codecs. `continuation_similarity_true` measures the reconstruction, not the model, and
    is the quality axis of the front.
    """

    name = "acoustic_lm"
    version = 2  # 2: merged codes without empty steps
    ranked = ("pairs_speaker", "pairs_background", "pairs_reversed")
    quality = ("continuation_similarity_true",)
    costs = ("lm_bitrate",)
    concludes = True
    reconstructs = False
    uses_codec = True
    option = "arrangement of the codes: interleaved, parallel, coarse_first, rq or bpe"

    def __init__(self, model: str = MODELS[0]):
        if model not in MODELS:
            raise MetricError(f"acoustic_lm has the models {', '.join(MODELS)}, not {model!r}")
        self.model = model
        self.suffix = "" if model == MODELS[0] else f"_{model}"
        if self.suffix:
            self.name = f"acoustic_lm:{model}"

    @property
    def columns(self) -> tuple[Column, ...]:
        condition = f"under a small language model ({self.model})"
        columns = [
            Column("lm_bitrate", "bit/s", False, 0, f"of the codes {condition}, plus side bits"),
            *(
                Column(f"lm_bitrate_seed_{seed}", "bit/s", False, 0, f"that of seed {seed}")
                for seed in range(SEEDS)
            ),
            Column("lm_bitrate_seed_std", "bit/s", False, 1, "standard deviation over seeds"),
            Column("lm_diverged", "", False, 0, f"seeds that diverged, of {SEEDS}"),
            Column("lm_bits", "bit", None, 2, f"of a code {condition}"),
            Column("lm_saving", "", True, 3, "share of the bits by frequency that the model saves"),
            Column("lm_accuracy", "", True, 3, "share of codes that were the most likely ones"),
            *(
                Column(
                    f"pairs_{kind}",
                    "",
                    True,
                    3,
                    f"right sound more likely than wrong: {kind}",
                )
                for kind in KINDS
            ),
            *_continuations.columns(),
        ]
        return tuple(replace(column, name=column.name + self.suffix) for column in columns)

    @property
    def identity(self) -> dict[str, str]:
        return _continuations.identity()

    def left_out(self) -> dict[str, str]:
        return {
            f"{_continuations.PREFIX}{measure}{true}{self.suffix}": str(error)
            for measure, error in _continuations.missing().items()
            for true in ("", _continuations.TRUE)
        }

    def unsuited(self, corpus: Corpus) -> str | None:
        try:
            self._split(corpus)
        except CorpusError as reason:
            return f"{reason}: a language model needs both"
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
        from audiotok.lm import acoustic
        from audiotok.probes.training import repeatable
        from audiotok.tasks import _bpe
        from audiotok.tokens.tokens import Tokens

        if tokens is None:
            return {}
        if codec is None:
            raise MetricError(f"{self.name} runs the codec: measure without --only-cache")
        coded = {i: example for i, example in enumerate(tokens) if example is not None}
        split = self._split(corpus)
        train, test = ([i for i in part if i in coded] for part in (split.train, split.test))
        rate = sum(t.num_frames for t in coded.values()) / sum(t.duration for t in coded.values())
        if not train or not test or rate > acoustic.PROTOCOL.max_rate:
            note(
                f"{self.name} left out: {len(train)} clips to train on, {len(test)} to test, "
                f"{rate:.0f} frames per second, of {acoustic.PROTOCOL.max_rate:.0f} at most"
            )
            return {}
        convert = Tokens.segmented
        if self.model == "bpe":
            convert = _bpe.fitted([coded[i] for i in train])
        coded = {i: convert(clip) for i, clip in coded.items()}
        rate = sum(t.num_frames for t in coded.values()) / sum(t.duration for t in coded.values())
        example = coded[test[0]]
        channels = [codes for i in train for codes in coded[i].codes.long()]
        rows: Rows = {}
        test_codes = [codes for i in test for codes in coded[i].codes.long()]
        unigram_bits = iter(
            acoustic.unigram(channels, test_codes, example.codebook_sizes, example.strides)
        )
        for index in test:
            bits = sum(itertools.islice(unigram_bits, coded[index].codes.shape[0]))
            codes = sum(free.numel() for free in coded[index].free_codes)
            rows[index] = {
                "lm_seconds": coded[index].duration, "lm_codes": float(codes),
                "lm_unigram_bits": bits + coded[index].side_bits,
            }  # fmt: skip
        seed_scores: dict[int, list[dict[str, float]]] = {i: [] for i in test}
        pairs = _coded_pairs(corpus, test, codec, convert)
        for seed in acoustic.PROTOCOL.seeds:
            note(f"{self.name}, seed {seed}: trains on {len(train)} clips")
            with repeatable(seed):
                trained = acoustic.train(
                    "interleaved" if self.model == "bpe" else self.model,
                    channels,
                    sizes=example.codebook_sizes,
                    strides=example.strides,
                    frame_rate=rate,
                    seed=seed,
                )
                for index in test:
                    cost = acoustic.costs(trained.model, coded[index].codes.long(), rate)
                    row = rows[index]
                    bits = (cost.bits + coded[index].side_bits) / row["lm_seconds"]
                    row[f"lm_bitrate_seed_{seed}"] = bits
                    scores = {"bits": cost.bits, "diverged": float(trained.diverged)}
                    for k, (hits, count) in enumerate(zip(cost.hits, cost.codes, strict=True)):
                        scores[f"k{k}"] = float(hits / count)
                    scores["accuracy"] = float(cost.hits.sum() / cost.codes.sum())
                    seed_scores[index].append(scores)
                for kind, index, right, wrong in pairs:
                    key = f"pairs_{kind}"
                    vote = acoustic.prefers(trained.model, right, wrong)
                    rows[index].setdefault(key, []).append(vote)
                if seed == acoustic.PROTOCOL.seeds[0]:
                    self._add_continuations(
                        rows, trained.model, corpus, coded, test=test, codec=codec, note=note
                    )
        return {index: self._row(row, seed_scores[index]) for index, row in rows.items()}

    def _row(self, row: dict[str, Any], seed_scores: list[dict[str, float]]) -> dict[str, float]:
        """The columns of a clip from the values of each seed."""
        seeds = [row[f"lm_bitrate_seed_{seed}"] for seed in range(SEEDS)]
        row |= {
            "lm_bitrate": float(np.mean(seeds)),
            "lm_diverged": sum(scores["diverged"] for scores in seed_scores),
            "lm_bits": float(np.mean([scores["bits"] for scores in seed_scores])) / row["lm_codes"],
            "lm_accuracy": float(np.mean([scores["accuracy"] for scores in seed_scores])),
            "lm_unigram": row.pop("lm_unigram_bits") / row["lm_seconds"],
        }
        for k in range(sum(name.startswith("k") for name in seed_scores[0])):
            row[f"lm_accuracy_k{k}"] = float(np.mean([scores[f"k{k}"] for scores in seed_scores]))
        row["lm_saving"] = 1 - row["lm_bitrate"] / row["lm_unigram"] if row["lm_unigram"] else 0.0
        row |= {
            f"pairs_{k}": float(np.mean(row[f"pairs_{k}"])) for k in KINDS if f"pairs_{k}" in row
        }
        return {name + self.suffix: value for name, value in row.items()}

    def _add_continuations(
        self,
        rows: Rows,
        model: Any,
        corpus: Corpus,
        coded: dict[int, Tokens],
        *,
        test: Sequence[int],
        codec: Codec,
        note: Callable[[str], None],
    ) -> None:
        """Adds the columns of continuations for the clips that are long enough."""
        import torch

        from audiotok.lm.acoustic import PROTOCOL

        example, rate = coded[test[0]], codec.frame_rate
        unit = math.lcm(*example.strides)
        prompt_frames, new_frames = (
            max(unit, round(seconds * rate) // unit * unit)
            for seconds in (PROTOCOL.prompt, PROTOCOL.continuation)
        )
        chosen = [i for i in test if coded[i].num_frames >= prompt_frames + new_frames]
        left_out = self._measures_left_out()
        has_judge = len(left_out) < len(_continuations.ABOUT)
        # neither side information, nor segments, nor BPE can be continued
        varies = codec.card.max_duration > 1 or self.model == "bpe"
        if not has_judge or not chosen or example.side is not None or varies:
            return
        note(f"{self.name}: continues {len(chosen)} clips")
        prompts = torch.stack([coded[i].codes[0, :, :prompt_frames].long() for i in chosen])
        generator = torch.Generator().manual_seed(0)
        codes = model.generate(prompts, new_frames, PROTOCOL.sampling, generator=generator)
        for number, (index, generated) in enumerate(zip(chosen, codes, strict=True)):
            if number and number % 10 == 0:
                note(f"{self.name}: continued {number} of {len(chosen)} clips")
            true = coded[index].codes[:1, :, : prompt_frames + new_frames]
            for suffix, clip_codes in (("", generated[None]), (_continuations.TRUE, true)):
                try:
                    sound = corpus.clips[index].original()
                    start, recorded = _parts(sound, PROTOCOL.prompt, PROTOCOL.continuation)
                    continuation = _decoded(codec, coded[index], clip_codes, prompt_frames)
                    rows[index] |= _continuations.scores(
                        start, continuation, recorded, suffix=suffix, left_out=left_out
                    )
                except AudiotokError as error:
                    measures = _continuations.ABOUT.keys() - left_out
                    names = (f"{_continuations.PREFIX}{name}{suffix}" for name in measures)
                    rows[index] |= dict.fromkeys(names, error)

    def _measures_left_out(self) -> set[str]:
        names = self.left_out()
        prefix = _continuations.PREFIX
        return {m for m in _continuations.ABOUT if f"{prefix}{m}{self.suffix}" in names}

    def _split(self, corpus: Corpus) -> Split:
        from audiotok.probes import splits

        return splits.of_clips(corpus)

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        """Bits of all clips by their seconds and codes; the spread over seeds."""
        # the columns of another model of this task may be there, too, under other names
        own = {c: c.removesuffix(self.suffix) for c in rows if c.endswith(self.suffix)}
        rows = rows[list(own)].rename(columns=own)
        if "lm_seconds" not in rows or not rows.lm_seconds.notna().any():
            return {}
        names = ["lm_bitrate", *(f"lm_bitrate_seed_{seed}" for seed in range(SEEDS)), "lm_unigram"]
        totals: dict[str, float] = {}
        for name in names:
            totals |= micro_average(rows, name, "lm_seconds")
        for name in ("lm_bits", "lm_accuracy"):
            totals |= micro_average(rows, name, "lm_codes")
        unigram_bits = totals.pop("lm_unigram")
        totals["lm_saving"] = 1 - totals["lm_bitrate"] / unigram_bits if unigram_bits else 0.0
        seeds = [totals[f"lm_bitrate_seed_{seed}"] for seed in range(SEEDS)]
        totals["lm_bitrate_seed_std"] = float(np.std(seeds, ddof=1))
        totals |= _continuations.summarise(rows)
        return {name + self.suffix: value for name, value in totals.items()}

    def basis(self, column: str) -> str:
        if column == f"lm_bitrate_seed_std{self.suffix}":
            return f"lm_bitrate{self.suffix}"
        plain = column.removesuffix(self.suffix)
        for true in ("", _continuations.TRUE):
            if plain == f"{_continuations.PREFIX}mmd{true}":
                return f"{_continuations.EMBEDDINGS}{true}{self.suffix}"
        return column

    def details(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, Any]:
        """Accuracy of each codebook; number of pairs, with Wilson's 95 % interval."""
        from audiotok.lm.pairs import wilson

        details: dict[str, Any] = {}
        names = [f"lm_accuracy_k{k}{self.suffix}" for k in range(len(rows.columns))]
        if present := [name for name in names if name in rows]:
            details["lm_accuracy"] = [float(rows[name].mean()) for name in present]
        for kind in KINDS:
            name = f"pairs_{kind}{self.suffix}"
            if name in rows and len(votes := rows[name].dropna()):
                low, high = wilson(float(votes.sum()), len(votes))
                details[f"pairs_{kind}"] = {"pairs": len(votes), "ci95": [low, high]}
        return details


def _coded_pairs(
    corpus: Corpus, test: Sequence[int], codec: Codec, convert: Callable[[Tokens], Tokens]
) -> list[tuple[str, int, torch.Tensor, torch.Tensor]]:
    """For each pair its kind, its clip, and the codes of both sounds."""
    from audiotok.lm import pairs

    return [
        (
            pair.kind,
            pair.clip,
            *(convert(codec.encode(s)).codes.long() for s in (pair.right, pair.wrong)),
        )
        for pair in pairs.of_corpus(corpus, test)
    ]


def _parts(sound: Audio, first: float, second: float) -> tuple[Audio, Audio]:
    """The first seconds of a sound, and those that follow."""
    start, end = (round(seconds * sound.sample_rate) for seconds in (first, first + second))
    pieces = sound.waveform[:, :start], sound.waveform[:, start:end]
    return tuple(replace(sound, waveform=piece) for piece in pieces)


def _decoded(codec: Codec, tokens: Tokens, codes: torch.Tensor, prompt_frames: int) -> Audio:
    """The sound of codes (1, K, T) after its first `prompt_frames` frames."""
    frames = codes.shape[2]
    samples, rate = frames * codec.hop_length, codec.card.sample_rate_in
    sound = codec.decode(replace(tokens, codes=codes, num_samples=samples, sample_rate=rate))
    return replace(sound, waveform=sound.waveform[:, sound.num_samples * prompt_frames // frames :])
