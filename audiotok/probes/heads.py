"""The heads: one for letters, one for classes and speakers, with the same input layer.

BiLSTM with CTC (Graves et al. 2006); attentive statistics pooling (Okabe et al. 2018).
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from audiotok.probes import PROTOCOL
from audiotok.probes.features import BANDS, Inputs

KERNEL = 5  # frames


class Front(nn.Module):
    """Frames -> vectors (B, T * repeat, D): the weighted sum of the codebooks' vectors, normalised.

    The weights are a softmax over codebooks, learned with the head; channels are averaged.
    """

    def __init__(self, inputs: Inputs):
        super().__init__()
        sizes, dimension = inputs.codebook_sizes, PROTOCOL.dimension
        self.repeat = inputs.repeat
        if sizes:
            self.tables = nn.Embedding(sum(sizes), dimension, sparse=True)
            self.weights = nn.Parameter(torch.zeros(len(sizes)))
            starts = torch.tensor([0, *sizes[:-1]]).cumsum(0)
            self.register_buffer("starts", starts)
        else:
            self.scale = nn.BatchNorm1d(BANDS, affine=False)  # normalises each band
            self.linear = nn.Linear(BANDS, dimension)
        self.norm = nn.LayerNorm(dimension)
        self.dropout = nn.Dropout(PROTOCOL.dropout)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        if hasattr(self, "tables"):
            vectors = self.tables(frames + self.starts).mean(2)  # (B, T, K, D)
            vectors = torch.einsum("btkd,k->btd", vectors, self.weights.softmax(0))
        else:
            vectors = self.linear(self.scale(frames.transpose(1, 2)).transpose(1, 2))
        return self.dropout(self.norm(vectors)).repeat_interleave(self.repeat, 1)


class Letters(nn.Module):
    """BiLSTM with logits (B, T * repeat, 1 + letters); the first is CTC's blank."""

    def __init__(self, inputs: Inputs, letters: int):
        super().__init__()
        self.front = Front(inputs)
        dimension = PROTOCOL.dimension
        self.lstm = nn.LSTM(dimension, dimension, batch_first=True, bidirectional=True)
        self.linear = nn.Linear(2 * dimension, 1 + letters)

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        packed = pack_padded_sequence(
            self.front(frames), lengths * self.front.repeat, batch_first=True, enforce_sorted=False
        )
        hidden, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return self.linear(hidden)


class Classes(nn.Module):
    """Convolution, attentive statistics pooling, `embed` (B, D), logits (B, classes).

    The convolution pads with the first and last frame, so that constant codes carry no information,
    not even about the length of the clip.
    """

    def __init__(self, inputs: Inputs, classes: int):
        super().__init__()
        self.front = Front(inputs)
        dimension = PROTOCOL.dimension
        padding = KERNEL // 2
        self.convolution = nn.Conv1d(
            dimension, dimension, KERNEL, padding=padding, padding_mode="replicate"
        )
        self.attention = nn.Sequential(
            nn.Linear(dimension, dimension), nn.Tanh(), nn.Linear(dimension, 1)
        )
        self.embedding = nn.Linear(2 * dimension, dimension)
        self.linear = nn.Linear(dimension, classes)

    def embed(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        hidden = self.convolution(self.front(frames).transpose(1, 2)).transpose(1, 2).relu()
        padding = torch.arange(hidden.shape[1]) >= (lengths * self.front.repeat)[:, None]
        scores = self.attention(hidden).masked_fill(padding[..., None], -torch.inf)
        weights = scores.softmax(1)
        mean = (weights * hidden).sum(1)
        deviation = (weights * (hidden - mean[:, None]).square()).sum(1).clamp(min=1e-5).sqrt()
        return self.embedding(torch.cat([mean, deviation], -1))

    def forward(self, frames: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self.linear(self.embed(frames, lengths).relu())
