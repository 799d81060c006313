"""The network of ResGen: phones, their durations and visible codes in, mixtures of latents out.

A clip consists of the frames of a prompt, whose codes are all visible, and the frames to be
generated. Its phones are those of the prompt, or UNKNOWN for all frames of the prompt, then those
to speak. Each phone's
encoding is repeated for its frames and added to the sum of the visible codewords of the frame,
behind one linear layer.

With `predictor: tokens` the same network predicts the codes themselves, one layer after another
(MaskGIT, arXiv 2202.04200; MAGNeT, arXiv 2401.04577): the baseline of the paper's claims.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from audiotok.errors import RecipeError, SpeechError
from audiotok.training.settings import Section
from audiotok.tts.base import Codes
from audiotok.tts.phones import NUM_PHONES
from audiotok.tts.resgen.layers import Bidirectional
from audiotok.tts.resgen.masking import is_visible
from audiotok.tts.resgen.mixture import Mixture, MixtureHead


class NetworkConfig(Section):
    """Sizes of the network. The paper's audio models: K 1024, h 64, H 512."""

    latents: int = Field(gt=0, le=2**14)  # H: dimensions of the codec's codewords
    dimension: int = Field(default=256, gt=0, le=2**13)
    heads: int = Field(default=4, gt=0, le=128)
    layers: int = Field(default=8, gt=0, le=256)
    text_layers: int = Field(default=2, ge=0, le=256)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    components: int = Field(default=64, gt=0, le=2**14)  # K
    rank: int = Field(default=16, gt=0, le=2**12)  # h
    visible_counts: bool = True  # an embedding of the number of visible layers; not in the paper
    phone_positions: bool = True  # where in its phone a frame is; not in the paper
    predictor: Literal["latents", "tokens"] = "latents"

    @model_validator(mode="after")
    def _agree(self) -> NetworkConfig:
        if self.dimension % (2 * self.heads):
            raise ValueError(
                f"dimension {self.dimension} does not divide into {self.heads} heads of pairs"
            )
        return self


@dataclass(frozen=True)
class Condition:
    """The phones to speak and the prompts, for a batch of B clips.

    Attributes:
        phones: ids (B, P), with any value in the padding.
        durations: frames of each phone (B, P), 0 where padded.
        prompt_frames: of each clip (B,), part of the durations.
        dropped: clips (B,) bool that get neither phones nor prompt.
    """

    phones: Tensor
    durations: Tensor
    prompt_frames: Tensor
    dropped: Tensor

    @property
    def lengths(self) -> Tensor:
        """Frames of each clip, the prompt's included (B,)."""
        return self.durations.sum(1)


class Network(nn.Module):
    """Predicts the masked codes of frames.

    Buffers, set by `set_codec`: `codebooks` (D, V, H), the codec's codewords, whose sum is the
    latent of a frame; `deviations` (D,), sigma_j, the standard deviation of the residuals at each
    depth. The network works in units of the first one, `scale`.

    Raises:
        RecipeError: the codebooks are of unequal sizes or rates.
    """

    def __init__(self, config: NetworkConfig, codes: Codes):
        super().__init__()
        sizes = set(codes.codebook_sizes)
        if len(sizes) != 1 or set(codes.strides) != {1}:
            raise RecipeError(
                f"{codes.codec} has codebooks of sizes {codes.codebook_sizes} and strides "
                f"{codes.strides}: ResGen needs residual codebooks of one size, all at the rate of "
                "the frames"
            )
        self.depth, (self.size,) = len(codes.codebook_sizes), sizes
        self.settings, width = config, config.dimension
        self.register_buffer("codebooks", torch.zeros(self.depth, self.size, config.latents))
        self.register_buffer("deviations", torch.ones(self.depth))
        self.phones = nn.Embedding(NUM_PHONES, width)
        self.text = Bidirectional(width, config.heads, config.text_layers, config.dropout)
        if config.phone_positions:
            self.positions = nn.Linear(3, width)
        self.durations = DurationRegressor(width)
        self.no_text = nn.Parameter(torch.zeros(width))
        self.visible = nn.Linear(config.latents, width)
        if config.visible_counts:
            self.counts = nn.Embedding(self.depth + 1, width)
        self.body = Bidirectional(width, config.heads, config.layers, config.dropout)
        if config.predictor == "tokens":
            self.head = nn.Parameter(torch.zeros(self.depth, self.size, width))
        else:
            self.head = MixtureHead(width, config.latents, config.components, config.rank)

    @property
    def scale(self) -> Tensor:
        """The standard deviation of the latents ()."""
        return self.deviations[0]

    def set_codec(self, codebooks: Tensor, deviations: Tensor) -> None:
        """Copies codewords (D, V, H) and sigma_j (D,) of a codec."""
        self.codebooks.copy_(codebooks)
        self.deviations.copy_(deviations)

    def summed(self, codes: Tensor, chosen: Tensor) -> Tensor:
        """Sums (B, T, H) of the codewords of codes (B, D, T) where `chosen` (B, T, D) is true."""
        batch, depth, frames = codes.shape
        first = torch.arange(0, depth * self.size, self.size, device=codes.device)
        rows = (codes.clamp(min=0).transpose(1, 2) + first).reshape(batch * frames, depth)
        weights = chosen.reshape(batch * frames, depth).to(self.codebooks.dtype)
        words = self.codebooks.flatten(0, 1)
        total = F.embedding_bag(rows, words, mode="sum", per_sample_weights=weights)
        return total.view(batch, frames, -1)

    def encode_text(self, condition: Condition) -> tuple[Tensor, Tensor]:
        """Encodings of phones (B, P, C), and their log durations in frames (B, P)."""
        spoken = condition.durations > 0
        phones = condition.phones.where(spoken, torch.zeros_like(condition.phones))
        encoded = self.text(self.phones(phones), spoken.sum(1))
        return encoded, self.durations(encoded, spoken)

    def expand(self, encoded: Tensor, condition: Condition) -> Tensor:
        """Encodings of phones (B, P, C) -> of their frames (B, T, C)."""
        lengths = condition.lengths
        ends = condition.durations.cumsum(1)
        frames = torch.arange(int(lengths.max()), device=ends.device)
        index = (frames[None, :, None] >= ends[:, None]).sum(2).clamp(max=ends.shape[1] - 1)
        expanded = encoded.gather(1, index[..., None].expand(-1, -1, encoded.shape[2]))
        if self.settings.phone_positions:
            after = (ends.gather(1, index) - frames).clamp(min=1)  # frames to the phone's end
            durations = condition.durations.gather(1, index)
            before = (durations - after).clamp(min=0)
            share = (before + 0.5) / durations.clamp(min=1)
            parts = share, before.log1p(), after.log()
            expanded = expanded + self.positions(torch.stack(parts, 2).to(expanded))
        no_text = self.no_text.to(expanded.dtype)
        return torch.where(condition.dropped[:, None, None], no_text, expanded)

    def forward(
        self, codes: Tensor, visible: Tensor, expanded: Tensor, condition: Condition
    ) -> Tensor:
        """Hidden (B, T, C) of codes (B, D, T) whose first `visible` (B, T) layers are visible.

        `expanded` is the result of `expand`. The values of masked codes do not matter.
        """
        frames = torch.arange(visible.shape[1], device=visible.device)
        prompt = frames < condition.prompt_frames[:, None]
        visible = visible.masked_fill(condition.dropped[:, None] & prompt, 0)
        latents = self.summed(codes, is_visible(visible, self.depth)) / self.scale
        hidden = self.visible(latents) + expanded
        if self.settings.visible_counts:
            hidden = hidden + self.counts(visible)
        return self.body(hidden, condition.lengths)

    def mixture(self, hidden: Tensor) -> Mixture:
        """Hidden (N, C) -> mixtures of masked sums, in units of `scale`."""
        return self.head(hidden)

    def logits(self, hidden: Tensor, layer: int) -> Tensor:
        """Hidden (N, C) -> logits of the codes of one layer (N, V)."""
        return F.linear(hidden.to(self.head), self.head[layer])


class DurationRegressor(nn.Module):
    """Encodings of phones (B, P, C) -> log frames (B, P): two convolutions and a linear layer."""

    def __init__(self, dimension: int):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(dimension, dimension, 3, padding=1) for _ in range(2)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(dimension) for _ in range(2))
        self.out = nn.Linear(dimension, 1)

    def forward(self, encoded: Tensor, spoken: Tensor) -> Tensor:
        """`spoken` (B, P) bool is False for padding, which counts as zeros, as at the ends."""
        hidden = encoded
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            inside = (hidden * spoken[..., None]).transpose(1, 2)
            hidden = norm(F.relu(convolution(inside).transpose(1, 2)))
        return self.out(hidden)[..., 0]


def condition_of(
    phones: Sequence[Tensor],
    durations: Sequence[Tensor],
    prompt_frames: Sequence[int],
    device: torch.device | str = "cpu",
) -> Condition:
    """A batch of clips of unequal numbers of phones: ids and durations (P_i,) of each.

    Raises:
        SpeechError: phones and durations do not fit, or a duration is 0.
    """
    for ids, lengths, prompt in zip(phones, durations, prompt_frames, strict=True):
        frames = lengths.tolist()
        if len(ids) != len(frames) or min(frames, default=0) < 1 or not 0 <= prompt < sum(frames):
            raise SpeechError(
                f"{len(ids)} phones, durations {frames} and a prompt of {prompt} frames do not "
                "fit: expected a duration of 1 or more for each phone, in all more than the prompt"
            )
    padded = [pad_sequence(list(rows), batch_first=True).to(device) for rows in (phones, durations)]
    dropped = torch.zeros(len(phones), dtype=torch.bool, device=device)
    return Condition(*padded, torch.tensor(prompt_frames, device=device), dropped)
