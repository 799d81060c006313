"""Tokens: the codes of one clip with all that decoding needs; .atok files; bitrates; flattening.

An .atok file is a safetensors file: the tensor `codes` holds the free codes, bit-packed, most
significant bit first, codebook after codebook; `side` the side information, if any; the metadata
everything else, with a CRC-32 over metadata and tensors. Reading checks every declared size against
the file before anything is allocated.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from audiotok.audio import SAMPLE_RATES
from audiotok.errors import TokensError
from audiotok.files import replacing

FORMAT = "atok-1"
MAX_HEADER = 65_536  # bytes
MAX_CODES = 2**29  # C * K * T of one clip: 6 hours of 24 kHz PCM, 77 days of 80 tokens/s
MAX_CODEBOOKS = 64
MAX_CODEBOOK_SIZE = 2**24
MAX_STRIDE = 32  # frames
MAX_NUM_SAMPLES = 2**40
_CHUNK = 2**18  # codes packed at once; a multiple of 8
_FIELDS = {
    "format",
    "codec",
    "fingerprint",
    "num_samples",
    "sample_rate",
    "shape",
    "codebook_sizes",
    "strides",
    "crc32",
}
_SIDE_TYPES = {"I32": torch.int32, "I64": torch.int64}


@dataclass(frozen=True, eq=False)
class Tokens:
    """The codes of one clip.

    Attributes:
        codes: (C, K, T) int64, rectangular at the finest rate; 0 <= code < codebook_sizes[k].
        codec: full name of the codec, with its options.
        fingerprint: hex sha256 of the codebooks (where they are implicit: of the configuration).
        num_samples: exact length of the source, at `sample_rate`.
        sample_rate: of the source, Hz.
        codebook_sizes: K sizes V.
        strides: K numbers of frames: codebook k is free only every strides[k] frames, and repeats
            its code between; () means that all are free.
        side: int32 or int64 side information; it counts in the bitrate.
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
        codes = self.codes
        if not isinstance(codes, torch.Tensor) or codes.dtype != torch.int64 or codes.ndim != 3:
            raise TokensError(f"codes are an int64 tensor (C, K, T), not {_kind(codes)}")
        _check_header(
            tuple(codes.shape),
            self.codebook_sizes,
            self.strides,
            self.num_samples,
            self.sample_rate,
        )
        for field in ("codec", "fingerprint"):
            value = getattr(self, field)
            if not isinstance(value, str) or not 0 < len(value) <= 1024:
                raise TokensError(f"{field} is text of 1 to 1024 characters, not {value!r:.60}")
        if self.side is not None and (
            not isinstance(self.side, torch.Tensor) or self.side.dtype not in _SIDE_TYPES.values()
        ):
            raise TokensError(f"side information is int32 or int64, not {_kind(self.side)}")
        for k, (size, stride) in enumerate(zip(self.codebook_sizes, self.strides, strict=True)):
            low, high = (int(edge) for edge in torch.aminmax(codes[:, k]))
            if low < 0 or high >= size:
                wrong = low if low < 0 else high
                where = int((codes[:, k] == wrong).any(0).nonzero()[0])
                why = " (latents that are not finite get -1)" if wrong == -1 else ""
                raise TokensError(
                    f"code {wrong} in codebook {k} at frame {where} is not in 0..{size - 1}{why}"
                )
            if stride > 1:
                repeated = _repeat(codes[:, k, ::stride], stride, codes.shape[2])
                if not torch.equal(repeated, codes[:, k]):
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
        """Of each codebook, the codes (C, ceil(T / stride)) that are free."""
        return [self.codes[:, k, ::stride] for k, stride in enumerate(self.strides)]

    @property
    def num_bits(self) -> float:
        """Information of the free codes at log2(V) bits each, plus side information."""
        sizes = zip(self.free_codes, self.codebook_sizes, strict=True)
        return sum(free.numel() * math.log2(size) for free, size in sizes) + self._side_bits

    @property
    def bitrate(self) -> float:
        """Computed bitrate, bit/s."""
        return self.num_bits / self.duration

    @property
    def file_bitrate(self) -> float:
        """Bitrate of the .atok file with its header, bit/s."""
        return 8 * len(self.to_bytes()) / self.duration

    @property
    def _side_bits(self) -> int:
        return 0 if self.side is None else 8 * self.side.numel() * self.side.element_size()

    def first(self, k: int) -> Tokens:
        """The first `k` codebooks alone."""
        if not 1 <= k <= self.num_codebooks:
            raise TokensError(f"cannot take {k} of {self.num_codebooks} codebooks")
        sizes, strides = self.codebook_sizes[:k], self.strides[:k]
        return replace(self, codes=self.codes[:, :k], codebook_sizes=sizes, strides=strides)

    def to_bytes(self) -> bytes:
        """The .atok file."""
        payload = b"".join(
            _pack(free.reshape(-1), _bits(size))
            for free, size in zip(self.free_codes, self.codebook_sizes, strict=True)
        )
        entries = {"codes": _entry("U8", (len(payload),), 0, len(payload))}
        if self.side is not None:
            name = next(n for n, dtype in _SIDE_TYPES.items() if dtype == self.side.dtype)
            side = self.side.cpu().contiguous().numpy().astype(f"<i{self.side.element_size()}")
            end = len(payload) + side.nbytes
            entries["side"] = _entry(name, self.side.shape, len(payload), end)
            payload += side.tobytes()
        metadata = {
            "format": FORMAT,
            "codec": self.codec,
            "fingerprint": self.fingerprint,
            "num_samples": str(self.num_samples),
            "sample_rate": str(self.sample_rate),
            "shape": _join(self.codes.shape),
            "codebook_sizes": _join(self.codebook_sizes),
            "strides": _join(self.strides),
        }
        metadata["crc32"] = _checksum(metadata, entries, payload)
        header = json.dumps({"__metadata__": metadata, **entries}, separators=(",", ":")).encode()
        header += b" " * (-len(header) % 8)
        if len(header) > MAX_HEADER:
            raise TokensError(f"the header of the .atok file has more than {MAX_HEADER} bytes")
        return struct.pack("<Q", len(header)) + header + payload

    @classmethod
    def from_bytes(cls, data: bytes) -> Tokens:
        """Tokens of an .atok file; any other bytes raise one TokensError."""
        return _parse(bytes(data))

    def save(self, path: str | Path) -> None:
        """Writes an .atok file, whole or not at all."""
        with replacing(path, TokensError) as file:
            file.write(self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> Tokens:
        """Reads an .atok file."""
        try:
            data = Path(path).read_bytes()
        except OSError as reason:
            raise TokensError(f"{path} cannot be read: {reason.strerror}") from reason
        try:
            return cls.from_bytes(data)
        except TokensError as reason:
            raise TokensError(f"{path}: {reason}") from None


def entropy_bitrate(tokens: list[Tokens]) -> float:
    """Bitrate by the measured frequencies of the codes of each codebook over all clips, bit/s.

    This is the plug-in estimate, which is too low when clips are few and codebooks large.
    """
    if not tokens:
        raise TokensError("the entropy of no tokens at all is not defined")
    if len({t.codebook_sizes for t in tokens}) > 1:
        raise TokensError("the entropy of tokens of different codecs is not defined")
    bits = float(sum(t._side_bits for t in tokens))
    for k, size in enumerate(tokens[0].codebook_sizes):
        counts = sum(torch.bincount(t.free_codes[k].reshape(-1), minlength=size) for t in tokens)
        counts = counts[counts > 0].double()
        bits += float((counts * (counts.sum() / counts).log2()).sum())
    return bits / sum(t.duration for t in tokens)


def _kind(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"{value.dtype} of shape {tuple(value.shape)}"
    return type(value).__name__


def _check_header(shape, codebook_sizes, strides, num_samples, sample_rate) -> None:
    """Raises TokensError unless the numbers that describe a clip are sane and fit together."""
    channels, codebooks, frames = shape
    for name, value, high in (
        ("channels", channels, 2),
        ("codebooks", codebooks, MAX_CODEBOOKS),
        ("frames", frames, MAX_CODES),
        ("codes in total", channels * codebooks * frames, MAX_CODES),
        ("num_samples", num_samples, MAX_NUM_SAMPLES),
        *(("codebook size - 1", size - 1, MAX_CODEBOOK_SIZE - 1) for size in codebook_sizes),
        *(("stride", stride, MAX_STRIDE) for stride in strides),
    ):
        if type(value) is not int or not 1 <= value <= high:
            raise TokensError(f"{name}: {value} is not an integer in 1..{high}")
    if type(sample_rate) is not int or not SAMPLE_RATES[0] <= sample_rate <= SAMPLE_RATES[1]:
        low, high = SAMPLE_RATES
        raise TokensError(f"sample_rate: {sample_rate} is not an integer in {low}..{high}")
    if not codebooks == len(codebook_sizes) == len(strides):
        raise TokensError(
            f"{codebooks} codebooks have {len(codebook_sizes)} sizes and {len(strides)} strides"
        )


def _repeat(free: torch.Tensor, stride: int, num_frames: int) -> torch.Tensor:
    return free.repeat_interleave(stride, dim=-1)[..., :num_frames]


# --- the .atok file ----------------------------------------------------------------------------


def _bits(codebook_size: int) -> int:
    """Bits that a code of 0..codebook_size - 1 takes in a file."""
    return (codebook_size - 1).bit_length()


def _pack(codes: torch.Tensor, bits: int) -> bytes:
    """(N,) codes as ceil(N * bits / 8) bytes."""
    values = codes.cpu().numpy()
    shifts = np.arange(bits - 1, -1, -1)
    chunks = (values[i : i + _CHUNK, None] >> shifts & 1 for i in range(0, len(values), _CHUNK))
    return b"".join(np.packbits(chunk.astype(np.uint8)).tobytes() for chunk in chunks)


def _unpack(data: bytes, count: int, bits: int) -> torch.Tensor:
    """The inverse of `_pack`: (count,) int64."""
    raw = np.frombuffer(data, np.uint8)
    codes = np.empty(count, np.int64)
    weights = 1 << np.arange(bits - 1, -1, -1)
    for start in range(0, count, _CHUNK):
        number = min(_CHUNK, count - start)
        first = start * bits // 8
        block = np.unpackbits(raw[first : first + -(-number * bits // 8)], count=number * bits)
        codes[start : start + number] = block.reshape(number, bits) @ weights
    return torch.from_numpy(codes)


def _join(numbers) -> str:
    return ",".join(str(int(number)) for number in numbers)


def _entry(dtype: str, shape, begin: int, end: int) -> dict:
    return {"dtype": dtype, "shape": [int(n) for n in shape], "data_offsets": [begin, end]}


def _checksum(metadata: dict, entries: dict, payload: bytes) -> str:
    """CRC-32 over the fields of the header (without itself) and all tensors, as 8 hex digits."""
    fields = {name: value for name, value in metadata.items() if name != "crc32"}
    head = json.dumps([fields, entries], sort_keys=True).encode()
    return f"{zlib.crc32(payload, zlib.crc32(head)):08x}"


def _integers(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    if not all(part.isascii() and part.isdigit() and len(part) < 16 for part in parts):
        raise TokensError(f"the header says {text!r:.60} where integers belong")
    return tuple(map(int, parts))


def _header(data: bytes) -> tuple[dict[str, str], dict[str, dict], bytes]:
    """Metadata, entries and payload of a safetensors file, with sizes and offsets checked."""
    if len(data) < 8:
        raise TokensError(f"not an .atok file: {len(data)} bytes are too few")
    length = struct.unpack("<Q", data[:8])[0]
    if length > min(MAX_HEADER, len(data) - 8):
        raise TokensError(f"not an .atok file, or cut short: a header of {length} bytes")
    try:
        header = json.loads(data[8 : 8 + length].decode())
        metadata, entries = header.pop("__metadata__"), header
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError):
        raise TokensError("not an .atok file: its header cannot be read") from None
    if not isinstance(metadata, dict) or set(metadata) != _FIELDS:
        raise TokensError("not an .atok file: its header lacks fields or has unknown ones")
    if not all(isinstance(value, str) for value in metadata.values()):
        raise TokensError("the .atok file is damaged: its header holds other things than text")
    if metadata["format"] != FORMAT:
        raise TokensError(
            f"the .atok file has format {metadata['format']!r:.60}, this version reads {FORMAT!r}"
        )
    return metadata, entries, data[8 + length :]


def _parse(data: bytes) -> Tokens:
    metadata, entries, payload = _header(data)
    damaged = TokensError("the .atok file is damaged: its checksum does not fit")
    try:
        crc = _checksum(metadata, entries, payload)
    except UnicodeEncodeError:
        raise damaged from None
    if crc != metadata["crc32"]:
        raise damaged
    shape = _integers(metadata["shape"])
    codebook_sizes = _integers(metadata["codebook_sizes"])
    strides = _integers(metadata["strides"])
    num_samples, sample_rate = _integers(f"{metadata['num_samples']},{metadata['sample_rate']}")
    if len(shape) != 3:
        raise TokensError(f"the .atok file has codes of shape {shape}, not (C, K, T)")
    _check_header(shape, codebook_sizes, strides, num_samples, sample_rate)
    channels, _, frames = shape
    counts = [channels * -(-frames // stride) for stride in strides]
    sizes = [-(-n * _bits(size) // 8) for n, size in zip(counts, codebook_sizes, strict=True)]
    side = _side(entries, sum(sizes), len(payload))
    codes = torch.empty(shape, dtype=torch.int64)
    start = 0
    for k, (count, size) in enumerate(zip(counts, sizes, strict=True)):
        free = _unpack(payload[start : start + size], count, _bits(codebook_sizes[k]))
        codes[:, k] = _repeat(free.reshape(channels, -1), strides[k], frames)
        start += size
    if side is not None:
        dtype, side_shape = side
        side = torch.frombuffer(bytearray(payload[start:]), dtype=dtype).reshape(side_shape)
    return Tokens(
        codes,
        metadata["codec"],
        metadata["fingerprint"],
        num_samples,
        sample_rate,
        codebook_sizes,
        strides,
        side,
    )


def _side(entries: dict, begin: int, end: int) -> tuple[torch.dtype, list[int]] | None:
    """Type and shape of the side information; the entries must cover the payload exactly."""
    expected = {"codes": _entry("U8", (begin,), 0, begin)}
    found = dict(entries)
    side = found.pop("side", None)
    if found != expected or (side is None and begin != end):
        raise TokensError("the .atok file is damaged: its tensors do not fit its header")
    if side is None:
        return None
    try:
        dtype, shape = _SIDE_TYPES[side["dtype"]], side["shape"]
        if not all(type(n) is int and 0 < n <= end for n in shape) or len(shape) > 4:
            raise ValueError
        whole = begin + math.prod(shape) * dtype.itemsize
        if whole != end or side != _entry(side["dtype"], shape, begin, end):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise TokensError("the .atok file is damaged: its side information does not fit") from None
    return dtype, shape
