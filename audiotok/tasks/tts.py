"""tts: speech that a model generated from a text and a prompt: words, voice, quality, cost.

It scores given sounds (suite `tts`): a manifest with `text`, `speaker`, `prompt` (a sound of the
voice to imitate), and `label`, the kind of the sentence. The recording of the sentence by the same
voice (`reference`), its copy by the codec, and noise are rows like those of a model:

- words: error rates by Whisper; the shares of the text's words that were skipped, and that were
  repeated, by aligning Whisper's transcript with the text;
- voice: cosine with the prompt, and the mean cosine with the prompts of the other voices. The row
  of the codec's copy gives both bounds: the same voice and another one, through the codec;
- quality: DistillMOS, where it is installed;
- cost: sequential steps of the network and seconds of work per second of speech, which
  `audiotok say` writes into the metadata of its files; other rows have none.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jiwer
import numpy as np

from audiotok.errors import AudiotokError, MetricError
from audiotok.judges import mos
from audiotok.judges.asr import normalise
from audiotok.judges.asr.whisper import Whisper
from audiotok.judges.pretrained import slug
from audiotok.judges.speakers.resemblyzer import Resemblyzer
from audiotok.sound import comments
from audiotok.sound.audio import read
from audiotok.tasks import Column, Item, Task, _words

if TYPE_CHECKING:
    import pandas

    from audiotok.data import Corpus
    from audiotok.tokens.tokens import Tokens

NEAR = 3  # words: an inserted word that occurs in the text within this distance is a repetition
MAX_VOICES = 8  # other voices that a clip is compared with


class Tts(Task):
    """Args: model: of Whisper, as in `asr_whisper`.

    Ranked: the word error rate and the similarity to the prompt. Both are needed: a model may speak
    clearly in another voice, or unclearly in the right voice. Skips and repetitions are parts of
    the word error rate, and DistillMOS does not rate the words.
    """

    name = "tts"
    version = 1
    ranked = ("tts_wer", "tts_similarity")
    costs = ("tts_steps", "tts_work")
    option = "a size of Whisper, a name on the Hub, a folder"

    def __init__(self, model: str | None = None):
        self.recogniser, self.encoder = Whisper(model), Resemblyzer()
        self.mos = mos.get("distillmos")
        self.suffix = slug(self.recogniser.label)
        if self.recogniser.label:
            self.name = f"{type(self).name}:{self.recogniser.label}"
        self.prompts: dict[str, Path] = {}  # speaker -> the prompt of its first clip

    @property
    def identity(self) -> dict[str, str]:
        return self.recogniser.identity | self.mos.identity

    @property
    def columns(self) -> tuple[Column, ...]:
        recogniser, voice = self.recogniser.name, self.encoder.name
        fields = (
            ("wer", False, 3, f"word error rate; {recogniser}"),
            ("cer", False, 3, f"character error rate; {recogniser}"),
            ("skipped", False, 3, f"share of the words that were skipped; {recogniser}"),
            ("repeated", False, 3, f"repeated words, per word of the text; {recogniser}"),
            ("similarity", True, 3, f"cosine with the prompt; {voice}"),
            ("other_similarity", None, 3, f"mean cosine with prompts of other voices; {voice}"),
            ("mos", True, 2, "DistillMOS"),
            ("steps", False, 0, "sequential steps of the network"),
            ("work", False, 2, "seconds of work per second of speech, as `audiotok say` measured"),
            ("words", None, 0, "words of the text"),
            ("characters", None, 0, "characters of the text"),
        )
        return tuple(Column(f"tts_{name}{self.suffix}", "", *field) for name, *field in fields)

    def available(self) -> str | None:
        for part in (self.recogniser, self.encoder):
            if (error := part.missing()) is not None:
                return str(error)
        return None

    def left_out(self) -> dict[str, str]:
        error = self.mos.missing()
        return {} if error is None else {f"tts_mos{self.suffix}": str(error)}

    def unsuited(self, corpus: Corpus) -> str | None:
        if any(clip.prompt and clip.text for clip in corpus):
            return None
        return "no clip has a text and a prompt: expected a manifest with these columns"

    def prepare(self, corpus: Corpus) -> None:
        for clip in corpus:
            if clip.speaker and clip.prompt:
                self.prompts.setdefault(clip.speaker, clip.prompt)

    def score(self, item: Item) -> dict[str, float | str | AudiotokError]:
        clip = item.clip
        row: dict[str, float | str | AudiotokError] = {}
        if clip.text:
            transcript = _words.transcribe(self.recogniser, item.reconstruction, clip.language)
            row |= words(clip.text, transcript) | {"transcript": transcript}
        if clip.prompt:
            row |= self._voice(item)
        if self.mos.missing() is None:
            try:
                row["mos"] = self.mos(item.reconstruction)["distillmos"]
            except AudiotokError as error:
                row["mos"] = error
        row |= costs(clip.path, item.reconstruction.duration)
        return {f"tts_{name}{self.suffix}": value for name, value in row.items()} | {
            "tts_kind": clip.label or ""
        }

    def _voice(self, item: Item) -> dict[str, float | AudiotokError]:
        clip = item.clip
        try:
            embedding = self.encoder.embed(item.reconstruction)
            row = {"similarity": float(embedding @ _prompt_embedding(clip.prompt))}
        except AudiotokError as error:
            return {"similarity": error}
        others = [path for voice, path in sorted(self.prompts.items()) if voice != clip.speaker]
        if cosines := [embedding @ _prompt_embedding(path) for path in others[:MAX_VOICES]]:
            row["other_similarity"] = float(np.mean(cosines))
        return row

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        return self._rates(rows)

    def details(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, Any]:
        """The rates of each kind of sentence, and how many clips it has."""
        if "tts_kind" not in rows:
            return {}
        kinds = {
            kind: {"clips": len(group)} | self._rates(group)
            for kind, group in rows.groupby("tts_kind")
            if kind
        }
        return {"tts_kinds": kinds} if kinds else {}

    def _rates(self, rows: pandas.DataFrame) -> dict[str, float]:
        """All errors by all words, of these clips."""
        totals: dict[str, float] = {}
        for rate in ("wer", "cer", "skipped", "repeated"):
            units = "characters" if rate == "cer" else "words"
            names = (f"tts_{name}{self.suffix}" for name in (rate, units))
            totals |= _words.micro_average(rows, *names)
        return totals


def words(text: str, transcript: str) -> dict[str, float | AudiotokError]:
    """Rates of one clip."""
    skipped, repeated = skips_and_repetitions(text, transcript)
    count = len(normalise(text).split())
    if not count:
        return {"wer": MetricError(f"the text {text[:40]!r} holds no words")}
    return {
        "wer": _words.rate(text, transcript),
        "cer": _words.rate(text, transcript, _words.character_errors),
        "skipped": skipped / count,
        "repeated": repeated / count,
        "words": float(count),
        "characters": float(len(normalise(text))),
    }


def skips_and_repetitions(text: str, transcript: str) -> tuple[int, int]:
    """How many words of the text the transcript leaves out, and how many it repeats.

    By the alignment with the fewest errors. A repetition is an inserted word that is one of the
    NEAR words of the text before or after its place.
    """
    reference, hypothesis = normalise(text).split(), normalise(transcript).split()
    if not reference or not hypothesis:
        return len(reference), 0
    skipped = repeated = 0
    alignment = jiwer.process_words(" ".join(reference), " ".join(hypothesis)).alignments[0]
    for part in alignment:
        if part.type == "delete":
            skipped += part.ref_end_idx - part.ref_start_idx
        elif part.type == "insert":
            at = part.ref_start_idx
            near = reference[max(0, at - NEAR) : at + NEAR]
            inserted = hypothesis[part.hyp_start_idx : part.hyp_end_idx]
            repeated += sum(word in near for word in inserted)
    return skipped, repeated


def costs(path: Path | None, duration: float) -> dict[str, float]:
    """Steps and work, where the metadata of the file have them."""
    try:
        metadata = json.loads(comments.read(path)) if path else {}
        steps, seconds = metadata["steps"], sum(metadata["seconds"].values())
        return {"steps": float(steps), "work": float(seconds) / duration}
    except (AudiotokError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError):
        return {}


@lru_cache(maxsize=64)
def _prompt_embedding(path: Path) -> np.ndarray:
    return Resemblyzer().embed(read(path))
