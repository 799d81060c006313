"""Encoder and decoder of transformers' MimiModel, run piece by piece with a state for each.

transformers (5.23) has caches for the convolutions of the encoder and for attention, but none for
the decoder's convolutions, and its cached convolutions do not pad the last window of a sound that
ends within a frame; its attention cache holds sounds of one length. Therefore this file uses the
layers and weights of transformers, and keeps its own states, with a row for each sound.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.mimi import modeling_mimi as mimi

from audiotok.nn.pieces import Chain, Convolution, Pieces, Sum, Transposed, pieces
from audiotok.nn.states import Sources, Stateful


class Attending(Stateful):
    """The transformer and the past keys and values that its attention looks back on; it is causal.

    Results are those of the model with its own cache, to the bit, without the work that the model
    does anew in each call (masks by general rules, choice of the attention function).
    """

    def __init__(self, model: mimi.MimiTransformerModel):
        self.model = model
        self.window = model.config.sliding_window or 2**40  # frames, the present one included
        self.positions: list[int] = []  # the next frame of each row
        self.past: list[tuple[Tensor, Tensor]] = []  # of each layer, (B, heads, frames, channels)

    def phase(self) -> tuple:
        return (not self.past,)  # the past of rows may have different lengths

    def gather(self, sources: Sources) -> None:
        self.positions = [
            layer.positions[row] for layer, rows in sources if layer.past for row in rows.tolist()
        ]
        if not self.positions:
            return
        stored = max(layer.past[0][0].shape[2] for layer, _ in sources)
        for number in range(len(self.model.layers)):
            kinds = zip(
                *(self._rows(layer, number, rows, stored) for layer, rows in sources), strict=True
            )
            self.past.append(tuple(torch.cat(kind) for kind in kinds))

    @staticmethod
    def _rows(layer: Attending, number: int, rows: Tensor, stored: int) -> list[Tensor]:
        """Keys and values, with zeros before the beginning."""
        kinds = (kind.index_select(0, rows.to(kind.device)) for kind in layer.past[number])
        return [F.pad(kind, (0, 0, stored - kind.shape[2], 0)) for kind in kinds]

    def __call__(self, hidden: Tensor, last: bool) -> Tensor:
        """(B, C, T) -> (B, C, T)."""
        length = hidden.shape[-1]
        if not length:
            return hidden
        hidden = hidden.mT
        positions = self.positions or [0] * len(hidden)
        stored = self.past[0][0].shape[2] if self.past else 0
        device = hidden.device
        start = torch.tensor(positions, device=device)[:, None]
        now = start + torch.arange(length, device=device)
        turned = self.model.rotary_emb(hidden, now)
        causal, mask = False, None
        if not stored and 1 < length <= self.window:
            causal = True
        elif length > 1 or stored >= self.window or min(positions) < stored:
            then = (start + torch.arange(-stored, length, device=device))[:, None]
            query = now[:, :, None]
            mask = ((then <= query) & (then > query - self.window) & (then >= 0))[:, None]
        past, self.past = self.past or [None] * len(self.model.layers), []
        for layer, before in zip(self.model.layers, past, strict=True):
            attended = self._attend(
                layer.self_attn, layer.input_layernorm(hidden), turned, before, mask, causal
            )
            hidden = hidden + layer.self_attn_layer_scale(attended)
            after = layer.mlp(layer.post_attention_layernorm(hidden))
            hidden = hidden + layer.mlp_layer_scale(after)
        self.positions = [position + length for position in positions]
        return hidden.mT

    def _attend(self, layer, hidden, turned, before, mask, causal) -> Tensor:
        split = (*hidden.shape[:2], -1, layer.head_dim)
        query, key, value = (
            project(hidden).view(split).transpose(1, 2)
            for project in (layer.q_proj, layer.k_proj, layer.v_proj)
        )
        query, key = mimi.apply_rotary_pos_emb(query, key, *turned)
        if before is not None:
            key, value = (torch.cat(pair, 2) for pair in zip(before, (key, value), strict=True))
        kept = min(self.window - 1, key.shape[2])
        first = key.shape[2] - kept
        self.past.append((key[:, :, first:], value[:, :, first:]))
        groups = layer.num_key_value_groups
        attended = F.scaled_dot_product_attention(
            query,
            mimi.repeat_kv(key, groups),
            mimi.repeat_kv(value, groups),
            attn_mask=mask,
            is_causal=causal,
            scale=layer.scaling,
        )
        return layer.o_proj(attended.transpose(1, 2).reshape(*hidden.shape[:2], -1))


@pieces.register
def _(layer: mimi.MimiTransformerModel) -> Pieces:
    return Attending(layer)


@pieces.register
def _(layer: mimi.MimiConv1d) -> Pieces:
    return Convolution(layer, layer.conv, int(layer.padding_total), mode=layer.pad_mode)


@pieces.register
def _(layer: mimi.MimiConvTranspose1d) -> Pieces:
    return Transposed(layer.conv, layer.padding_left)


@pieces.register
def _(layer: mimi.MimiResnetBlock) -> Pieces:
    return Sum(pieces(layer.shortcut), pieces(layer.block))


@pieces.register(mimi.MimiEncoder)
@pieces.register(mimi.MimiDecoder)
def _(network: nn.Module) -> Pieces:
    return pieces(network.layers)


@pieces.register
def _(model: mimi.MimiEncoderModel) -> Pieces:
    steps = (model.encoder_seanet, model.encoder_transformer, model.downsample)
    return Chain(pieces(step) for step in steps if step is not None)


@pieces.register
def _(model: mimi.MimiDecoderModel) -> Pieces:
    steps = (model.upsample, model.decoder_transformer, model.decoder_seanet)
    return Chain(pieces(step) for step in steps if step is not None)
