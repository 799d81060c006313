"""Codecs whose token tasks can be worked out by hand: pure noise, always the same, a copy."""

import zlib

import numpy as np
import torch

from audiotok.codec import Codec, CodecCard

HOP = 80


def _card(name, sizes, hop, strides=()):
    return CodecCard(
        name=name, family=name, description="", sample_rate_in=8000, sample_rate_out=8000,
        hop_length=hop, codebook_sizes=sizes, strides=strides, licence_code="Apache-2.0",
        verified="never",
    )  # fmt: skip


class _Plain(Codec):
    def _load(self, checkpoint):
        pass

    def _frames(self, waveform):
        return -(-waveform.shape[-1] // self.hop_length)

    def _decode(self, codes):
        seconds = torch.arange(codes.shape[-1] * self.hop_length) / 8000
        return (0.1 * torch.sin(2 * np.pi * 440 * seconds)).expand(len(codes), 1, -1)


class Noise(_Plain):
    """Other codes for any other sound: two of 1024, and one of 2 every second frame."""

    CARDS = (_card("noise", (1024, 2), HOP, (1, 2)),)

    def _encode(self, waveform):
        generator = np.random.default_rng(zlib.crc32(waveform.contiguous().numpy()))
        frames = self._frames(waveform)
        codes = [np.repeat(generator.integers(v, size=frames), s)[:frames]
                 for v, s in zip(self.codebook_sizes, self.card.strides, strict=True)]  # fmt: skip
        return torch.from_numpy(np.stack(codes))[None]


class Constant(_Plain):
    """Code 3 and code 5, whatever is heard."""

    CARDS = (_card("constant", (1024, 64), HOP),)

    def _encode(self, waveform):
        return torch.tensor([3, 5])[None, :, None].repeat(1, 1, self._frames(waveform))


class Halting(_Plain):
    """Random codes of 8 at 50 Hz, each for 1 to 3 frames; as segments if `most` is above 1."""

    CARDS = (_card("halting", (8,), 160),)

    def __init__(self, most=1, needs=""):
        varies = {"max_duration": most, "merged_codebooks": int(most > 1), "needs": needs}
        super().__init__(self.CARDS[0].model_copy(update=varies))

    def _encode(self, waveform):
        generator = np.random.default_rng(zlib.crc32(waveform.contiguous().numpy()))
        frames = self._frames(waveform)
        codes = generator.integers(8, size=frames).repeat(generator.integers(1, 4, size=frames))
        return torch.from_numpy(codes[:frames])[None, None]


class Copy(_Plain):
    """8 bits per sample: the codes are the sound."""

    CARDS = (_card("copy", (256,), 1),)

    def _encode(self, waveform):
        return (waveform * 128 + 128).round().clamp(0, 255).long()

    def _decode(self, codes):
        return (codes - 128) / 128

    def codewords(self, k):
        return self._decode(torch.arange(256))[:, None]


NOISE, CONSTANT, COPY = (kind(kind.CARDS[0]) for kind in (Noise, Constant, Copy))
