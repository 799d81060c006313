"""Measures the batch size at which a codec is fastest, and the memory that it needs.

A batch holds copies of one clip, SECONDS seconds of the given sound, repeated where that is
shorter. The batch size is doubled as long as each doubling is faster by the factor GAIN and memory
suffices; the faster of two runs counts. Byte streams (Opus) have no batches.

Memory is that of the weights (parameters and buffers) plus the peak that encode and decode of one
such clip need in addition. On a GPU this is what PyTorch allocates; on a CPU the growth of the
resident memory of the process after its free heap memory was returned, as Linux reports it (VmHWM
of /proc/self/status). The smallest of three runs counts.
"""

from __future__ import annotations

import contextlib
import ctypes
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from audiotok.sound.audio import Audio

if TYPE_CHECKING:
    from audiotok.codec.codec import Codec

SECONDS = 5
BATCHES = (1, 2, 4, 8, 16)
GAIN = 1.05
_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def forked(codec: Codec) -> AbstractContextManager[None]:
    """Inside, the random generators are forked: a measurement does not change later random
    numbers."""
    return torch.random.fork_rng([codec.device] if codec.device.type == "cuda" else [])


def measure(codec: Codec, sound: Audio) -> dict[str, float]:
    """rtf_*_batched, batch_* and peak_memory, as far as they exist for this codec."""
    clip = excerpt(sound)
    tokens = codec.encode(clip)
    codec.decode(tokens)
    row = {}
    memory = [peak_memory(codec, clip) for _ in range(3)]
    if None not in memory:
        row["peak_memory"] = min(memory) / 1e6  # resident memory includes other small allocations
    if codec.card.byte_stream:
        return row
    for direction, code, item in (
        ("encode", codec.encode_batch, clip),
        ("decode", codec.decode_batch, tokens),
    ):
        batch, factor = best_batch(lambda n: code([item] * n, batch="length"))  # noqa: B023
        row |= {f"batch_{direction}": float(batch), f"rtf_{direction}_batched": factor}
    return row


def excerpt(sound: Audio) -> Audio:
    """The first SECONDS seconds, repeated where the sound is shorter."""
    length = SECONDS * sound.sample_rate
    times = -(-length // sound.num_samples)
    return Audio(sound.waveform.repeat(1, times)[:, :length], sound.sample_rate)


def best_batch(code: Callable[[int], object]) -> tuple[int, float]:
    """The batch with the highest real-time factor, and that factor; `code(n)` codes n clips."""
    best = (0, 0.0)
    for batch in BATCHES:
        try:
            factor = batch * SECONDS / min(_seconds(code, batch) for _ in range(2))
        except torch.OutOfMemoryError:
            break
        if factor < GAIN * best[1]:
            break
        best = (batch, factor)
    return best


def _seconds(code: Callable[[int], object], batch: int) -> float:
    start = time.perf_counter()
    code(batch)  # returns tensors on the CPU, so a GPU has finished
    return time.perf_counter() - start


def can_measure_memory() -> bool:
    return torch.cuda.is_available() or _RESET.exists()


def peak_memory(codec: Codec, clip: Audio) -> int | None:
    """Bytes of the weights plus the peak while `clip` is coded; None if unknown."""
    network = codec.network
    tensors = [] if network is None else [*network.parameters(), *network.buffers()]
    weights = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    on_gpu = codec.device.type == "cuda"
    if on_gpu:
        before = torch.cuda.memory_allocated(codec.device)
        torch.cuda.reset_peak_memory_stats(codec.device)
    elif (before := _reset_resident()) is None:
        return None
    codec.decode(codec.encode(clip))
    peak = torch.cuda.max_memory_allocated(codec.device) if on_gpu else _resident("VmHWM")
    return weights + max(0, peak - before)


def _reset_resident() -> int | None:
    """Resets the peak of this process to its current memory; returns that, in bytes."""
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)  # so that freed memory is not reused unseen
    try:
        _RESET.write_text("5")
        return _resident("VmRSS")
    except (OSError, TypeError):
        return None


def _resident(name: str) -> int:
    """VmRSS or VmHWM of this process, bytes."""
    return 1024 * int(re.search(rf"{name}:\s+(\d+)", _STATUS.read_text())[1])
