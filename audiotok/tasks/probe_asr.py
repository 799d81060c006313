"""probe_asr: error rates of a small recogniser that was trained on the tokens of other clips.

BiLSTM and CTC over the letters of the normalised texts, greedy, without a language model. A
training clip with fewer frames than CTC needs for its letters has no loss; such a test clip is
scored like all others. A text in a script without spaces between words (Thai, Chinese) has
`probe_cer` alone.
"""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

import jiwer

from audiotok.judges.asr import normalise, normaliser, word_errors
from audiotok.judges.asr.text import is_spaceless
from audiotok.tasks import Column, _probe
from audiotok.tasks._words import micro_average, normaliser_identity

if TYPE_CHECKING:
    import pandas

    from audiotok.data import Corpus
    from audiotok.probes.features import Inputs
    from audiotok.probes.splits import Split


class ProbeAsr(_probe.Probe):
    """Error rates of a CTC head. Ranked: the mean WER over seeds, see `_probe.Probe`; the CER
    counts the same errors by letters."""

    name = "probe_asr"
    version = _probe.VERSION
    stem = "probe_wer"
    ranked = ("probe_wer",)

    def __init__(self):
        self.normaliser = normaliser([])

    @property
    def identity(self) -> dict[str, str]:
        return normaliser_identity(self.normaliser)

    @property
    def columns(self) -> tuple[Column, ...]:
        description = "character error rate, mean over seeds"
        return (
            *_probe.columns("probe_wer", False, f"word error rate, normaliser {self.normaliser}"),
            Column("probe_cer", "", False, 3, description),
            Column("probe_words", "", None, 0, "words of the text"),
            Column("probe_letters", "", None, 0, "letters of the text, with spaces"),
        )

    def prepare(self, corpus: Corpus) -> None:
        self.normaliser = normaliser(clip.text for clip in corpus)

    def split(self, corpus: Corpus) -> Split:
        from audiotok.probes import splits

        return splits.of_texts(corpus, _texts(corpus))

    def run(
        self, corpus: Corpus, inputs: Inputs, split: Split, seed: int
    ) -> tuple[_probe.Rows, bool]:
        import torch

        from audiotok.probes import training
        from audiotok.probes.heads import Letters

        texts = _texts(corpus)
        label_index = {letter: number for number, letter in enumerate(split.classes, start=1)}

        def objective(logits, lengths, indices):
            letters = [torch.tensor([label_index[x] for x in texts[index]]) for index in indices]
            log_probabilities = logits.log_softmax(-1).transpose(0, 1)
            counts = torch.tensor([len(text) for text in letters])
            return torch.nn.functional.ctc_loss(
                log_probabilities, torch.cat(letters), lengths, counts, zero_infinity=True
            )

        def decode(frames, lengths):
            best = head(frames, lengths).argmax(-1)
            return [row[:n] for row, n in zip(best, lengths * inputs.repeat, strict=True)]

        rows: _probe.Rows = {}
        with training.repeatable(seed):
            fitted = training.train(
                lambda: Letters(inputs, len(split.classes)),
                objective,
                inputs,
                split.train,
                seed=seed,
            )
            head = fitted.head
            for index, best in training.apply(decode, inputs, split.test):
                text = collapse(best.tolist(), split.classes)
                rows[index] = _errors(texts[index], text, seed)
        return rows, fitted.diverged

    def conclude(self, corpus, tokens, note, codec=None):
        rows = super().conclude(corpus, tokens, note, codec)
        for row in rows.values():
            rates = [row.pop(f"cer_{seed}") for seed in _probe.PROTOCOL.seeds]
            row["probe_cer"] = sum(rates) / len(rates)
        return rows

    def numbers(self, rows: pandas.DataFrame) -> dict[str, float]:
        totals: dict[str, float] = {}
        for name in [self.stem, *self._seeds]:
            totals |= micro_average(rows, name, "probe_words")
        return totals

    def summarise(self, rows, tokens):
        return super().summarise(rows, tokens) | micro_average(rows, "probe_cer", "probe_letters")


def _texts(corpus: Corpus) -> list[str]:
    return [normalise(clip.text or "") for clip in corpus]


def _errors(text: str, hypothesis: str, seed: int) -> _probe.Row:
    """The values of one clip for one seed."""
    errors, words = word_errors(text, hypothesis)
    rate = {} if is_spaceless(text) else {"probe_wer": errors / words, "probe_words": float(words)}
    return rate | {
        "probe_letters": float(len(text)),
        f"cer_{seed}": float(jiwer.cer(text, hypothesis)),
        f"probe_transcript_seed_{seed}": hypothesis,
    }


def collapse(best: list[int], letters: tuple[str, ...]) -> str:
    """The text of the best label of every frame: repetitions once, then without blanks (0)."""
    return "".join(letters[label - 1] for label, _ in groupby(best) if label)
