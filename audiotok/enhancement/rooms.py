"""Impulse responses of rooms with flat walls by the image method (Allen and Berkley 1979).

Each wall reflects the same share of the sound pressure, which Eyring's formula gives for a decay
time, and turns its sign: with the sign kept, the many late images of one sample would add up to a
slow oscillation that no real room has (Lehmann and Johansson 2008, section II). An image is one
sample.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

SPEED = 343.0  # m/s
MARGIN = 0.5  # metres: sources and microphones are this far from all walls


@dataclass(frozen=True)
class Room:
    """A room with one source and one microphone.

    Attributes:
        size, source, microphone: (3,) metres.
        decay: seconds until the sound is 60 dB softer (T60).
    """

    size: np.ndarray
    source: np.ndarray
    microphone: np.ndarray
    decay: float

    @property
    def reflection(self) -> float:
        """The share of the pressure that a wall reflects: Eyring's formula, solved for it."""
        volume = np.prod(self.size)
        surface = 2 * sum(a * b for a, b in itertools.combinations(self.size, 2))
        absorbed = 1 - np.exp(-24 * np.log(10) * volume / (SPEED * surface * self.decay))
        return float(np.sqrt(1 - absorbed))


def random_room(generator: np.random.Generator, decay: float) -> Room:
    """A room of 3 to 8 m by 3 to 6 m by 2.5 to 3.5 m, source and microphone at random places."""
    size = generator.uniform((3, 3, 2.5), (8, 6, 3.5))
    source, microphone = (generator.uniform(MARGIN, size - MARGIN) for _ in range(2))
    return Room(size, source, microphone, decay)


def impulse_response(room: Room, sample_rate: int) -> np.ndarray:
    """(L,) float64: the pressure at the microphone, until it is 60 dB softer.

    The direct sound is at sample 0 with the pressure 1, so that a sound convolved with it is
    neither delayed nor changed in level.
    """
    reach = SPEED * room.decay
    counts = np.ceil(reach / (2 * room.size)).astype(int)
    axes = []
    for length, source, microphone, count in zip(
        room.size, room.source, room.microphone, counts, strict=True
    ):
        order = np.arange(-count, count + 1)
        # reflected at the walls |n| + |n - q| times, q = 0 or 1
        offsets = np.concatenate([2 * order * length + s - microphone for s in (source, -source)])
        reflections = np.concatenate([np.abs(2 * order), np.abs(2 * order - 1)])
        axes.append((offsets**2, reflections))
    squares, reflections = axes[0]
    for axis_squares, axis_reflections in axes[1:]:
        squares = (squares[:, None] + axis_squares).ravel()
        reflections = (reflections[:, None] + axis_reflections).ravel()
        audible = squares <= reach**2
        squares, reflections = squares[audible], reflections[audible]
    distances = np.maximum(np.sqrt(squares), 1e-2)
    direct = max(float(np.linalg.norm(room.source - room.microphone)), 1e-2)
    samples = np.rint((distances - direct) / SPEED * sample_rate).astype(int)
    pressures = direct / distances * (-room.reflection) ** reflections
    return np.bincount(np.maximum(samples, 0), pressures)
