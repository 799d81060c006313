"""NanoCodec of NVIDIA NeMo: 4, 8 or 13 codebooks at 12.5 or 21.5 frames per second, 22.05 kHz.

Casanova et al. 2025, arXiv 2508.05835; weights by NVIDIA at huggingface.co/nvidia, under its Open
Model License. Its `.nemo` files load as they are; of their weights only the codec is read, not
discriminators, losses and speaker encoders, which NeMo saves beside it.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional as F

from audiotok.codec import checkpoints, nemo_files
from audiotok.codec.codec import Codec, CodecCard, Taxonomy, Weights
from audiotok.codecs._pins import pinned
from audiotok.errors import CheckpointError
from audiotok.nn.nanocodec import DecoderConfig, EncoderConfig, NanoCodecNetwork, QuantizerConfig
from audiotok.nn.seanet import as_float32, fold_weight_norm

_RATES = {1764: (2, 3, 6, 7, 7), 1024: (2, 2, 4, 8, 8)}  # hop length: strides of the encoder
_LEVELS = {4032: (9, 8, 8, 7), 2016: (8, 7, 6, 6)}  # codebook size: levels


def _card(bitrate: str, rate: str, *, hop_length: int, groups: int, size: int) -> CodecCard:
    name = f"nemo-nano-codec-22khz-{bitrate}kbps-{rate}fps"
    return CodecCard(
        name=f"nanocodec-{bitrate}k",
        family="nanocodec",
        description=f"official weights, {groups} codes at {rate} frames per second",
        sample_rate_in=22_050,
        sample_rate_out=22_050,
        hop_length=hop_length,
        codebook_sizes=(size,) * groups,
        causal=False,
        streamable=False,
        lookahead=EncoderConfig(encoded_dim=4, down_sample_rates=_RATES[hop_length]).reach,
        taxonomy=Taxonomy(
            encoder_decoder="CNN, Time -> CNN, Time",
            quantization="GFSQ, Fixed",
            training_paradigm="GAN, Feat, Rec",
            streamability="no",
            domain="speech",
        ),
        licence_code="Apache-2.0",
        licence_weights="NVIDIA Open Model License",
        weights=Weights(**pinned(f"nvidia/{name}"), file=f"{name}.nemo", size_about=250_000_000),
        verified="on random weights only",
    )


class NanoCodec(Codec):
    """NanoCodec behind the common interface. The bare name stands for 0.6 kbit/s."""

    DEFAULT = "nanocodec-0.6k"
    window_seconds = 20.0  # wide activations
    CARDS = (
        _card("0.6", "12.5", hop_length=1764, groups=4, size=4032),
        _card("1.78", "12.5", hop_length=1764, groups=13, size=2016),
        _card("1.89", "21.5", hop_length=1024, groups=8, size=2016),
    )

    def _load(self, checkpoint: Path | None) -> None:
        state, config = nemo_files.read(checkpoint)
        parts = (
            _part(config, "audio_encoder", "HiFiGANEncoder", EncoderConfig, checkpoint),
            _part(config, "audio_decoder", "CausalHiFiGANDecoder", DecoderConfig, checkpoint),
            _part(
                config,
                "vector_quantizer",
                "GroupFiniteScalarQuantizer",
                QuantizerConfig,
                checkpoint,
            ),
        )
        self._compare(config.get("sample_rate"), *parts, checkpoint)
        state = _renamed(state, parts[2], checkpoint)
        with checkpoints.sized_by(state, checkpoint):
            self.network = NanoCodecNetwork(*parts)
        checkpoints.load_strict(self.network, state, checkpoint)

    def _random_network(self) -> NanoCodecNetwork:
        network = NanoCodecNetwork(*sizes(self.card))
        encoder, last = network.audio_encoder, network.audio_encoder.post_conv
        sound = torch.randn(1, 1, 50 * self.hop_length).cumsum(-1).sin()
        std, mean = torch.std_mean(encoder(sound), (0, 2))
        last.weight.div_(std[:, None, None])  # or all latents would be rounded to the same levels
        last.bias.sub_(mean).div_(std)
        return network

    def _compare(
        self,
        sample_rate: object,
        encoder: EncoderConfig,
        decoder: DecoderConfig,
        quantizer: QuantizerConfig,
        path: Path,
    ) -> None:
        """Raises CheckpointError unless rates and codebooks are the card's; widths may differ."""
        card, size = self.card, math.prod(quantizer.num_levels_per_group)
        hops = tuple(map(math.prod, (encoder.down_sample_rates, decoder.up_sample_rates)))
        actual = (sample_rate, *hops, quantizer.num_groups, size)
        expected = (card.sample_rate_in, card.hop_length, card.hop_length)
        expected += (card.num_codebooks, card.codebook_sizes[0])
        if actual != expected:
            template = "{} Hz, {} samples to a frame and {} from it, {} codebooks of {}"
            raise CheckpointError(
                f"{path} is not {card.base_name}: it has {template.format(*actual)}, the card says "
                f"{template.format(*expected)}; name the codec that it belongs to"
            )

    def _encode_latents(self, waveform: Tensor) -> Tensor:
        whole = F.pad(waveform, (0, -waveform.shape[-1] % self.hop_length))
        return self.network.audio_encoder(whole)

    def _quantize(self, latents: Tensor) -> Tensor:
        return self.network.quantizer.encode(latents.float())

    def _dequantize(self, codes: Tensor) -> Tensor:
        return self.network.quantizer.decode(codes)

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        return self.network.audio_decoder(quantized)

    def codewords(self, k: int) -> Tensor:
        if not 0 <= k < self.num_codebooks:
            return self.codebook(k)
        return self.network.quantizer.codebooks[k].cpu()


def sizes(card: CodecCard) -> tuple[EncoderConfig, DecoderConfig, QuantizerConfig]:
    """Sizes for random weights: with them, the weights are as many as in the published file."""
    rates, groups = _RATES[card.hop_length], card.num_codebooks
    levels = _LEVELS[card.codebook_sizes[0]]
    dimension = groups * len(levels)
    return (
        EncoderConfig(encoded_dim=dimension, down_sample_rates=rates, base_channels=24),
        DecoderConfig(
            input_dim=dimension,
            up_sample_rates=rates[::-1],
            base_channels=864,
            activation="half_snake",
            output_activation="clamp",
        ),
        QuantizerConfig(num_groups=groups, num_levels_per_group=levels),
    )


def _part(config: dict[str, Any], name: str, kind: str, fields_of: type, path: Path) -> Any:
    """The sizes of a part of the network.

    Raises:
        CheckpointError: it is missing, of another class of NeMo, or has fields that are not known.
    """
    fields = config.get(name)
    fields = dict(fields) if isinstance(fields, dict) else {}
    target = str(fields.pop("_target_", None)).rpartition(".")[2]
    if target != kind:
        raise CheckpointError(f"{path} is no NanoCodec: its {name} is {target}, expected {kind}")
    try:
        return fields_of(**fields)
    except (TypeError, ValidationError) as reason:
        raise CheckpointError(
            f"{path} is no NanoCodec: {name}: {' '.join(str(reason).split())[:200]}"
        ) from None


_UNUSED = re.compile(r"(?!audio_encoder\.|audio_decoder\.|vector_quantizer\.)")


def _renamed(state: dict[str, Tensor], config: QuantizerConfig, path: Path) -> dict[str, Tensor]:
    """The weights of the codec in our names; constants of its quantizers are compared and left out.

    Raises:
        CheckpointError: the quantizers have other levels than the configuration says.
    """
    levels = config.num_levels_per_group
    steps = [math.prod(levels[:number]) for number in range(len(levels))]
    constants = {"num_levels": list(levels), "dim_base_index": steps}
    kept = {}
    for key, tensor in state.items():
        if _UNUSED.match(key):
            continue
        if match := re.fullmatch(r"vector_quantizer\.fsqs\.\d+\.(num_levels|dim_base_index)", key):
            if tensor.flatten().tolist() != constants[match[1]]:
                raise CheckpointError(f"{path}: {key} is not that of the levels {levels}")
            continue
        kept[key] = as_float32(tensor)
    folded = fold_weight_norm(kept)
    for pattern, replacement in (
        (r"\.conv\.(weight|bias)$", r".\1"),
        (r"\.activation\.snake_act\.", ".snake."),
        (r"\.activation\.alpha$", ".alpha"),
        (r"(res_blocks\.\d+)\.res_blocks\.", r"\1."),
    ):
        folded = {re.sub(pattern, replacement, key): tensor for key, tensor in folded.items()}
    return folded
