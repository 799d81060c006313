"""random, the lower bound of a benchmark: random codes that depend only on the sound's length.

They are decoded by wavtokenizer-mini, so that the result sounds like a codec, not like noise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from audiotok.codec.codec import Codec
from audiotok.codecs.wavtokenizer import WavTokenizer
from audiotok.errors import CodecError

_DECODER = next(card for card in WavTokenizer.CARDS if card.name == WavTokenizer.DEFAULT)


class Random(Codec):
    """Uniform codes, seeded by the option `seed` (0) and the number of samples."""

    CARDS = (
        _DECODER.model_copy(
            update={
                "name": "random",
                "family": "random",
                "kind": "baseline",
                "description": f"the floor: random codes, decoded by {_DECODER.name}",
                "taxonomy": None,
                "mergeable": False,
            }
        ),
    )
    OPTIONS = {"seed": int}
    NO_LATENTS = "its codes are random, whatever the sound is"

    def _load(self, checkpoint: Path | None) -> None:
        if self.options.get("seed", 0) < 0:
            raise CodecError(f"the seed of random is 0 or more, not {self.options['seed']}")
        self.decoder = WavTokenizer(_DECODER, self.device, checkpoint)
        self.network = self.decoder.network

    def _encode_windows(self, waveform: torch.Tensor) -> tuple[torch.Tensor, None]:
        # no windows: those of equal length would get equal codes
        return self._encode(waveform).cpu(), None

    def _encode(self, waveform: torch.Tensor) -> torch.Tensor:
        batch, _, length = waveform.shape
        generator = np.random.default_rng([self.options.get("seed", 0), length])
        codes = [
            generator.integers(size, size=self.num_frames(length)) for size in self.codebook_sizes
        ]
        return torch.from_numpy(np.stack(codes)).repeat(batch, 1, 1).to(self.device)

    def _dequantize(self, codes: torch.Tensor) -> torch.Tensor:
        return self.decoder._dequantize(codes)

    def _decode_latents(self, quantized: torch.Tensor) -> torch.Tensor:
        return self.decoder._decode_latents(quantized)

    def _codebooks(self) -> list[torch.Tensor] | None:
        return self.decoder._codebooks()
