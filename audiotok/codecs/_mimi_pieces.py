"""Encoder and decoder of transformers' MimiModel, run piece by piece with a state for each.

transformers (5.23) has caches for the convolutions of the encoder and for attention, but none for
the decoder's convolutions, and its cached convolutions do not pad the last window of a sound that
ends within a frame. Therefore this file uses the layers of transformers and its attention cache
(the 10 s that attention looks back), and keeps its own state for the convolutions.
"""

from __future__ import annotations

from torch import Tensor, nn
from transformers import DynamicCache
from transformers.models.mimi import modeling_mimi as mimi

from audiotok.nn.pieces import Chain, Convolution, Pieces, Sum, Transposed, pieces


class _Attending:
    """The transformer with its attention cache; attention is causal."""

    def __init__(self, model: mimi.MimiTransformerModel):
        self.model, self.cache = model, DynamicCache(config=model.config)

    def __call__(self, hidden: Tensor, last: bool) -> Tensor:
        if not hidden.shape[-1]:
            return hidden
        output = self.model(hidden.mT, past_key_values=self.cache, use_cache=True)
        return output.last_hidden_state.mT


@pieces.register
def _(layer: mimi.MimiTransformerModel) -> Pieces:
    return _Attending(layer)


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
