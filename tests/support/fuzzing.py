"""How a reader is fuzzed: files that are good, and what is thrown at it.

A target is a test in tests/fuzz/test_fuzz_*.py: it gives good files and the reader to the fixture
`fuzz`. The suite tries each target for a moment, `make fuzz` for a minute; AUDIOTOK_FUZZ_SECONDS
says how long, AUDIOTOK_FUZZ_SEED which files. Each file is written to `path` and read; the reader
gives what can be compared, or raises an AudiotokError of one line, within MOST_SECONDS of CPU and
MOST_BYTES of memory. Anything else is an AssertionError; the file stays beside `path` as `.failed`.
"""

from __future__ import annotations

import copy
import datetime
import json
import os
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from audiotok.errors import AudiotokError

SECONDS = float(os.environ.get("AUDIOTOK_FUZZ_SECONDS", "0.1"))
SEED = int(os.environ.get("AUDIOTOK_FUZZ_SEED", "0"))
MOST_SECONDS = 10.0  # of CPU for one file
MOST_BYTES = 2**30  # of memory for one file
LONGEST = 2_000  # characters of a message
HOSTILE = [
    None, True, -1, 0, 10**18, 10**30, 10**400, 1e308, -1e308, 1e-320, float("inf"), float("nan"),
    "", "x" * 20_000, "\ud800", "\0", "a\nb", "../../x", "/dev/zero", "evil.py", "hf:org/x", "1e5",
    "<script>", b"x", datetime.date(2020, 1, 1), 1.5, [], {}, [[]], ["a"], {"a": {}}, {1: 2},
    [1, 2, 3], [None, None], [1e308, -1e308],
]  # fmt: skip
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)

Mutate = Callable[[bytes, Sequence[bytes], np.random.Generator], bytes]


def mutated(data: bytes, others: Sequence[bytes], rng: np.random.Generator) -> bytes:
    """`data` after one to four changes; most of them near its beginning, where headers are."""
    content = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        size = len(content)
        at = int(rng.integers(0, max(1, min(size, 256) if rng.random() < 0.6 else size)))
        kind = int(rng.integers(0, 9))
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
        elif kind == 7:
            length = min(size - at, int(rng.integers(1, 512)))
            content[at : at + length] = bytes([int(rng.choice([0, 1, 0x7F, 0x80, 0xFF]))]) * length
        else:
            other = others[int(rng.integers(0, len(others)))]
            content[at:] = other[min(at, len(other)) :]
    return bytes(content)


def in_values(parse: Callable[[bytes], Any], write: Callable[[Any], bytes]) -> Mutate:
    """Mutates what holds nested values (JSON, YAML): its bytes, or some of its values and keys."""

    def mutate(data: bytes, others: Sequence[bytes], rng: np.random.Generator) -> bytes:
        if rng.random() < 0.4:
            return mutated(data, others, rng)
        content = parse(data)
        for _ in range(int(rng.integers(1, 4))):
            content = _changed(content, rng)
        return write(content)

    return mutate


def as_json(content: Any) -> bytes:
    """JSON of nested values, whatever the hostile ones are."""
    return json.dumps(content, default=str).encode()


def _changed(content: Any, rng: np.random.Generator) -> Any:
    """Nested values with one replaced, removed, under another key, or a number moved."""
    places = list(_places(content))
    place, other = (places[int(rng.integers(0, len(places)))] for _ in range(2))
    if not place:
        return content
    content = copy.deepcopy(content)
    holder, key = _at(content, place[:-1]), place[-1]
    kind = int(rng.integers(0, 6))
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[str(key)[::-1]] = holder.pop(key)
    elif kind == 2:
        holder[key] = copy.deepcopy(_at(content, other))
    elif kind == 3 and isinstance(holder[key], int | float):
        times = int(rng.choice([-1, 0, 2, 10, 1000, 10**6]))
        holder[key] = holder[key] * times // (1 if rng.random() < 0.7 else 3)
    else:
        holder[key] = HOSTILE[int(rng.integers(0, len(HOSTILE)))]
    return content


def _places(value: Any, place: tuple = ()) -> Iterator[tuple]:
    yield place
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(one, (*place, key))


def _at(content: Any, place: tuple) -> Any:
    for key in place:
        content = content[key]
    return content


def fuzz(
    path: Path,
    good: Sequence[bytes],
    read: Callable[[Path], Any],
    *,
    mutate: Mutate = mutated,
    exact: bool = False,
    seconds: float = SECONDS,
) -> Counter:
    """Writes mutated files to `path` and reads them until the time is over.

    Args:
        good: files as the reader expects them.
        read: the reader; gives what can be compared, raises what it raises.
        exact: whether a file may give nothing but what a good one gives: it has checksums.

    Returns how many were "tried"; "refused", read as the "same" as a good one, or as "other".
    """
    rng, counts, originals = np.random.default_rng(SEED), Counter(), []
    for data in good:
        path.write_bytes(data)
        originals.append(read(path))
    end = time.monotonic() + seconds
    while time.monotonic() < end or counts["tried"] < 3:
        data = mutate(good[int(rng.integers(0, len(good)))], good, rng)
        path.write_bytes(data)
        counts["tried"] += 1
        try:
            with _bounded():
                found = read(path)
        except AudiotokError as error:
            counts["refused"] += 1
            text = str(error)
            _keep(path, "\n" not in text, data, f"more than one line: {text!r}")
            _keep(path, len(text) < LONGEST, data, f"{len(text)} characters: {text!r:.200}")
        except Exception as error:
            _keep(path, False, data, f"{type(error).__name__}: {error!s:.500}")
        else:
            same = data in good or found in originals
            counts["same" if same else "other"] += 1
            _keep(path, same or not exact, data, f"it is read as something else: {found!r:.200}")
    return counts


class _bounded:
    """Raises AssertionError where the block takes too much time or memory."""

    def __enter__(self) -> None:
        self._memory = _peak()
        self._start = time.process_time()
        self._before = signal.signal(signal.SIGPROF, self._stop)
        signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)

    def _stop(self, *_: Any) -> None:
        raise TimeoutError(f"stopped after {MOST_SECONDS} s of CPU")

    def __exit__(self, *_: Any) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, self._before)
        took, grown = time.process_time() - self._start, _peak() - self._memory
        assert took < MOST_SECONDS, f"it took {took:.0f} s of CPU"
        assert grown < MOST_BYTES, f"it took {grown} bytes of memory"


def _peak() -> int:
    """Most bytes of memory that this process had so far."""
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _keep(path: Path, fine: bool, data: bytes, what: str) -> None:
    if not fine:
        failed = path.with_name(path.name + ".failed")
        failed.write_bytes(data)
        raise AssertionError(f"{failed} ({len(data)} bytes): {what}")
