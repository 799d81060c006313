"""How a reader is fuzzed: files that are good, and what is thrown at them.

A target is a function in a module `test_fuzz_*.py` of this folder: it gives good files and the
reader. The suite tries each for some seconds; `make fuzz` for minutes, and prints what was tried.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from audiotok.errors import AudiotokError

SECONDS = float(os.environ.get("AUDIOTOK_FUZZ_SECONDS", "1"))
SEED = int(os.environ.get("AUDIOTOK_FUZZ_SEED", "0"))
_SLOW = 10.0  # seconds of this process that one file may take
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)


def mutated(data: bytes, others: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """`data` after one to four changes; most of them near its beginning, where headers are."""
    content = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        size = len(content)
        at = int(rng.integers(0, max(1, min(size, 256) if rng.random() < 0.6 else size)))
        kind = int(rng.integers(0, 8))
        if kind == 0 and size:
            content[min(at, size - 1)] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            content[at : at + 1] = rng.bytes(1)
        elif kind == 2:  # a number that is on the edge of something, in either byte order
            width = int(rng.choice([2, 4, 8]))
            order = ("little", "big")[int(rng.integers(0, 2))]
            number = int(_NUMBERS[int(rng.integers(0, len(_NUMBERS)))]) % 256**width
            content[at : at + width] = number.to_bytes(width, order)
        elif kind == 3:
            del content[at:]
        elif kind == 4:
            del content[at : at + int(rng.integers(1, 64))]
        elif kind == 5:
            content[at:at] = rng.bytes(int(rng.integers(1, 64)))
        elif kind == 6:
            content[at:at] = content[at : at + int(rng.integers(1, 512))]
        else:
            other = others[int(rng.integers(0, len(others)))]
            content[at:] = other[min(at, len(other)) :]
    return bytes(content)


def fuzz(
    path: Path, good: Sequence[bytes], read: Callable[[Path], object], seconds: float = SECONDS
) -> Counter:
    """Writes mutated files to `path` and reads them until the time is over.

    Each is read, or refused by an AudiotokError of one line, and soon; anything else raises
    AssertionError, and the file stays at `path` with `.failed` behind its name.

    Args:
        good: files as the reader expects them.
        read: the reader; raises what it raises.

    Returns how many were "read" and "refused".
    """
    rng, counts = np.random.default_rng(SEED), Counter()
    for data in good:
        path.write_bytes(data)
        read(path)
    end = time.monotonic() + seconds
    while time.monotonic() < end or sum(counts.values()) < 20:
        data = mutated(good[int(rng.integers(0, len(good)))], good, rng)
        path.write_bytes(data)
        start = time.process_time()
        try:
            read(path)
            counts["read"] += 1
        except AudiotokError as error:
            counts["refused"] += 1
            _keep(path, "\n" not in str(error), data, f"more than one line: {error}")
        except Exception as error:
            _keep(path, False, data, f"{type(error).__name__}: {error}")
        took = time.process_time() - start
        _keep(path, took < _SLOW, data, f"it took {took:.0f} s")
    print(f"{path.suffix or path.name}: {counts['read']} read, {counts['refused']} refused")
    return counts


def _keep(path: Path, fine: bool, data: bytes, what: str) -> None:
    if not fine:
        failed = path.with_name(path.name + ".failed")
        failed.write_bytes(data)
        raise AssertionError(f"{failed} ({len(data)} bytes): {what}")
