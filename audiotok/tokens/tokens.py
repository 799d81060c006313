"""Tokens: the codes of one clip with everything needed to decode them; bitrates; sequences for
language models. The file format is in `atok.py`, the patterns of sequences in `patterns.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from audiotok.errors import TokensError
from audiotok.sound.audio import WRITABLE
from audiotok.system.files import regular_size, replacing
from audiotok.system.names import Recorded
from audiotok.tokens import atok, durations
from audiotok.tokens.entropy import entropy
from audiotok.tokens.patterns import Vocabulary, free_codes, from_ids, to_ids
from audiotok.tokens.shown import Shown


@dataclass(frozen=True, eq=False, repr=False)
class Tokens(Shown):
    """The codes of one clip.

    Attributes:
        codes: (C, K, T) int64, rectangular at the finest rate; 0 <= code < codebook_sizes[k].
        codec: full name of the codec, with its options.
        fingerprint: hex sha256 of the codebooks (if they are implicit, of the configuration).
        num_samples: exact length of the source, at `sample_rate`.
        sample_rate: of the source, Hz.
        codebook_sizes: K sizes V.
        strides: K numbers of frames: codebook k has a new code only every strides[k] frames, and
            repeats it in between; () means 1 for all.
        side: int32 or int64 side information of up to 4 dimensions; it counts in the bitrate.
        max_duration: most units of a segment, where the frame rate varies: the first
            `merged_codebooks` then count a run of equal codes once, see `durations.py`. 1: it is
            fixed.
        merged_codebooks: number of codebooks that share segments; None or 0: all.
        global_codes: (C, G) int64, codes of the whole clip beside the sequence.
        global_sizes: G sizes of their codebooks.
        needs: for tokens without a decoder, what would be needed to decode them, in one line.

    Raises:
        TokensError: a code out of range, or inconsistent numbers; the limits are the constants
            MAX_... of `atok.py`.
    """

    codes: torch.Tensor
    codec: str
    fingerprint: str
    num_samples: int
    sample_rate: int
    codebook_sizes: tuple[int, ...]
    strides: tuple[int, ...] = ()
    side: torch.Tensor | None = None
    max_duration: int = 1
    merged_codebooks: int | None = None
    global_codes: torch.Tensor | None = None
    global_sizes: tuple[int, ...] = ()
    needs: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "global_sizes", tuple(self.global_sizes))
        object.__setattr__(self, "codebook_sizes", tuple(self.codebook_sizes))
        object.__setattr__(self, "strides", tuple(self.strides) or (1,) * len(self.codebook_sizes))
        codes, side = self.codes, self.side
        if not isinstance(codes, torch.Tensor) or codes.dtype != torch.int64 or codes.ndim != 3:
            raise TokensError(f"codes are an int64 tensor (C, K, T), not {_kind(codes)}")
        for field in ("codec", "fingerprint"):
            text = getattr(self, field)
            if not isinstance(text, str) or not 0 < len(text) <= 1024:
                raise TokensError(f"{field} is text of 1 to 1024 characters, not {text!r:.40}")
        if side is not None and (
            not isinstance(side, torch.Tensor)
            or side.dtype not in atok.SIDE_TYPES.values()
            or not (side.numel() and side.ndim <= 4)
        ):
            raise TokensError(f"side information is int32 or int64, not {_kind(side)}")
        if side is not None and side.numel() > atok.MAX_SIDE:
            raise TokensError(
                f"side information has {side.numel()} values, more than {atok.MAX_SIDE}"
            )
        atok.check_numbers(
            tuple(codes.shape),
            self.codebook_sizes,
            self.strides,
            self.num_samples,
            self.sample_rate,
        )
        if self.max_duration == 1:
            object.__setattr__(self, "merged_codebooks", 0)
        elif not self.merged_codebooks:
            object.__setattr__(self, "merged_codebooks", self.num_codebooks)
        atok.check_added(self)
        for k in range(self.num_codebooks):
            self._check_codebook(k)

    def _check_codebook(self, k: int) -> None:
        codes, size, stride = self.codes[:, k], self.codebook_sizes[k], self.strides[k]
        low, high = (int(edge) for edge in torch.aminmax(codes))
        if low < 0 or high >= size:
            invalid = low if low < 0 else high
            frame = int((codes == invalid).any(0).nonzero()[0])
            why = ": the latents of that frame were not finite" if invalid == -1 else ""
            raise TokensError(
                f"code {invalid} in codebook {k} at frame {frame} is not in 0..{size - 1}{why}"
            )
        if stride > 1:
            repeated = atok.repeat(codes[:, ::stride], stride, self.num_frames)
            if not torch.equal(repeated, codes):
                raise TokensError(f"codebook {k} changes more often than every {stride} frames")

    @property
    def num_codebooks(self) -> int:
        return self.codes.shape[1]

    @property
    def num_frames(self) -> int:
        return self.codes.shape[2]

    @property
    def duration(self) -> float:
        """Seconds of the source."""
        return self.num_samples / self.sample_rate

    @property
    def free(self) -> torch.Tensor:
        """Which codes are free, and not a repetition: (K, T) bool."""
        free, unit = free_codes(self.strides, self.num_frames), math.lcm(*self.strides)
        for k in range(self.merged_codebooks):
            frames = (self.strides[k], self.num_frames)
            free[k] = durations.free_frames(self._segment_starts, unit, *frames)
        return free

    @property
    def free_codes(self) -> list[torch.Tensor]:
        """For each codebook the codes without repetitions: (C, ceil(T / stride)), or fewer where
        segments share codes."""
        if self.max_duration == 1:
            return [self.codes[:, k, ::stride] for k, stride in enumerate(self.strides)]
        return [self.codes[:, k, free] for k, free in enumerate(self.free)]

    def repeated(self, k: int, free: torch.Tensor) -> torch.Tensor:
        """Free codes (C, n) of codebook `k` -> (C, T), repeated as those of this clip are."""
        stride = self.strides[k]
        if k >= self.merged_codebooks:
            return atok.repeat(free, stride, self.num_frames)
        unit = math.lcm(*self.strides)
        return durations.repeated(free, self._segment_starts, unit, stride, self.num_frames)

    @cached_property
    def _segment_starts(self) -> torch.Tensor:
        codes, unit = self.codes[:, : self.merged_codebooks].cpu(), math.lcm(*self.strides)
        return durations.segment_starts(codes, unit, self.max_duration)

    @property
    def durations(self) -> torch.Tensor | None:
        """Durations of the segments (S,) int64, in units of lcm(strides) frames, which share their
        codes; None where the frame rate is fixed."""
        return None if self.max_duration == 1 else durations.durations_of(self._segment_starts)

    # --- bitrates ------------------------------------------------------------------------------

    @property
    def num_bits(self) -> float:
        """Information of the free codes at log2(V) bits each, of durations at log2(max_duration)
        bits and of global codes, plus side information."""
        pairs = zip(self.free_codes, self.codebook_sizes, strict=True)
        return sum(free.numel() * math.log2(size) for free, size in pairs) + self.other_bits

    @property
    def other_bits(self) -> float:
        """The bits beside the free codes: durations, global codes and side information."""
        bits = len(self.codes) * sum(math.log2(size) for size in self.global_sizes)
        if self.max_duration > 1:
            bits += len(self.durations) * math.log2(self.max_duration)
        return bits + self.side_bits

    @property
    def bitrate(self) -> float:
        """Computed bitrate, bit/s."""
        return self.num_bits / self.duration

    @property
    def file_bitrate(self) -> float:
        """Bitrate of the .atok file with its header, bit/s."""
        return 8 * len(self.to_bytes()) / self.duration

    @property
    def side_bits(self) -> int:
        """Bits of the side information."""
        return 0 if self.side is None else 8 * self.side.numel() * self.side.element_size()

    # --- bytes ---------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """The .atok file."""
        return atok.dump(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Tokens:
        """Tokens of an .atok file; other bytes raise TokensError. `codec` is a `names.Recorded`."""
        return cls._parsed(data, "the .atok file")

    @classmethod
    def _parsed(cls, data: bytes, source: str) -> Tokens:
        fields = atok.parse(bytes(data))
        return cls(**fields | {"codec": Recorded(fields["codec"], source)})

    def save(self, path: str | Path) -> None:
        """Writes an .atok file, whole or not at all; never under the extension of sound."""
        if Path(path).suffix.lower() in WRITABLE:
            raise TokensError(f"cannot write tokens to {path}: expected a name that ends in .atok")
        with replacing(path, TokensError) as file:
            file.write(self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> Tokens:
        """Reads an .atok file; the header is checked before the rest is read."""
        try:
            size = regular_size(path)
            with open(path, "rb") as file:
                head = file.read(8 + atok.MAX_HEADER)
                atok.check(head, size)
                data = head + file.read(size - len(head))
        except OSError as reason:
            raise TokensError(f"{path} cannot be read: {reason.strerror}") from reason
        except TokensError as reason:
            raise TokensError(f"{path}: {reason}") from None
        try:
            return cls._parsed(data, str(path))
        except TokensError as reason:
            raise TokensError(f"{path}: {reason}") from None

    # --- for language models -------------------------------------------------------------------

    def first(self, k: int) -> Tokens:
        """The first `k` codebooks alone."""
        if not 1 <= k <= self.num_codebooks:
            raise TokensError(f"cannot take {k} of {self.num_codebooks} codebooks")
        sizes, strides = self.codebook_sizes[:k], self.strides[:k]
        merged = min(k, self.merged_codebooks)
        codes = self.codes[:, :k]
        return replace(
            self, codes=codes, codebook_sizes=sizes, strides=strides, merged_codebooks=merged
        )

    def to_sequence(
        self,
        pattern: str = "interleaved",
        offset: int = 0,
        special: Sequence[str] = (),
        special_first: bool = False,
    ) -> torch.Tensor:
        """The free codes as ids of a language model's vocabulary, int64.

        Args:
            pattern: one of `patterns.PATTERNS`, which are described there.
            offset, special, special_first: the assignment of ids, see `patterns.Vocabulary`:
                codebook k has the ids from offset + sum(codebook_sizes[:k]) on, special ids come
                after or before all of them.

        Where the frame rate varies, the sequence is that of `segmented`: durations are one more
        codebook, the last one.
        """
        if self.codes.shape[0] != 1:
            raise TokensError("a sequence has one channel: convert the channels separately")
        if self.global_codes is not None:
            raise TokensError(
                f"a sequence has no place for {len(self.global_sizes)} global codes: take them "
                "from global_codes, and the sequence of the same tokens without them"
            )
        tokens = self.segmented()
        vocabulary = Vocabulary(tokens.codebook_sizes, offset, tuple(special), special_first)
        return to_ids(tokens.codes[0], tokens.strides, pattern, vocabulary)

    def from_sequence(
        self,
        ids: torch.Tensor | Sequence,
        pattern: str = "interleaved",
        offset: int = 0,
        special: Sequence[str] = (),
        special_first: bool = False,
        trim: bool = False,
    ) -> Tokens:
        """The inverse of `to_sequence`: a copy of these Tokens with the codes in `ids`, integers in
        a tensor, an array or lists.

        `ids` may be longer or shorter than this clip by whole frames, e.g. if a language model
        generated them: `num_samples` then changes in proportion.

        Args:
            trim: drop an incomplete frame at the end, e.g. if a language model stopped within a
                frame; the number of dropped ids is logged.

        Raises:
            TokensError: an id outside of its codebook, or a part of a frame.
        """
        tokens = self.segmented()
        vocabulary = Vocabulary(tokens.codebook_sizes, offset, tuple(special), special_first)
        codes = from_ids(
            ids, tokens.strides, pattern, vocabulary, num_frames=tokens.num_frames, trim=trim
        )[None]
        if self.max_duration > 1:
            codes = replace(tokens, codes=codes).codes  # checked
            codes = durations.expanded(codes[:, :-1], codes[0, -1] + 1, math.lcm(*self.strides))
        num_samples = self.num_samples
        if codes.shape[2] != self.num_frames:
            num_samples = max(1, round(num_samples * codes.shape[2] / self.num_frames))
        return replace(self, codes=codes, num_samples=num_samples)

    def segmented(self) -> Tokens:
        """The same clip at a fixed rate per segment, for language models: codes (C, K + 1, T') of
        the first unit of each segment, and as the last codebook its duration minus 1. These tokens
        themselves where the frame rate is fixed.

        Raises:
            TokensError: not all codebooks share the segments.
        """
        if self.max_duration == 1:
            return self
        layout = (self.codebook_sizes, self.strides, self.max_duration, self.merged_codebooks)
        sizes, strides = segmented_layout(*layout)
        frames = torch.arange(self.num_frames, device="cpu") // strides[-1]
        starts, kept = self._segment_starts, self._segment_starts[frames]
        lengths = self.durations[(starts.cumsum(0) - 1)[frames[kept]]] - 1
        lengths = lengths.expand(len(self.codes), 1, -1)
        return replace(
            self,
            codes=torch.cat([self.codes[:, :, kept], lengths], 1),
            codebook_sizes=sizes,
            strides=strides,
            max_duration=1,
            merged_codebooks=0,
        )


def segmented_layout(
    codebook_sizes: Sequence[int],
    strides: Sequence[int],
    max_duration: int,
    merged_codebooks: int,
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Codebook sizes and strides of `Tokens.segmented`, from those of the tokens."""
    if max_duration == 1:
        return tuple(codebook_sizes), tuple(strides)
    if merged_codebooks < len(codebook_sizes):
        raise TokensError(
            f"{merged_codebooks} of {len(codebook_sizes)} codebooks share segments: language "
            "models need all to share them; merge without layers=, or use first(k)"
        )
    return (*codebook_sizes, max_duration), (*strides, math.lcm(*strides))


def entropy_bitrate(tokens: Sequence[Tokens]) -> float:
    """Bitrate by the entropy of the codes of each codebook over all clips, bit/s.

    The entropy is that of the source, estimated by `audiotok.tokens.entropy`.
    """
    if not tokens:
        raise TokensError("no tokens are given: their entropy is not defined")
    if len({one.codebook_sizes for one in tokens}) > 1:
        raise TokensError("the entropy of tokens of different codecs is not defined")
    bits = float(sum(one.side_bits for one in tokens))
    bits += sum(len(t.codes) * math.log2(size) for t in tokens for size in t.global_sizes)
    if tokens[0].max_duration > 1:
        lengths = torch.cat([one.durations for one in tokens])
        counts = lengths.unique(return_counts=True)[1].numpy()
        bits += len(lengths) * entropy(counts, tokens[0].max_duration)
    for k, size in enumerate(tokens[0].codebook_sizes):
        codes = torch.cat([one.free_codes[k].reshape(-1) for one in tokens])
        bits += len(codes) * entropy(codes.unique(return_counts=True)[1].numpy(), size)
    return bits / sum(one.duration for one in tokens)


def _kind(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    return type(value).__name__
