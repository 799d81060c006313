"""Tokens: the codes of one clip with everything needed to decode them; bitrates; sequences for
language models. The file format is in `atok.py`, the patterns of sequences in `patterns.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from audiotok.errors import TokensError
from audiotok.sound.audio import WRITABLE
from audiotok.system import notebook
from audiotok.system.files import regular_size, replacing
from audiotok.system.names import Recorded
from audiotok.tokens import atok
from audiotok.tokens.entropy import entropy
from audiotok.tokens.patterns import Vocabulary, from_ids, to_ids


@dataclass(frozen=True, eq=False)
class Tokens:
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

    def __post_init__(self) -> None:
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
    def free_codes(self) -> list[torch.Tensor]:
        """For each codebook the codes without repetitions, (C, ceil(T / stride))."""
        return [self.codes[:, k, ::stride] for k, stride in enumerate(self.strides)]

    # --- as an array, and as text --------------------------------------------------------------

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """`numpy.asarray(tokens)`: the codes (C, K, T) int64."""
        return np.array(self.codes.numpy(force=True), dtype=dtype, copy=copy)

    def __dlpack__(self, **settings: Any) -> Any:
        """`torch.as_tensor(tokens)`: the codes (C, K, T) int64, which share their memory."""
        return self.codes.__dlpack__(**settings)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.codes.__dlpack_device__()

    def __repr__(self) -> str:
        return (
            f"Tokens({self.codec}: {self.duration:.2f} s, {self.num_frames} frames of "
            f"{self._shape_of_frame}, {self.bitrate:.0f} bit/s)"
        )

    def _repr_html_(self) -> str:
        """A table of what is known of the clip, and a picture of the codes of each channel."""
        pictures = [notebook.picture(channel.numpy(force=True)) for channel in self.codes]
        return notebook.table(self.facts().items()) + "".join(pictures)

    def facts(self) -> dict[str, str]:
        """What is known of the clip, for people: {name: value with its unit}."""
        used = [
            f"{len(codes.unique())} of {size}"
            for codes, size in zip(self.free_codes, self.codebook_sizes, strict=True)
        ]
        facts = {
            "codec": self.codec,
            "fingerprint": self.fingerprint,
            "duration": f"{self.duration:.2f} s ({self.num_samples} samples at "
            f"{self.sample_rate} Hz)",
            "codes": f"{self.num_frames} frames of {self._shape_of_frame}",
            "codes in use": ", ".join(used),
            "bitrate": f"{self.bitrate:.0f} bit/s, {self.file_bitrate:.0f} bit/s as a file",
        }
        if set(self.strides) != {1}:
            facts["strides"] = f"{', '.join(map(str, self.strides))} frames"
        if self.side is not None:
            facts["side information"] = f"{self.side_bits} bits, {tuple(self.side.shape)}"
        return facts

    @property
    def _shape_of_frame(self) -> str:
        sizes = set(self.codebook_sizes)
        size = sizes.pop() if len(sizes) == 1 else ", ".join(map(str, self.codebook_sizes))
        books = f"{self.num_codebooks} codebook{'s' * (self.num_codebooks > 1)} of {size}"
        channels = len(self.codes)
        return books if channels == 1 else f"{books} in {channels} channels"

    # --- bitrates ------------------------------------------------------------------------------

    @property
    def num_bits(self) -> float:
        """Information of the free codes at log2(V) bits each, plus side information."""
        pairs = zip(self.free_codes, self.codebook_sizes, strict=True)
        return sum(free.numel() * math.log2(size) for free, size in pairs) + self.side_bits

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
        return atok.dump(
            self.free_codes,
            self.codes.shape,
            self.codebook_sizes,
            self.strides,
            self.num_samples,
            self.sample_rate,
            self.codec,
            self.fingerprint,
            self.side,
        )

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
        return replace(self, codes=self.codes[:, :k], codebook_sizes=sizes, strides=strides)

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
        """
        if self.codes.shape[0] != 1:
            raise TokensError("a sequence has one channel: convert the channels separately")
        vocabulary = Vocabulary(self.codebook_sizes, offset, tuple(special), special_first)
        return to_ids(self.codes[0], self.strides, pattern, vocabulary)

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
        vocabulary = Vocabulary(self.codebook_sizes, offset, tuple(special), special_first)
        codes = from_ids(
            ids, self.strides, pattern, vocabulary, num_frames=self.num_frames, trim=trim
        )
        num_samples = self.num_samples
        if codes.shape[1] != self.num_frames:
            num_samples = max(1, round(num_samples * codes.shape[1] / self.num_frames))
        return replace(self, codes=codes[None], num_samples=num_samples)


def entropy_bitrate(tokens: Sequence[Tokens]) -> float:
    """Bitrate by the entropy of the codes of each codebook over all clips, bit/s.

    The entropy is that of the source, estimated by `audiotok.tokens.entropy`.
    """
    if not tokens:
        raise TokensError("no tokens are given: their entropy is not defined")
    if len({one.codebook_sizes for one in tokens}) > 1:
        raise TokensError("the entropy of tokens of different codecs is not defined")
    bits = float(sum(one.side_bits for one in tokens))
    for k, size in enumerate(tokens[0].codebook_sizes):
        codes = torch.cat([one.free_codes[k].reshape(-1) for one in tokens])
        bits += len(codes) * entropy(codes.unique(return_counts=True)[1].numpy(), size)
    return bits / sum(one.duration for one in tokens)


def _kind(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    return type(value).__name__
