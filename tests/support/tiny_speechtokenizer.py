"""A tiny SpeechTokenizer made of the encodec package's blocks, under the official names."""

import warnings

import torch
from encodec.modules import SConv1d, SEANetDecoder, SEANetEncoder
from encodec.quantization import ResidualVectorQuantizer
from torch import nn

from support import tiny_encodec as tiny

RATE, STAGES = 16000, 8


class BothWays(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, 2, bidirectional=True)

    def forward(self, hidden):
        output = self.lstm(hidden.permute(2, 0, 1))[0].permute(1, 2, 0)
        return output + torch.cat([hidden, hidden], dim=1)


class PlainSnake(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, hidden):
        return hidden + (1 / (self.alpha + 1e-9)) * torch.sin(self.alpha * hidden) ** 2


class Official(nn.Module):
    """encoder, quantizer, decoder and transform, each named as the speechtokenizer package does."""

    def __init__(self, snake):
        super().__init__()
        sizes = {"dimension": tiny.DIMENSION, "n_filters": tiny.FILTERS}
        with warnings.catch_warnings(action="ignore"):  # weight_norm is an old function
            self.encoder, self.decoder = SEANetEncoder(**sizes), SEANetDecoder(**sizes)
            width = 16 * tiny.FILTERS
            self.encoder.model[13] = BothWays(width)
            self.encoder.model[15] = SConv1d(2 * width, tiny.DIMENSION, 7, norm="weight_norm")
        if snake:
            with_snakes(self.encoder.model)
            with_snakes(self.decoder.model)
        self.quantizer = ResidualVectorQuantizer(
            dimension=tiny.DIMENSION, n_q=STAGES, bins=tiny.SIZE
        )
        self.transform = nn.Linear(tiny.DIMENSION, 5)

    def encode(self, waveform):
        """(1, 1, L) -> codes (1, K, T)."""
        return self.quantizer.vq.encode(self.encoder(waveform)).transpose(0, 1)

    def decode(self, codes):
        """Codes (1, K, T) -> (1, 1, L)."""
        return self.decoder(self.quantizer.vq.decode(codes.transpose(0, 1)))


def with_snakes(layers):
    """Puts a Snake where an ELU is; channels are those of the convolution behind it."""
    for index, layer in enumerate(layers):
        if isinstance(layer, nn.ELU):
            convolution = next(
                module
                for module in layers[index + 1].modules()
                if isinstance(module, nn.Conv1d | nn.ConvTranspose1d)
            )
            layers[index] = PlainSnake(convolution.in_channels)
        elif hasattr(layer, "block"):
            with_snakes(layer.block)


def official(snake=False, seed=0):
    torch.manual_seed(seed)
    model = Official(snake).eval()
    with torch.no_grad():
        tiny.randomise(model)
        for name, parameter in model.named_parameters():
            if name.endswith("alpha"):
                parameter.copy_(0.5 + torch.rand_like(parameter))
        rows = model.encoder(tiny.speech(RATE, 1, 24)[None])[0].T
        for layer, codebook in zip(
            model.quantizer.vq.layers, tiny.drawn(rows, STAGES), strict=True
        ):
            layer._codebook.embed.copy_(codebook)
            layer._codebook.embed_avg.copy_(3 * codebook)
            layer._codebook.inited.fill_(1)
    return model
