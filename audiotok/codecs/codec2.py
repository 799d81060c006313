"""Codec 2: David Rowe's vocoder for radio, 0.7 to 3.2 kbit/s at 8 kHz, the classical lower bound.

github.com/drowe67/codec2, LGPL-2.1; the package pycodec2 brings the library along. It models
speech as a sum of sinusoids: pitch, voicing, energy and an envelope. The codes are the bits of a
frame in groups of four (700C) or eight.
"""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch.nn import functional as F

from audiotok.codec.codec import Codec, CodecCard
from audiotok.errors import CodecError, DependencyError, MissingPackageError

SAMPLE_RATE = 8_000


def _card(mode: str, hop_length: int, codebook_sizes: tuple[int, ...], delay: int) -> CodecCard:
    """The card of a mode.

    Args:
        delay: of the sound that the library decodes, in samples: the median over nine clips, by
            their envelopes, in steps of 10 ms. `_encode` reads so many samples ahead.
    """
    return CodecCard(
        name=f"codec2-{mode.lower()}",
        family="codec2",
        kind="baseline",
        description=f"Codec 2, mode {mode}, a vocoder for speech",
        sample_rate_in=SAMPLE_RATE,
        sample_rate_out=SAMPLE_RATE,
        hop_length=hop_length,
        codebook_sizes=codebook_sizes,
        lookahead=delay,
        licence_code="LGPL-2.1",
        verified="by its tests",
    )


class Codec2(Codec):
    """Codec 2 behind the common interface."""

    EXTRA = "codec2"
    NO_LATENTS = "its codes are made of parameters of a vocoder"
    DEFAULT = "codec2-1200"
    CARDS = (
        _card("700C", 320, (16,) * 7, 240),
        _card("1200", 320, (256,) * 6, 160),
        _card("2400", 160, (256,) * 6, 160),
        _card("3200", 160, (256,) * 8, 160),
    )

    def _load(self, checkpoint: Path | None) -> None:
        if checkpoint is not None:
            raise CodecError(f"{self.card.name} has no weights: leave out checkpoint {checkpoint}")
        _package()

    @property
    def mode(self) -> int:
        """The number by which pycodec2 knows the mode."""
        return int(self.card.name.removeprefix("codec2-").removesuffix("c"))

    def _encode(self, waveform: torch.Tensor) -> torch.Tensor:
        """(B, 1, L) -> (B, K, ceil(L / hop)); the frame before the first one is left out."""
        hop, frames = self.hop_length, self.num_frames(waveform.shape[-1])
        before = hop - self.card.lookahead
        samples = F.pad(waveform[:, 0], (before, (frames + 1) * hop - before - waveform.shape[-1]))
        samples = (samples.clamp(-1, 1) * 32767).round().to(torch.int16).cpu().numpy()
        return torch.stack([self._codes(clip.reshape(-1, hop))[:, 1:] for clip in samples])

    def _codes(self, frames: np.ndarray) -> torch.Tensor:
        """Samples (T, hop) int16 -> codes (K, T)."""
        encoder = _package().Codec2(self.mode)
        codes = np.array([list(encoder.encode(frame)) for frame in frames])
        if self.codebook_sizes[0] == 16:  # the last four bits are unused
            codes = np.stack([codes >> 4, codes & 15], -1).reshape(len(codes), -1)
        return torch.from_numpy(codes[:, : self.num_codebooks].T.copy())

    def _decode(self, codes: torch.Tensor) -> torch.Tensor:
        """(B, K, T) -> (B, 1, T * hop)."""
        return torch.stack([self._sound(clip.cpu().numpy()) for clip in codes])[:, None]

    def _sound(self, codes: np.ndarray) -> torch.Tensor:
        """Codes (K, T) -> samples (T * hop).

        Decoded in a new process: the library draws its noise from one sequence per process, so a
        second sound in the same process would get other noise.

        Raises:
            CodecError: this process failed or was killed.
        """
        frames = codes.T
        if self.codebook_sizes[0] == 16:
            frames = np.pad(frames, ((0, 0), (0, 1)))
            frames = frames[:, ::2] << 4 | frames[:, 1::2]
        # -P: a file of the working directory is not imported instead of a package
        command = [sys.executable, "-P", "-c", _DECODE, str(self.mode)]
        content = frames.astype(np.uint8).tobytes()
        try:
            done = subprocess.run(command, input=content, capture_output=True, check=True)
        except subprocess.CalledProcessError as reason:
            last_line = reason.stderr.decode(errors="replace").strip().rpartition("\n")[2]
            raise CodecError(
                f"{self.card.name}: the process that decodes ended with exit status "
                f"{reason.returncode}: {last_line or 'it gave no reason'}"
            ) from reason
        return torch.from_numpy(np.frombuffer(done.stdout, np.int16).astype(np.float32) / 2**15)


_DECODE = """
import sys
from pycodec2 import Codec2

decoder, stream = Codec2(int(sys.argv[1])), sys.stdin.buffer
while frame := stream.read(decoder.bytes_per_frame()):
    sys.stdout.buffer.write(decoder.decode(frame).tobytes())
"""


def _package() -> ModuleType:
    if importlib.util.find_spec("pycodec2") is None:
        raise MissingPackageError("pycodec2", "codec2", "Codec 2")
    try:
        return importlib.import_module("pycodec2")
    except ImportError as reason:  # built for another NumPy, or without the library codec2
        raise DependencyError(
            f"pycodec2 is installed and cannot be imported ({reason}): expected a build that fits "
            "this Python and NumPy; pip install --force-reinstall --no-cache-dir pycodec2"
        ) from reason
