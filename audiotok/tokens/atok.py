"""The .atok file: the codes of one clip, bit-packed, in a safetensors file.

The tensor `codes` (uint8) holds the free codes, ceil(log2 V) bits each, most significant bit first,
codebook after codebook, each starting on a whole byte; `side` holds the side information, if any;
the metadata holds everything else as text, and a CRC-32 over metadata, entries and tensors.

Format atok-2 is written only for tokens that need it. Its metadata add any of `variable`
(max_duration, merged_codebooks, segments), `global_sizes`, and `needs`, what would be needed to
decode tokens without a decoder. In `codes`, two parts may follow the codebooks, each starting on a
whole byte: the durations of the segments minus 1, with ceil(log2 max_duration) bits each, where the
frame rate varies (`durations.py`; merged codebooks then have codes only in the first unit of each
segment); and the global codes, with as many bits each as the largest of their codebooks takes.

The file may come from an untrusted source: every declared size is checked against the file before
anything is allocated, and a mismatch raises a TokensError.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from audiotok.errors import TokensError
from audiotok.sound.audio import SAMPLE_RATES
from audiotok.tokens import durations
from audiotok.tokens.durations import MAX_DURATION

if TYPE_CHECKING:
    from audiotok.tokens.tokens import Tokens

FORMATS = ("atok-1", "atok-2")
MAX_HEADER = 65_536  # bytes
MAX_CODES = 2**29  # C * K * T of one clip: 6 hours of 24 kHz PCM, 77 days of 80 tokens/s
MAX_CODEBOOKS = 64
MAX_CODEBOOK_SIZE = 2**24
MAX_STRIDE = 32  # frames
MAX_NUM_SAMPLES = 2**40
MAX_SIDE = 2**24  # values of side information
MAX_GLOBALS = 2**12  # global codes of a channel
MAX_NEEDS = 1024  # characters
MAX_UNIT = 2**10  # frames of a unit of segments
SPARSE_CODES = 2**24  # a clip of more codes must have at least one bit per code, also if merged
SIDE_TYPES = {"I32": torch.int32, "I64": torch.int64}
_CHUNK = 2**18  # codes packed at once; a multiple of 8
_NUMBERS = ("num_samples", "sample_rate", "shape", "codebook_sizes", "strides")
_FIELDS = {"format", "codec", "fingerprint", *_NUMBERS, "crc32"}
_ADDED = {"variable", "global_sizes", "needs"}  # in atok-2


def check_numbers(
    shape: Sequence[int],
    codebook_sizes: Sequence[int],
    strides: Sequence[int],
    num_samples: int,
    sample_rate: int,
) -> None:
    """Raises TokensError unless the numbers that describe a clip are in range and consistent."""
    channels, codebooks, frames = shape
    for name, value, low, high in (
        ("channels", channels, 1, 2),
        ("codebooks", codebooks, 1, MAX_CODEBOOKS),
        ("frames", frames, 1, MAX_CODES),
        ("codes in total", channels * codebooks * frames, 1, MAX_CODES),
        ("num_samples", num_samples, 1, MAX_NUM_SAMPLES),
        ("sample_rate", sample_rate, *SAMPLE_RATES),
        *(("codebook_size", size, 2, MAX_CODEBOOK_SIZE) for size in codebook_sizes),
        *(("stride", stride, 1, MAX_STRIDE) for stride in strides),
    ):
        if type(value) is not int or not low <= value <= high:
            raise TokensError(f"{name} {value!r:.40} is not an integer in {low}..{high}")
    if not codebooks == len(codebook_sizes) == len(strides):
        raise TokensError(
            f"{codebooks} codebooks have {len(codebook_sizes)} sizes and {len(strides)} strides"
        )
    codes = channels * codebooks * frames
    bits = channels * sum(
        -(-frames // stride) * _bits(size)
        for size, stride in zip(codebook_sizes, strides, strict=True)
    )
    if codes > max(SPARSE_CODES, bits):
        raise _sparse(codes, bits)


def repeat(free: torch.Tensor, stride: int, num_frames: int) -> torch.Tensor:
    """Free codes (..., ceil(T / stride)) -> (..., T)."""
    if stride == 1:
        return free
    return free.repeat_interleave(stride, dim=-1)[..., :num_frames]


def check_added(tokens: Tokens) -> None:
    """Raises TokensError unless the fields that atok-2 adds are in range and consistent."""
    channels, codebooks, _ = tokens.codes.shape
    varies = tokens.max_duration > 1
    for name, value, low, high in (
        ("max_duration", tokens.max_duration, 1, MAX_DURATION),
        ("merged_codebooks", tokens.merged_codebooks, int(varies), codebooks * varies),
        *(("unit in frames", math.lcm(*tokens.strides), 1, MAX_UNIT) for _ in range(varies)),
        ("global codes", len(tokens.global_sizes), 0, MAX_GLOBALS),
        *(("global size", size, 2, MAX_CODEBOOK_SIZE) for size in tokens.global_sizes),
    ):
        if type(value) is not int or not low <= value <= high:
            raise TokensError(f"{name} {value!r:.40} is not an integer in {low}..{high}")
    codes, sizes = tokens.global_codes, torch.tensor(tokens.global_sizes, dtype=torch.int64)
    if (codes is None) != (not len(sizes)):
        raise TokensError("global codes and global sizes are given together, or not at all")
    if codes is not None and (
        not isinstance(codes, torch.Tensor)
        or codes.dtype != torch.int64
        or tuple(codes.shape) != (channels, len(sizes))
        or bool(((codes < 0) | (codes >= sizes)).any())
    ):
        raise TokensError(
            f"global codes are int64 of shape ({channels}, {len(sizes)}), each from 0 to its size "
            "minus 1"
        )
    if not isinstance(tokens.needs, str) or len(tokens.needs) > MAX_NEEDS or "\n" in tokens.needs:
        raise TokensError(f"needs is one line of at most {MAX_NEEDS} characters")


def dump(tokens: Tokens) -> bytes:
    """The file of a clip; the older format where it holds everything."""
    payload = b"".join(
        pack(free.reshape(-1), _bits(size))
        for free, size in zip(tokens.free_codes, tokens.codebook_sizes, strict=True)
    )
    added = tokens.max_duration > 1 or tokens.global_codes is not None or bool(tokens.needs)
    metadata = {"format": FORMATS[added], "codec": tokens.codec, "fingerprint": tokens.fingerprint}
    numbers = {field: getattr(tokens, field, None) for field in _NUMBERS}
    numbers |= {"shape": tokens.codes.shape}
    numbers |= {field: (numbers[field],) for field in ("num_samples", "sample_rate")}
    if tokens.needs:
        metadata["needs"] = tokens.needs
    if tokens.max_duration > 1:
        lengths = tokens.durations
        payload += pack(lengths - 1, _bits(tokens.max_duration))
        numbers["variable"] = (tokens.max_duration, tokens.merged_codebooks, len(lengths))
        if tokens.codes.numel() > max(SPARSE_CODES, 8 * len(payload)):
            raise _sparse(tokens.codes.numel(), 8 * len(payload))
    if tokens.global_codes is not None:
        bits = _bits(max(tokens.global_sizes))
        payload += pack(tokens.global_codes.reshape(-1), bits)
        numbers["global_sizes"] = tokens.global_sizes
    entries = {"codes": _entry("U8", (len(payload),), 0, len(payload))}
    if (side := tokens.side) is not None:
        name = next(name for name, dtype in SIDE_TYPES.items() if dtype == side.dtype)
        begin = len(payload)
        payload += side.cpu().contiguous().numpy().astype(f"<i{side.element_size()}").tobytes()
        entries["side"] = _entry(name, side.shape, begin, len(payload))
    for field, values in numbers.items():
        metadata[field] = ",".join(str(int(value)) for value in values)
    metadata["crc32"] = _checksum(metadata, entries, payload)
    header = json.dumps({"__metadata__": metadata, **entries}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > MAX_HEADER:
        raise TokensError(f"the header of the .atok file has more than {MAX_HEADER} bytes")
    return struct.pack("<Q", len(header)) + header + payload


def parse(data: bytes) -> dict:
    """The arguments of `Tokens` in the bytes of a file; anything else raises TokensError."""
    metadata, entries, begin = _header(data[: 8 + MAX_HEADER], len(data))
    layout = _layout(metadata)
    side = _side_entry(entries, layout.size, len(data) - begin)
    payload = memoryview(data)[begin:]
    if _checksum(metadata, entries, payload) != metadata["crc32"]:
        raise TokensError("the .atok file is damaged: its checksum does not fit")
    (num_samples,), (sample_rate,), shape, codebook_sizes, strides = layout.numbers
    unit, offset = math.lcm(*strides), sum(layout.sizes)
    starts = None
    if layout.segments:
        lengths = unpack(payload[offset:], layout.segments, _bits(layout.max_duration)) + 1
        starts = durations.starts_of(lengths, -(-shape[2] // unit))
        if shape[2] % unit and not starts[-1]:
            raise TokensError("the .atok file has an incomplete unit that is no segment of its own")
        offset += -(-layout.segments * _bits(layout.max_duration) // 8)
    codes = torch.empty(shape, dtype=torch.int64, device="cpu")
    start = 0
    for k, (count, size) in enumerate(zip(layout.counts, layout.sizes, strict=True)):
        free = unpack(payload[start : start + size], count, _bits(codebook_sizes[k]))
        free = free.reshape(shape[0], -1)
        if k < layout.merged_codebooks:
            codes[:, k] = durations.repeated(free, starts, unit, strides[k], shape[2])
        else:
            codes[:, k] = repeat(free, strides[k], shape[2])
        start += size
    global_codes = None
    if layout.global_sizes:
        count = shape[0] * len(layout.global_sizes)
        global_codes = unpack(payload[offset:], count, _bits(max(layout.global_sizes)))
        global_codes = global_codes.reshape(shape[0], -1)
    if side is not None:
        dtype, side_shape = side
        side = torch.frombuffer(bytearray(payload[layout.size :]), dtype=dtype).reshape(side_shape)
    return {
        "codes": codes,
        "codec": metadata["codec"],
        "fingerprint": metadata["fingerprint"],
        "num_samples": num_samples,
        "sample_rate": sample_rate,
        "codebook_sizes": codebook_sizes,
        "strides": strides,
        "side": side,
        "max_duration": layout.max_duration,
        "merged_codebooks": layout.merged_codebooks,
        "global_codes": global_codes,
        "global_sizes": layout.global_sizes,
        "needs": metadata.get("needs", ""),
    }


def check(head: bytes, size: int) -> None:
    """Raises TokensError unless `size` bytes that start with `head` can be an .atok file.

    Args:
        head: the first 8 + MAX_HEADER bytes, or all where there are fewer.
    """
    metadata, entries, begin = _header(head, size)
    _side_entry(entries, _layout(metadata).size, size - begin)


def pack(codes: torch.Tensor, bits: int) -> bytes:
    """(N,) codes below 2**bits as ceil(N * bits / 8) bytes."""
    values = codes.cpu().numpy()
    if bits in (8, 16):  # whole bytes: the same, faster
        return values.astype(f">u{bits // 8}").tobytes()
    shifts = np.arange(bits - 1, -1, -1)
    chunks = (values[i : i + _CHUNK, None] >> shifts & 1 for i in range(0, len(values), _CHUNK))
    return b"".join(np.packbits(chunk.astype(np.uint8)).tobytes() for chunk in chunks)


def unpack(data: bytes, count: int, bits: int) -> torch.Tensor:
    """The inverse of `pack`: (count,) int64."""
    if bits in (8, 16):
        return torch.from_numpy(np.frombuffer(data, f">u{bits // 8}", count).astype(np.int64))
    raw = np.frombuffer(data, np.uint8)
    codes = np.empty(count, np.int64)
    weights = 1 << np.arange(bits - 1, -1, -1)
    for start in range(0, count, _CHUNK):
        number = min(_CHUNK, count - start)
        first = start * bits // 8
        block = np.unpackbits(raw[first : first + -(-number * bits // 8)], count=number * bits)
        codes[start : start + number] = block.reshape(number, bits) @ weights
    return torch.from_numpy(codes)


def _bits(codebook_size: int) -> int:
    """Bits that a code of 0..codebook_size - 1 takes in a file."""
    return (codebook_size - 1).bit_length()


def _entry(dtype: str, shape: Sequence[int], begin: int, end: int) -> dict:
    return {"dtype": dtype, "shape": [int(n) for n in shape], "data_offsets": [begin, end]}


def _checksum(metadata: dict, entries: dict, payload: bytes | memoryview) -> str:
    """CRC-32 over the other fields of the header and all tensors, as 8 hex digits."""
    fields = {name: value for name, value in metadata.items() if name != "crc32"}
    head = json.dumps([fields, entries], sort_keys=True).encode()
    return f"{zlib.crc32(payload, zlib.crc32(head)):08x}"


def _header(head: bytes, size: int) -> tuple[dict[str, str], dict[str, dict], int]:
    """Metadata and entries, with types checked but not values; and the start of the payload.

    Args:
        head, size: as for `check`.
    """
    if size < 8 or len(head) < 8:
        raise TokensError(f"not an .atok file: {size} bytes are too few")
    length = struct.unpack("<Q", head[:8])[0]
    if length > min(MAX_HEADER, size - 8, len(head) - 8):
        raise TokensError(
            f"not an .atok file, or cut short: it declares a header of {length} bytes"
        )
    try:
        entries = json.loads(head[8 : 8 + length].decode())
        metadata = entries.pop("__metadata__")
        added = set(metadata) & _ADDED if metadata.get("format") == FORMATS[1] else set()
        wrong = metadata.get("format") == FORMATS[1] and not added
        fits = all(isinstance(value, str) for value in metadata.values())
        fits = fits and set(metadata) == _FIELDS | added and not wrong
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError):
        fits = False
    if not fits:
        raise TokensError("not an .atok file, or damaged: its header is not the one expected")
    if metadata["format"] not in FORMATS:
        raise TokensError(
            f"the .atok file has format {metadata['format']!r:.40}; this version reads "
            f"{' and '.join(FORMATS)}"
        )
    return metadata, entries, 8 + length


class _Layout(NamedTuple):
    """What the metadata of a file say about its tensors."""

    numbers: list[tuple[int, ...]]  # the values of _NUMBERS
    counts: list[int]  # free codes of each codebook, all channels
    sizes: list[int]  # bytes of each codebook
    size: int  # bytes of the tensor `codes`
    max_duration: int
    merged_codebooks: int
    segments: int
    global_sizes: tuple[int, ...]


def _layout(metadata: dict[str, str]) -> _Layout:
    numbers = [_integers(field, metadata[field]) for field in _NUMBERS]
    num_samples, sample_rate, shape, codebook_sizes, strides = numbers
    if len(shape) != 3:
        raise TokensError(f"the .atok file has codes of shape {shape}, not (C, K, T)")
    if len(num_samples) != 1 or len(sample_rate) != 1:
        raise TokensError("the .atok file has several numbers of samples or rates, expected one")
    check_numbers(shape, codebook_sizes, strides, num_samples[0], sample_rate[0])
    counts = [shape[0] * -(-shape[2] // stride) for stride in strides]
    most, merged, segments = _integers("variable", metadata.get("variable") or "1,0,0", 3)
    if segments or merged or most != 1:
        unit = math.lcm(*strides)
        units, rest = -(-shape[2] // unit), shape[2] % unit
        fits = 2 <= most <= MAX_DURATION and 1 <= merged <= len(strides)
        if not (fits and segments <= units <= segments * most):
            raise TokensError(
                f"the .atok file has {segments} segments of at most {most} units in {merged} "
                f"codebooks, for {units} units"
            )
        for k, stride in enumerate(strides[:merged]):
            whole = segments - (rest > 0)
            counts[k] = shape[0] * (whole * (unit // stride) + -(-rest // stride))
    pairs = zip(counts, codebook_sizes, strict=True)
    sizes = [-(-count * _bits(size) // 8) for count, size in pairs]
    size = sum(sizes)
    if segments:
        size += -(-segments * _bits(most) // 8)
        if math.prod(shape) > max(SPARSE_CODES, 8 * size):
            raise _sparse(math.prod(shape), 8 * size)
    global_sizes = ()
    if text := metadata.get("global_sizes"):
        global_sizes = _integers("global_sizes", text)
        if len(global_sizes) > MAX_GLOBALS or max(global_sizes) > MAX_CODEBOOK_SIZE:
            raise TokensError(f"the .atok file has global sizes {text!r:.40}, out of range")
        bits = _bits(max(global_sizes))
        size += -(-shape[0] * len(global_sizes) * bits // 8)
    return _Layout(numbers, counts, sizes, size, most, merged, segments, global_sizes)


def _sparse(codes: int, bits: int) -> TokensError:
    return TokensError(
        f"{codes} codes have only {bits} bits: a clip of more than {SPARSE_CODES} codes must have "
        "at least one bit per code"
    )


def _integers(field: str, text: str, count: int | None = None) -> tuple[int, ...]:
    parts = text.split(",")
    fits = all(part.isascii() and part.isdigit() and len(part) < 16 for part in parts)
    if not fits or count not in (None, len(parts)):
        raise TokensError(f"the .atok file has {field} {text!r:.40}, expected integers")
    return tuple(map(int, parts))


def _side_entry(entries: dict, begin: int, size: int) -> tuple[torch.dtype, Sequence[int]] | None:
    """Type and shape of the side information, if any, which starts at byte `begin` of a payload of
    `size` bytes; the entries must cover it."""
    fits = entries.get("codes") == _entry("U8", (begin,), 0, begin)
    if set(entries) == {"codes"}:
        dtype, shape = None, ()
        fits = fits and begin == size
    else:
        try:
            side = entries["side"]
            dtype, shape = SIDE_TYPES[side["dtype"]], side["shape"]
            fits = fits and set(entries) == {"codes", "side"} and len(shape) <= 4
            fits = fits and all(type(n) is int and n > 0 for n in shape)
            fits = fits and math.prod(shape) <= MAX_SIDE
            fits = fits and begin + math.prod(shape) * dtype.itemsize == size
            fits = fits and side == _entry(side["dtype"], shape, begin, size)
        except (KeyError, TypeError):
            fits = False
    if not fits:
        raise TokensError("the .atok file is damaged: its tensors do not fit its header")
    return dtype and (dtype, shape)
