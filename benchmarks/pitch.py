"""Compares SwiftF0, the tracker of the metrics of pitch, with WORLD on tones of known pitch.

    pip install pyworld && python benchmarks/pitch.py

Each tone lasts 3 s at 16 kHz: harmonics under three formants, a pitch that glides and vibrates,
voiced parts and silent ones; with the fundamental or without it; in white noise. Twelve tones, by
seed, for each condition. Columns: the share of frames voiced in both whose pitch is off by more
than 10 % (`gross`), the share whose voicing is wrong (`voicing`), and the median error in cents.
Writes results/metric_ladder/pitch.csv.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pyworld

from audiotok.errors import ResultsError
from audiotok.metrics import _pitch
from audiotok.system.files import replacing

RATE, SECONDS, TONES, LEVEL = 16_000, 3, 12, 0.1
GROSS = 0.1


def main() -> None:
    rows = []
    conditions = itertools.product(("there", "missing"), (None, 20, 10, 0))
    for fundamental, snr_db in conditions:
        errors: dict[str, list[tuple[float, ...]]] = {"SwiftF0": [], "WORLD": []}
        for seed in range(TONES):
            samples, pitch = tone(seed, fundamental == "there")
            if snr_db is not None:
                noise = np.random.default_rng(100 + seed).normal(size=len(samples))
                samples = samples + LEVEL * 10 ** (-snr_db / 20) * noise
            errors["SwiftF0"].append(compare(_pitch._track(samples.astype(np.float32)), 256, pitch))
            errors["WORLD"].append(compare(world(samples), 160, pitch))
        for tracker, values in errors.items():
            gross, voicing, cents = np.nanmean(values, axis=0)
            rows.append({
                "fundamental": fundamental, "snr_db": snr_db, "tracker": tracker,
                "gross": gross, "voicing": voicing, "cents": cents,
            })  # fmt: skip
    table = pd.DataFrame(rows).round(4)
    path = Path("results/metric_ladder/pitch.csv")
    with replacing(path, ResultsError) as file:
        file.write(table.to_csv(index=False).encode())
    print(table.to_string(index=False))


def tone(seed: int, fundamental: bool) -> tuple[np.ndarray, np.ndarray]:
    """Samples (L,) and their pitch in Hz (L,), 0 where the tone is silent."""
    random = np.random.default_rng(seed)
    time = np.arange(SECONDS * RATE) / RATE
    base, vibrato, start = random.uniform(80, 320), random.uniform(0.5, 3), random.uniform(0, 6)
    octaves = 0.25 * np.sin(2 * np.pi * vibrato * time + start)
    pitch = base * 2 ** (octaves + 0.1 * np.sin(2 * np.pi * 0.3 * time))
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formants = (random.uniform(300, 900), random.uniform(900, 2200), random.uniform(2200, 3200))
    samples = np.zeros(len(time))
    for k in range(1 if fundamental else 2, int(4000 // base) + 1):
        level = 0.02 + sum(np.exp(-(((k * pitch - f) / 250) ** 2)) for f in formants)
        samples += level * np.sin(k * phase + random.uniform(0, 6))
    voiced = np.sin(2 * np.pi * 0.7 * time + random.uniform(0, 6)) > -0.5
    samples *= voiced
    samples *= LEVEL / np.sqrt(np.mean(samples[voiced] ** 2))
    return samples, pitch * voiced


def world(samples: np.ndarray) -> np.ndarray:
    """The track of DIO and StoneMask, every 10 ms, 0 where unvoiced."""
    limits = {"f0_floor": _pitch.FLOOR, "f0_ceil": _pitch.CEILING, "frame_period": 10.0}
    rough, times = pyworld.dio(samples, RATE, **limits)
    return pyworld.stonemask(samples, rough, times, RATE)


def compare(track: np.ndarray, hop: int, pitch: np.ndarray) -> tuple[float, float, float]:
    """Gross errors, voicing errors and median cents of a track with a frame every `hop` samples."""
    expected = pitch[np.minimum(hop * np.arange(len(track)), len(pitch) - 1)]
    voiced = (expected > 0) & (track > 0)
    voicing = float(np.mean((expected > 0) != (track > 0)))
    if not voiced.any():
        return np.nan, voicing, np.nan
    ratio = track[voiced] / expected[voiced]
    cents = float(np.median(np.abs(1200 * np.log2(ratio))))
    return float(np.mean(np.abs(ratio - 1) > GROSS)), voicing, cents


if __name__ == "__main__":
    main()
