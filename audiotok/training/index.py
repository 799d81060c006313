"""The length of each recording, measured once and stored in the folder of the run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from audiotok.errors import RecipeError
from audiotok.system.files import replacing
from audiotok.training.sounds import Sounds


@dataclass(frozen=True)
class Index:
    """Lengths of chosen recordings.

    Attributes:
        numbers: numbers in the corpus of the recordings that can be read.
        seconds: length of each of them.
        broken: ids of recordings that cannot be read.
        digest: hash of all this; a run is resumed only with an equal one.
    """

    numbers: np.ndarray
    seconds: np.ndarray
    broken: tuple[str, ...]
    digest: str


def make_index(sounds: Sounds, numbers: Sequence[int], cache: Path | None = None) -> Index:
    """Opens every recording once, or takes the lengths from `cache` if they are of the same ones.

    Raises:
        RecipeError: none of them can be opened.
    """
    signature = f"{sounds.signature()} {hashlib.sha256(repr(list(numbers)).encode()).hexdigest()}"
    seconds = None if cache is None else _cached(cache, signature)
    if seconds is None:
        with ThreadPoolExecutor(8) as pool:
            seconds = list(pool.map(lambda number: _seconds(sounds, number), numbers))
        if cache is not None:
            with replacing(cache, RecipeError) as file:
                file.write(json.dumps({"signature": signature, "seconds": seconds}).encode())
    lengths = np.array(seconds, dtype=np.float64)
    all_numbers = np.array(numbers, dtype=np.int64)
    is_readable = lengths > 0
    broken = tuple(sounds.ids[number] for number in all_numbers[~is_readable])
    if not is_readable.any():
        raise RecipeError(
            f"none of {len(lengths)} recordings can be opened, {broken[0]!r} first: "
            "expected sound files that libsndfile reads"
        )
    digest = hashlib.sha256(f"{signature} {seconds}".encode()).hexdigest()
    return Index(all_numbers[is_readable], lengths[is_readable], broken, digest)


def _seconds(sounds: Sounds, number: int) -> float:
    """Length of a recording; 0 for one that cannot be opened, or is empty."""
    try:
        return float(soundfile.info(sounds.open(number)).duration)
    except (OSError, RuntimeError, TypeError):  # libsndfile's errors are RuntimeErrors
        return 0.0


def _cached(path: Path, signature: str) -> list[float] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return content["seconds"] if content["signature"] == signature else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
