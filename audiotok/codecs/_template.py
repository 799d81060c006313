"""my-codec: a codec of my own. It keeps every promise of `audiotok check`; replace the network.

audiotok check my_codec.py
audiotok bench -t my_codec.py --data path/to/recordings
"""

import torch
from torch import nn

from audiotok.codec import Codec, CodecCard, checkpoints
from audiotok.nn.quantizers import ResidualVectorQuantizer

HOP, DIM, CODEBOOKS, SIZE = 320, 64, 4, 256  # samples per frame, latents, codebooks, their size


class Network(nn.Module):
    """Replace this by your network. Anything is allowed that gives one latent vector per frame."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Conv1d(1, DIM, HOP, stride=HOP)
        self.decoder = nn.ConvTranspose1d(DIM, 1, HOP, stride=HOP)
        self.quantizer = ResidualVectorQuantizer(CODEBOOKS, SIZE, DIM)  # exact search


def random_weights():
    """Stands in for a checkpoint until you have one: the same weights each time."""
    generator = torch.Generator().manual_seed(0)
    state = Network().state_dict()
    return {name: 0.1 * torch.randn(t.shape, generator=generator) for name, t in state.items()}


class MyCodec(Codec):
    CARDS = (
        CodecCard(
            name="my-codec",
            family="my-codec",
            description="random weights: a template to be filled in",
            sample_rate_in=16_000,  # Hz; other rates are resampled
            sample_rate_out=16_000,
            hop_length=HOP,
            codebook_sizes=(SIZE,) * CODEBOOKS,  # bitrate and token rate follow from these
            codebook_counts=tuple(range(1, CODEBOOKS + 1)),  # my-codec:codebooks=2 also works
            causal=True,
            lookahead=0,  # samples after its frame that a code depends on; None: all of them
            licence_code="Apache-2.0",
            training_data=(),  # corpora, e.g. ("LibriSpeech",): the leaderboard marks overlaps
            verified="not verified",
        ),
    )

    def _load(self, checkpoint):
        """Sets self.network. `checkpoint` is the file of --checkpoint, or None."""
        self.network = Network()
        weights = checkpoints.read_state(checkpoint)[0] if checkpoint else random_weights()
        checkpoints.load_strict(self.network, weights, checkpoint or "random weights")

    def _encode_latents(self, waveform):
        """(B, 1, L) float32 at sample_rate_in -> (B, D, T), with T = ceil(L / hop_length)."""
        waveform = nn.functional.pad(waveform, (0, -waveform.shape[-1] % HOP))
        return self.network.encoder(waveform)

    def _quantize(self, latents):
        """(B, D, T) -> codes (B, K, T) int64, of the first K codebooks that the name asks for."""
        return self.network.quantizer.encode(latents, self.card.num_codebooks)

    def _dequantize(self, codes):
        """(B, K, T) -> vectors (B, D, T)."""
        return self.network.quantizer.decode(codes)

    def _decode_latents(self, quantized):
        """(B, D, T) -> waveform (B, 1, T * hop_length); the base class cuts it to the length."""
        return self.network.decoder(quantized)

    def _codebooks(self):
        """Their hash is the fingerprint by which a file of tokens finds its codec."""
        return list(self.network.quantizer.codebooks)
