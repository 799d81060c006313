"""Codecs that no table may put first in what they do not deserve: each wins some number by doing
nothing. Loaded by their path: `degenerate_codecs.py::constant`.
"""

import torch

from audiotok.codec import Codec, CodecCard

HOP = 320


def card(name, hop_length, size):
    return CodecCard(
        name=name,
        family=name,
        description="for tests",
        sample_rate_in=16_000,
        sample_rate_out=16_000,
        hop_length=hop_length,
        codebook_sizes=(size,),
        licence_code="Apache-2.0",
        verified="by tests",
    )


class Degenerate(Codec):
    """constant: its code never changes, and plays the same noise. copying: stores the samples, 16
    bits each, 256 kbit/s. dice: codes at random, each a burst of noise of its own.
    """

    CARDS = (card("constant", HOP, 1024), card("copying", 1, 65_536), card("dice", HOP, 1024))

    def _load(self, checkpoint):
        pass

    def _encode(self, waveform):
        if self.card.name == "copying":
            return ((waveform + 1) * 32_768).round().clamp(0, 65_535).long()
        shape = (waveform.shape[0], 1, -(-waveform.shape[-1] // HOP))
        generator = torch.Generator().manual_seed(waveform.shape[-1])
        return torch.randint(
            1 if self.card.name == "constant" else 1024, shape, generator=generator
        )

    def _decode(self, codes):
        if self.card.name == "copying":
            return codes / 32_768 - 1
        bursts = torch.randn(1024, HOP, generator=torch.Generator().manual_seed(0))
        return (0.05 * bursts[codes[:, 0]]).flatten(1)[:, None]
