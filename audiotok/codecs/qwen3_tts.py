"""Qwen3-TTS's 12 Hz tokenizer: 16 codebooks of 2048 at 12.5 frames per second, 24 kHz; causal.

Qwen team 2026 (Qwen3-TTS), arXiv 2601.15621; weights Qwen/Qwen3-TTS-Tokenizer-12Hz. The encoder is
transformers' MimiModel, of whose 32 codebooks the first 16 are used, the first one semantic; the
decoder is ours (`_qwen3_decoder`), after the package qwen-tts. That package needs transformers
4.57.3 and cannot be installed beside audiotok[hf], which is all that this codec needs.

The official decoder takes all 16 codebooks, and decodes codes of more than 24 s in chunks with 2 s
of context; here fewer codebooks decode too, and long codes as a whole.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from audiotok.codec import checkpoints
from audiotok.codec.codec import CodecCard, Taxonomy, Weights
from audiotok.codec.inference import LOADING
from audiotok.codecs._transformers import build, known_class, make_config, read_config
from audiotok.codecs.mimi import Mimi
from audiotok.errors import CheckpointError
from audiotok.nn.pieces import Chain, Pieces
from audiotok.nn.states import Stateless

_MODEL_TYPE = "qwen3_tts_tokenizer_12hz"
# Sizes of networks with random weights, where they differ from the defaults.
SIZES: dict[str, dict[str, Any]] = {"encoder": {}, "decoder": {}}
_ENCODER, _DECODER = "encoder.", "decoder."  # of the keys in the official file


class Qwen3TTS(Mimi):
    """The tokenizer of Qwen3-TTS behind the common interface."""

    DEFAULT = None
    CARDS = (
        CodecCard(
            name="qwen3-tts-12hz",
            family="qwen3-tts",
            description="official weights, Mimi's encoder with 16 codebooks, decoder of its own",
            sample_rate_in=24_000,
            sample_rate_out=24_000,
            hop_length=1920,
            codebook_sizes=(2048,) * 16,
            codebook_counts=tuple(range(1, 17)),
            mergeable=True,
            causal=True,
            streamable=True,
            lookahead=0,
            taxonomy=Taxonomy(
                encoder_decoder="CNN+T, Time -> CNN+T, Time",
                quantization="RVQ, Fixed",
                training_paradigm="GAN, Feat, Rec, VQ; semantic distillation",
                streamability="yes",
                domain="speech",
            ),
            licence_code="Apache-2.0",
            licence_weights="Apache-2.0",
            weights=Weights(
                repository="Qwen/Qwen3-TTS-Tokenizer-12Hz",
                file="model.safetensors",
                beside=("config.json",),
                revision="main",
                size_about=682_000_000,
            ),
            verified="on random weights only",
        ),
    )

    def _load(self, checkpoint: Path | None) -> None:
        path = checkpoint.with_name("config.json")
        content = read_config(path)
        if content.get("model_type") != _MODEL_TYPE:
            raise CheckpointError(
                f"{path} is of model_type {content.get('model_type')!r}, expected "
                f"{_MODEL_TYPE!r} for {self.card.name}"
            )
        state, _ = checkpoints.read_state(checkpoint)
        halves = {prefix: _part(state, prefix) for prefix in (_ENCODER, _DECODER)}
        if extra := [key for key in state if not key.startswith(tuple(halves))]:
            raise CheckpointError(f"{checkpoint} has {len(extra)} extra: {checkpoints.some(extra)}")
        config = {"model_type": "mimi"} | dict(content.get("encoder_config") or {})
        config = make_config(config, self.MODEL, path, self.card.name)
        self._check_sizes(self.sizes(config), path)
        decoder = _decoder(content.get("decoder_config"), path, halves[_DECODER])
        self._check_decoder(decoder.config, path)
        checkpoints.load_strict(decoder, halves[_DECODER], f"the decoder in {checkpoint}")
        network = build(
            self.MODEL, config, halves[_ENCODER], checkpoint, absent=("decoder.", "upsample.")
        )
        network.decoder = decoder
        self.network = network
        self._prepare()

    def _check_decoder(self, config: Any, path: Path) -> None:
        rates = config.upsampling_ratios + config.upsample_rates
        actual = (math.prod(rates), config.codebook_size, config.num_quantizers)
        expected = (self.hop_length, 2048, 16)
        if actual != expected:
            raise CheckpointError(
                f"{path} is not of {self.card.name}: hop length, codebook size and number of "
                f"codebooks of its decoder are {actual}, expected {expected}"
            )

    def _random_network(self) -> nn.Module:
        model = known_class(self.MODEL, self.card.name)
        network = self.network = model(model.config_class(**SIZES["encoder"])).eval()
        network.decoder = _decoder(SIZES["decoder"], Path("config.json"), None)
        self._prepare()
        latents = self._encode_latents(torch.randn(1, 1, 240_000).cumsum(-1).sin())
        split = network.quantizer.quantizer
        stacks = (
            split.semantic_residual_vector_quantizer,
            split.acoustic_residual_vector_quantizer,
        )
        for stack, other in zip(stacks, network.decoder.quantizer.children(), strict=True):
            rows = stack.input_proj(latents)[0].T
            for depth, layer in enumerate(stack.layers):
                noise = torch.randn(layer.codebook.embed_sum.shape)
                layer.codebook.embed_sum.copy_(rows.mean(0) * (not depth) + rows.std(0) * noise)
            for layer, copy in zip(stack.layers, other.vq.layers, strict=False):
                copy._codebook.embedding_sum.copy_(layer.codebook.embed_sum)
        return network

    def _dequantize(self, codes: Tensor) -> Tensor:
        return self.network.decoder.quantizer.decode(codes)

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        return self.network.decoder(quantized)

    def _decoder_in_pieces(self) -> Pieces:
        return Chain([Stateless(self._dequantize), self._pieces(self.network.decoder)])

    def _codebooks(self) -> list[Tensor]:
        """Those of the decoder, and then those of the encoder, which should be the same."""
        return self.network.decoder.quantizer.codebooks + super()._codebooks()[:16]


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)
    }


def _decoder(content: Any, path: Path, state: dict[str, Tensor] | None) -> nn.Module:
    """The decoder of the sizes in `decoder_config`, its weights not loaded yet.

    Args:
        content: `decoder_config` of the file `path`.
        state: weights to load later, which must fit these sizes; None: no weights follow.

    Raises:
        CheckpointError: sizes that are refused, or that do not fit `state`.
    """
    with LOADING:
        from audiotok.codecs._qwen3_decoder import Decoder, DecoderConfig
    try:
        config = DecoderConfig.model_validate(content or {})
    except ValidationError as reason:
        line = " ".join(str(reason).split())[:200]
        raise CheckpointError(f"{path} has a decoder_config that is refused: {line}") from reason
    if state is None:
        return Decoder(config)
    with checkpoints.sized_by(state, path):
        return Decoder(config)
