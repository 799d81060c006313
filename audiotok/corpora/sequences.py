"""Sequences of ids for language models out of shards of tokens: one per clip, or packed.

A sequence holds the codes of a clip in a pattern (`Tokens.to_sequence`), or as the tokens of a BPE
(`tokens/bpe.py`). With the times of words, text and sound are interleaved: the ids of a word, then
the codes from its beginning to the beginning of the next word; the first word also has the sound
before it. Times are read from a CTM file, the format of NIST's SCTK that forced aligners write:
lines of `id channel start duration word`, in seconds.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from audiotok.corpora.shards import Shards
from audiotok.data import Clip
from audiotok.errors import CorpusError, MissingPackageError
from audiotok.tokens.bpe import CodeBPE
from audiotok.tokens.patterns import Vocabulary
from audiotok.tokens.tokens import Tokens

log = logging.getLogger("audiotok")
Words = dict[str, list[tuple[float, str]]]  # of each clip: start in seconds, word
PATTERNS = ("interleaved", "coarse_first")


@dataclass(frozen=True)
class Layout:
    """How clips become sequences.

    Attributes:
        pattern, offset, special: as in `Tokens.to_sequence`; one-dimensional patterns only.
        bpe: a tokenizer of `audiotok fit-bpe`, instead of these three.
        words: times of the words of each clip, to interleave text.
        text: the ids of a word, all below `offset`; given together with `words`.
    """

    pattern: str = PATTERNS[0]
    offset: int = 0
    special: tuple[str, ...] = ()
    bpe: CodeBPE | None = None
    words: Words = field(default_factory=dict)
    text: Callable[[str], list[int]] | None = None

    def __post_init__(self) -> None:
        if self.pattern not in PATTERNS:
            raise CorpusError(
                f"a sequence has the pattern {' or '.join(PATTERNS)}, not {self.pattern!r}"
            )
        if self.words and self.pattern != PATTERNS[0]:
            raise CorpusError(f"words are interleaved with {PATTERNS[0]} codes only")

    def end(self, sizes: Sequence[int]) -> int:
        """One more than the largest id, for codebooks of these sizes."""
        if self.bpe is not None:
            return self.bpe.offset + self.bpe.vocab_size
        return Vocabulary(tuple(sizes), self.offset, self.special).end

    def ids(self, clip: Clip, tokens: Tokens) -> torch.Tensor:
        """The sequence of a clip, (N,) int64."""
        words = self.words.get(clip.id)
        if not words:
            return self._sound(tokens)
        parts, unit = [], math.lcm(*tokens.strides)
        rate = tokens.num_frames / tokens.duration
        edges = [min(round(start * rate) // unit * unit, tokens.num_frames) for start, _ in words]
        edges = [0, *edges[1:], tokens.num_frames]
        marks = self._marks(tokens)
        for (_, word), begin, end in zip(words, edges, edges[1:], strict=False):
            parts.append(torch.tensor(self._text(word), dtype=torch.int64))
            if begin < end:
                samples = max(1, round((end - begin) / rate * tokens.sample_rate))
                part = replace(tokens, codes=tokens.codes[..., begin:end], num_samples=samples)
                sound = self._sound(part)
                parts.append(sound[~torch.isin(sound, torch.tensor(list(marks.values())))])
        bos, eos = (
            torch.tensor([marks[name]] if name in marks else []).long() for name in ("bos", "eos")
        )
        return torch.cat([bos, *parts, eos])

    def _sound(self, tokens: Tokens) -> torch.Tensor:
        if self.bpe is not None:
            return self.bpe.encode(tokens)
        return tokens.to_sequence(self.pattern, self.offset, self.special)

    def _text(self, word: str) -> list[int]:
        first = self.offset if self.bpe is None else self.bpe.offset
        if (ids := self.text(word)) and max(ids) >= first:
            raise CorpusError(
                f"the word {word!r:.40} has the text id {max(ids)}, but codes start at {first}: "
                "set the offset to the size of the text vocabulary"
            )
        return ids

    def _marks(self, tokens: Tokens) -> dict[str, int]:
        """The ids of bos and eos, if sequences have them."""
        names = ("bos", "eos")
        if self.bpe is not None:
            id_of = self.bpe.tokenizer.token_to_id
            return {
                name: self.bpe.special_id(name) for name in names if id_of(f"<{name}>") is not None
            }
        vocabulary = Vocabulary(tokens.segmented().codebook_sizes, self.offset, self.special)
        return {name: vocabulary.id(name) for name in names if name in self.special}


def read_words(path: str | Path) -> Words:
    """The words of a CTM file, in the order of their times.

    Raises:
        CorpusError: it cannot be read, or a line is not of this format.
    """
    words: Words = {}
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as reason:
        raise CorpusError(f"{path} cannot be read as a CTM file: {reason}") from None
    for number, text in enumerate(lines, 1):
        parts = text.split()
        if not parts or text.startswith(";;"):
            continue
        try:
            name, _, start, _, word = parts[:5]
            begin = float(start)
        except ValueError:
            begin = math.nan
        if not 0 <= begin < math.inf:
            raise CorpusError(
                f"{path}, line {number}: expected `id channel start duration word`, not "
                f"{text!r:.40}"
            )
        words.setdefault(name, []).append((begin, word))
    return {name: sorted(entries, key=lambda pair: pair[0]) for name, entries in words.items()}


def text_ids(path: str | Path) -> Callable[[str], list[int]]:
    """A function from a word to its ids, by a text tokenizer of Hugging Face. The word is encoded
    with a space before it.

    Args:
        path: a tokenizer.json, or its folder.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingPackageError("tokenizers", "bpe", "a text tokenizer") from None
    file = Path(path) / "tokenizer.json" if Path(path).is_dir() else Path(path)
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as reason:  # tokenizers raises Exception itself
        raise CorpusError(f"{file} is no tokenizer: {reason}") from None
    return lambda word: tokenizer.encode(f" {word}", add_special_tokens=False).ids


def sequences(
    shards: Shards, layout: Layout, tick: Callable[[int, float], None]
) -> Iterator[torch.Tensor]:
    """The sequence of each clip, in the order of the corpus; `tick` as of `export_webdataset`."""
    without_words = 0
    for clip, tokens in shards:
        without_words += bool(layout.words) and clip.id not in layout.words
        yield layout.ids(clip, tokens)
        tick(1, tokens.duration)
    if without_words:
        log.warning(
            "%d clips have no words in the CTM file: their sound alone is written", without_words
        )


def packed(ids: Iterable[torch.Tensor], length: int) -> Iterator[torch.Tensor]:
    """Sequences concatenated and cut to `length` ids; only the last may be shorter."""
    if length < 1:
        raise CorpusError(f"packed sequences have 1 id or more, not {length}")
    parts, filled = [], 0
    for sequence in ids:
        while filled + len(sequence) >= length:
            yield torch.cat([*parts, sequence[: length - filled]])
            sequence, parts, filled = sequence[length - filled :], [], 0
        parts, filled = [*parts, sequence], filled + len(sequence)
    if filled:
        yield torch.cat(parts)
