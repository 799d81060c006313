"""A tiny codec with all that makes codecs hard: 16 kHz in, 24 kHz out, two codebooks of which the
first runs at half the rate, context of one frame, dropout. Loaded by its path, or imported.
"""

import torch
from torch import nn

from audiotok.codec import Codec, CodecCard, checkpoints

HOP = 160


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv1d(1, 4, 3 * HOP, stride=HOP, padding=HOP)
        self.dropout = nn.Dropout(0.5)
        self.decoder = nn.Linear(4, HOP * 3 // 2)
        self.codebooks = nn.ParameterList([torch.zeros(6, 4), torch.zeros(10, 4)])


def state(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(tensor.shape, generator=generator) * 0.3
        for name, tensor in Network().state_dict().items()
    }


def search(latents, codebook):
    """(B, D, T) -> codes (B, T) and their vectors (B, D, T)."""
    distances = (latents.transpose(1, 2)[:, :, None] - codebook).square().sum(-1)
    codes = torch.where(distances.isfinite().all(-1), distances.argmin(-1), -1)
    return codes, codebook[codes.clamp(min=0)].transpose(1, 2)


class Tiny(Codec):
    CARDS = (
        CodecCard(
            name="tiny-a",
            family="tiny",
            description="for tests",
            sample_rate_in=16_000,
            sample_rate_out=24_000,
            hop_length=HOP,
            codebook_sizes=(6, 10),
            strides=(2, 1),
            licence_code="Apache-2.0",
            verified="by tests",
        ),
    )
    OPTIONS = {"loudness": float}

    def _load(self, checkpoint):
        self.network = Network()
        weights = checkpoints.read_state(checkpoint)[0] if checkpoint else state()
        checkpoints.load_strict(self.network, weights, checkpoint or "the default")

    def _encode(self, waveform):
        missing = -waveform.shape[-1] % HOP
        waveform = nn.functional.pad(waveform, (0, missing))
        latents = self.network.dropout(self.network.encoder(waveform))
        num_frames = latents.shape[-1]
        slow = nn.functional.pad(latents, (0, num_frames % 2), mode="replicate")
        codes, vectors = search(slow.unflatten(-1, (-1, 2)).mean(-1), self.network.codebooks[0])
        codes = codes.repeat_interleave(2, -1)[:, :num_frames]
        vectors = vectors.repeat_interleave(2, -1)[..., :num_frames]
        return torch.stack([codes, search(latents - vectors, self.network.codebooks[1])[0]], 1)

    def _decode(self, codes):
        vectors = sum(
            book[found]
            for book, found in zip(self.network.codebooks, codes.unbind(1), strict=False)
        )
        waveform = self.network.decoder(vectors).flatten(1)[:, None]
        return waveform * self.options.get("loudness", 1.0)

    def _codebooks(self):
        return list(self.network.codebooks)
