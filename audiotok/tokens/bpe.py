"""Byte-pair encoding over codes: frequent sequences of codes become one token, without any loss.

Sennrich et al. 2016, arXiv 1508.07909; over the codes of codecs: the package codec-bpe. A clip is
written as text, frame after frame, in each its codes (the pattern "interleaved"; where the frame
rate varies, the duration is the last code of a segment), each code of each codebook as a character
of its own. The library `tokenizers` learns and applies the merges. The folder that `save` writes is
a tokenizer of Hugging Face, which `AutoTokenizer` loads:

    bpe = CodeBPE.fit(clips, vocab_size=16_384)
    ids = bpe.encode(tokens)            # (N,) int64, fewer than codes
    same = bpe.decode(ids, like=tokens)

Characters start at U+4E00, as those of codec-bpe, and leave out the surrogates. If the codebooks
have more codes than there are characters, a code is written as two.
"""

from __future__ import annotations

import itertools
import json
import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from audiotok.errors import MissingPackageError, TokensError
from audiotok.system.files import replacing
from audiotok.tokens.patterns import SPECIAL, free_codes
from audiotok.tokens.tokens import Tokens

if TYPE_CHECKING:
    import tokenizers

log = logging.getLogger("audiotok")
FILE = "audiotok_bpe.json"
FIRST = 0x4E00  # as codec-bpe
SURROGATES = (0xD800, 0xE000)
CHARACTERS = 0x110000 - FIRST - (SURROGATES[1] - SURROGATES[0])
CHUNK = 30.0  # seconds: longer clips are cut to learn merges, not to encode


@dataclass(frozen=True)
class Codes:
    """The codes that a tokenizer was fitted to; fields as in `Tokens`."""

    codec: str
    fingerprint: str
    codebook_sizes: tuple[int, ...]  # with durations, as of `Tokens.segmented`
    strides: tuple[int, ...]

    @classmethod
    def of(cls, tokens: Tokens) -> Codes:
        tokens = tokens.segmented()
        return cls(tokens.codec, tokens.fingerprint, tokens.codebook_sizes, tokens.strides)

    @property
    def count(self) -> int:
        """Codes of all codebooks."""
        return sum(self.codebook_sizes)

    @property
    def digits(self) -> int:
        """Characters of a code."""
        return 1 if self.count <= CHARACTERS else 2

    @property
    def base(self) -> int:
        """Values of a character; each digit has characters of its own."""
        return self.count if self.digits == 1 else math.isqrt(self.count - 1) + 1

    @property
    def alphabet(self) -> list[str]:
        return [character(n) for n in range(self.base * self.digits)]

    def text(self, ids: torch.Tensor) -> str:
        """Ids (N,) of `Tokens.to_sequence` -> text."""
        if self.digits == 1:
            return "".join(map(character, ids.tolist()))
        pairs = (divmod(n, self.base) for n in ids.tolist())
        return "".join(character(high) + character(self.base + low) for high, low in pairs)

    def ids(self, text: str) -> list[int]:
        """The inverse of `text`; of two digits that do not belong together none is used."""
        numbers = list(map(number, text))
        if self.digits == 1:
            return [n for n in numbers if 0 <= n < self.count]
        pairs = itertools.pairwise(numbers)
        return [
            high * self.base + low - self.base
            for high, low in pairs
            if 0 <= high < self.base <= low < 2 * self.base
        ]

    def order(self) -> list[int]:
        """The codebooks of the codes of one unit of lcm(strides) frames, in their order."""
        free = free_codes(self.strides, math.lcm(*self.strides))
        return free.T.nonzero()[:, 1].tolist()


class CodeBPE:
    """A fitted tokenizer.

    Attributes:
        codes: what it was fitted to; it refuses tokens of other codebooks.
        tokenizer: a `tokenizers.Tokenizer`; special tokens come first, `<bos>`, `<eos>`, ...
        offset: added to its ids, for the vocabulary of a language model.
    """

    def __init__(self, codes: Codes, tokenizer: tokenizers.Tokenizer, offset: int = 0):
        if type(offset) is not int or offset < 0:
            raise TokensError(f"the offset is an integer of 0 or more, not {offset!r}")
        self.codes, self.tokenizer, self.offset = codes, tokenizer, offset

    @classmethod
    def fit(
        cls,
        clips: Iterable[Tokens],
        vocab_size: int,
        *,
        max_frames: int | None = None,
        special: Sequence[str] = (),
        offset: int = 0,
    ) -> CodeBPE:
        """Learns merges from clips of one codec.

        Args:
            vocab_size: tokens in all; at least the codes of all codebooks and the special tokens.
            max_frames: most frames of one token.
            special: names of special tokens, some of `patterns.SPECIAL`.

        Raises:
            TokensError: no clips, clips of different codecs, or a vocabulary that is too small.
            MissingPackageError: the library tokenizers is not installed.
        """
        library = _library()
        clips = iter(clips)
        if (first := next(clips, None)) is None:
            raise TokensError("no tokens are given to fit a tokenizer to")
        codes = Codes.of(first)
        if set(special) - set(SPECIAL) or len(set(special)) < len(special):
            raise TokensError(f"special tokens are some of {SPECIAL}, each once, not {special}")
        if max_frames is not None and max_frames < 1:
            raise TokensError(f"max_frames is {max_frames}: expected 1 or more")
        alphabet = codes.alphabet
        if vocab_size < (least := len(alphabet) + len(special)):
            raise TokensError(
                f"a vocabulary of {vocab_size} is too small: the codes of {codes.codec} alone are "
                f"{least} tokens"
            )
        tokenizer = library.Tokenizer(library.models.BPE())
        tokenizer.decoder = library.decoders.Fuse()
        per_frame = len(codes.order()) / math.lcm(*codes.strides) * codes.digits
        trainer = library.trainers.BpeTrainer(
            vocab_size=vocab_size,
            show_progress=False,
            min_frequency=2,
            special_tokens=[f"<{name}>" for name in special],
            limit_alphabet=len(alphabet),
            initial_alphabet=alphabet,
            # the library excludes this length
            max_token_length=None if max_frames is None else math.floor(max_frames * per_frame) + 1,
        )
        texts = _texts(itertools.chain([first], clips), codes)
        tokenizer.train_from_iterator(texts, trainer)
        return cls(codes, tokenizer, offset)

    @property
    def vocab_size(self) -> int:
        return self.tokenizer.get_vocab_size()

    def special_id(self, name: str) -> int:
        """The id of a special token, with the offset."""
        if (number := self.tokenizer.token_to_id(f"<{name}>")) is None:
            raise TokensError(f"the tokenizer has no special token {name!r}")
        return self.offset + number

    def encode(self, tokens: Tokens) -> torch.Tensor:
        """Ids (N,) int64 of a clip, with `<bos>` and `<eos>` where the tokenizer has them.

        Raises:
            TokensError: tokens of another codec, or of several channels.
        """
        if (codes := Codes.of(tokens)) != self.codes:
            raise TokensError(
                f"this tokenizer is of {self.codes.codec} with codebooks of "
                f"{self.codes.codebook_sizes}, the tokens are of {codes.codec} with "
                f"{codes.codebook_sizes}"
            )
        ids = self.tokenizer.encode(self.codes.text(tokens.to_sequence())).ids
        bos, eos = (
            [] if self.tokenizer.token_to_id(f"<{name}>") is None else [self.special_id(name)]
            for name in ("bos", "eos")
        )
        return torch.tensor([*bos, *(self.offset + n for n in ids), *eos])

    def decode(self, ids: torch.Tensor | Sequence[int], like: Tokens, drop: bool = False) -> Tokens:
        """The inverse of `encode`: `like` with the codes in `ids`; its length may change by whole
        frames.

        Args:
            like: any clip of the same codec.
            drop: leave out codes that do not form whole frames, as a language model may make them,
                and log their number.

        Raises:
            TokensError: ids outside of the vocabulary; without `drop`, an incomplete frame or codes
                in the wrong order.
        """
        ids = torch.as_tensor(ids).long().tolist()
        ids = [n - self.offset for n in ids]
        if ids and not 0 <= min(ids) <= max(ids) < self.vocab_size:
            raise TokensError(
                f"ids are from {self.offset} to {self.offset + self.vocab_size - 1}, not "
                f"{min(ids) + self.offset} to {max(ids) + self.offset}"
            )
        if (eos := self.tokenizer.token_to_id("<eos>")) is not None and eos in ids:
            ids = ids[: ids.index(eos)]
        codes = self.codes.ids(self.tokenizer.decode(ids, skip_special_tokens=True))
        if drop:
            kept = list(_whole_units(codes, self.codes))
            if len(kept) < len(codes):
                log.warning(
                    "%d of %d codes form no frame: dropped", len(codes) - len(kept), len(codes)
                )
            codes = kept
        return like.from_sequence(codes)

    def save(self, folder: str | Path) -> None:
        """Writes tokenizer.json, tokenizer_config.json and audiotok_bpe.json into a new folder.

        Raises:
            TokensError: the folder has files, or cannot be written.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise TokensError(f"{folder} is not empty: name a new folder")
        except OSError as reason:
            raise TokensError(f"cannot make the folder {folder}: {reason.strerror}") from reason
        names = {name: f"<{name}>" for name in SPECIAL if f"<{name}>" in self._special()}
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
        }
        config |= {f"{name}_token": token for name, token in names.items()}
        content = {
            "tokenizer.json": self.tokenizer.to_str(),
            "tokenizer_config.json": json.dumps(config, indent=1),
            FILE: json.dumps(asdict(self.codes) | {"offset": self.offset}, indent=1),
        }
        for name, text in content.items():
            with replacing(folder / name, TokensError) as file:
                file.write(text.encode())

    @classmethod
    def load(cls, folder: str | Path) -> CodeBPE:
        """The tokenizer of a folder that `save` wrote.

        Raises:
            TokensError: it holds none, or a damaged one.
        """
        library, folder = _library(), Path(folder)
        try:
            content = json.loads((folder / FILE).read_bytes())
            offset = content.pop("offset")
            for name in ("codebook_sizes", "strides"):
                content[name] = tuple(content[name])
            text = (folder / "tokenizer.json").read_text(encoding="utf-8")
            return cls(Codes(**content), library.Tokenizer.from_str(text), offset)
        except TokensError:
            raise
        except Exception as reason:  # tokenizers raises Exception itself
            line = " ".join(str(reason).split())[:200]
            raise TokensError(
                f"{folder} holds no tokenizer of `audiotok fit-bpe`, or a damaged one: {line}"
            ) from reason

    def _special(self) -> set[str]:
        added = self.tokenizer.get_added_tokens_decoder().values()
        return {token.content for token in added}


def character(n: int) -> str:
    """The character of number `n`."""
    point = FIRST + n
    return chr(point if point < SURROGATES[0] else point + SURROGATES[1] - SURROGATES[0])


def number(text: str) -> int:
    """The inverse of `character`; negative for other characters."""
    point = ord(text)
    return (point if point < SURROGATES[0] else point - SURROGATES[1] + SURROGATES[0]) - FIRST


def _texts(clips: Iterable[Tokens], codes: Codes) -> Iterator[str]:
    unit = math.lcm(*codes.strides)
    for tokens in clips:
        if (other := Codes.of(tokens)) != codes:
            raise TokensError(
                f"tokens of {other.codec} among those of {codes.codec}: fit one tokenizer for each"
            )
        for channel in tokens.segmented().codes:
            seconds = tokens.duration / channel.shape[-1]
            step = max(unit, round(CHUNK / seconds) // unit * unit)
            for part in channel.split(step, -1):
                starts = torch.tensor([0, *codes.codebook_sizes[:-1]]).cumsum(0)
                free = free_codes(codes.strides, part.shape[-1])
                yield codes.text((part + starts[:, None]).T[free.T])


def _whole_units(ids: Sequence[int], codes: Codes) -> Iterator[int]:
    """The ids that form whole units in the right order."""
    ends = list(itertools.accumulate(codes.codebook_sizes))
    order, unit = codes.order(), []
    for n in ids:
        codebook = next(k for k, end in enumerate(ends) if n < end)
        if codebook != order[len(unit)]:
            unit = []
        if codebook == order[len(unit)]:
            unit.append(n)
        if len(unit) == len(order):
            yield from unit
            unit = []


def _library():
    try:
        import tokenizers
        import tokenizers.decoders
        import tokenizers.models
        import tokenizers.trainers
    except ImportError:
        raise MissingPackageError("tokenizers", "bpe", "BPE over codes") from None
    return tokenizers
