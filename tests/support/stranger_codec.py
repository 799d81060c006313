"""What a stranger may write in one file: a causal codec of three residual codebooks, all options.

It is loaded by its path, or imported and broken on purpose.
"""

import torch
from torch import nn

from audiotok.codec import Codec, CodecCard, checkpoints
from audiotok.nn.pieces import Convolution, Search
from audiotok.nn.quantizers import ResidualVectorQuantizer, merged

HOP = 80


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv1d(1, 8, 2 * HOP, stride=HOP)  # the frame, and the one before
        self.dropout = nn.Dropout(0.5)
        self.quantizer = ResidualVectorQuantizer(3, 32, 8)
        self.decoder = nn.Linear(8, HOP)

    def latents(self, waveform):
        missing = -waveform.shape[-1] % HOP
        return self.dropout(self.encoder(nn.functional.pad(waveform, (HOP, missing))))


def state():
    generator = torch.Generator().manual_seed(0)
    values = {
        name: torch.randn(tensor.shape, generator=generator)
        for name, tensor in Network().state_dict().items()
    }
    values["quantizer.codebooks"] *= 2.0 ** -torch.arange(3)[:, None, None]
    return values


class Stranger(Codec):
    CARDS = (
        CodecCard(
            name="stranger-8k",
            family="stranger",
            description="for tests",
            sample_rate_in=8_000,
            sample_rate_out=8_000,
            hop_length=HOP,
            codebook_sizes=(32, 32, 32),
            codebook_counts=(1, 2, 3),
            mergeable=True,
            causal=True,
            streamable=True,
            lookahead=0,
            licence_code="Apache-2.0",
            licence_weights="CC-BY-NC-4.0",
            verified="by tests",
        ),
    )
    OPTIONS = {"loudness": float}

    def _load(self, checkpoint):
        self.network = Network()
        values = checkpoints.read_state(checkpoint)[0] if checkpoint else state()
        checkpoints.load_strict(self.network, values, checkpoint or "the default")
        rest = (1,) * (3 - self.num_codebooks)
        self.quantizer = merged(self.network.quantizer, (*self.card.strides, *rest))

    def _encode(self, waveform):
        return self.quantizer.encode(self.network.latents(waveform).float(), self.num_codebooks)

    def _decode(self, codes):
        latents = self.network.quantizer.decode(codes).transpose(1, 2)
        sound = self.network.decoder(latents).float().flatten(1)[:, None]
        return sound * 0.1 * self.options.get("loudness", 1.0)

    def _encoder_in_pieces(self):
        conv = self.network.encoder
        latents = Convolution(conv, conv, left=HOP, mode="constant")
        search = lambda latents: self.quantizer.encode(latents, self.num_codebooks)  # noqa: E731
        return Search(latents, search, self.num_codebooks, self._unit)

    def _decoder_in_pieces(self):
        return lambda codes, last: self._decode(codes)

    def _codebooks(self):
        return list(self.network.quantizer.codebooks)
