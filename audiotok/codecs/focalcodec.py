"""FocalCodec: one codebook of signs at 50, 25 or 12.5 tokens per second, for speech; and its causal
version, FocalCodec-Stream, with sound at 24 kHz.

Della Libera et al. 2025, arXiv 2502.04465 (NeurIPS 2025), and arXiv 2509.16195; weights by the
authors at huggingface.co/lucadellalib. Files of versions 0.0.1 and 0.0.2 of the official code load
as they are, with the `config.json` beside them.

The official encoder gives floor((L - 400) / 320) + 1 frames for L samples, fewer than the sound
has. Therefore sound is first padded with zeros, to whole codes and 80 samples more: codes are the
official ones for the padded sound. The causal one needs no padding.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional as F

from audiotok.codec import checkpoints
from audiotok.codec.codec import Codec, CodecCard, Taxonomy, Weights
from audiotok.codecs._pins import pinned
from audiotok.errors import CheckpointError
from audiotok.nn.focalcodec import (
    FocalCodecConfig,
    FocalCodecNetwork,
    decoder_in_pieces,
    encoder_in_pieces,
)
from audiotok.nn.pieces import Pieces, Search
from audiotok.nn.quantizers.strided import pool, repeat
from audiotok.nn.seanet import as_float32

_FRAME = 320  # samples of a frame of features
_CHUNK = 4  # frames of the causal one that are seen as a whole


def _card(name: str, *, bits: int, frames: int = 1, causal: bool = False) -> CodecCard:
    rate = 50 / frames
    encoder = "CNN+T+CNN, Time"
    return CodecCard(
        name=f"focalcodec-{name}",
        family="focalcodec",
        description=f"official weights, {rate:g} codes per second" + causal * ", causal",
        sample_rate_in=16_000,
        sample_rate_out=24_000 if causal else 16_000,
        hop_length=frames * _FRAME,
        codebook_sizes=(2**bits,),
        mergeable=True,
        causal=causal,
        streamable=causal,
        lookahead=(_CHUNK - 1) * _FRAME if causal else None,
        taxonomy=Taxonomy(
            encoder_decoder=f"{encoder} -> CNN, Time" + ("" if causal else "-Freq"),
            quantization="BSQ, Fixed",
            training_paradigm="GAN, Feat, Rec",
            streamability="yes" if causal else "no",
            domain="speech",
        ),
        licence_code="Apache-2.0",
        licence_weights="Apache-2.0",
        training_data=("Libri-Light",) if causal else ("LibriTTS",),
        weights=Weights(
            **pinned("lucadellalib/focalcodec_" + _hub_name(rate, bits, causal)),
            file="model.safetensors",
            beside=("config.json",),
            size_about=1_000_000_000 if causal else 570_000_000,
        ),
        verified="on random weights only",
    )


def _hub_name(rate: float, bits: int, causal: bool) -> str:
    name = f"{rate:g}hz".replace(".", "_")
    return f"{name}_{2**bits // 1000}k_causal" if causal else name


class FocalCodec(Codec):
    """FocalCodec behind the common interface. The bare name stands for 50 codes per second."""

    DEFAULT = "focalcodec-50"
    window_seconds = 30.0  # the bias of attention grows with the square of the length
    CARDS = (
        _card("50", bits=13),
        _card("25", bits=13, frames=2),
        _card("12.5", bits=13, frames=4),
        _card("stream-2k", bits=11, causal=True),
        _card("stream-4k", bits=12, causal=True),
        _card("stream-65k", bits=16, causal=True),
    )

    def _load(self, checkpoint: Path | None) -> None:
        state, _ = checkpoints.read_state(checkpoint)
        config = self._config(checkpoint.with_suffix(".json"), checkpoint.with_name("config.json"))
        state = renamed(state)
        with checkpoints.sized_by(state, checkpoint):
            self.network = FocalCodecNetwork(config)
        checkpoints.load_strict(self.network, state, checkpoint)

    def _random_network(self) -> FocalCodecNetwork:
        return FocalCodecNetwork(sizes(self.card))

    def _config(self, *paths: Path) -> FocalCodecConfig:
        """Sizes from the first of these files that there is, compared with the card.

        Raises:
            CheckpointError: there is none, or it is damaged, or of another codec.
        """
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise CheckpointError(
                f"{paths[-1]} is missing: the weights of {self.card.base_name} need it beside them"
            )
        try:
            config = FocalCodecConfig.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as reason:
            raise CheckpointError(
                f"{path} is no configuration of a FocalCodec: {_line(reason)}"
            ) from None
        card, decoder = self.card, config.decoder_config
        scale = torch.Size(config.decompressor_config.upscale_factors).numel()
        actual = (
            config.hop_length,
            scale * decoder.hop_length,
            config.quantizer_config.codebook_size,
            config.chunk,
        )
        out = card.hop_length * card.sample_rate_out // card.sample_rate_in
        expected = (card.hop_length, out, card.codebook_sizes[0], _CHUNK if card.causal else 0)
        if actual != expected:
            template = "{} samples to {}, a codebook of {}, causal chunks of {}"
            raise CheckpointError(
                f"{path} is not of {card.base_name}: it has {template.format(*actual)}, the card "
                f"says {template.format(*expected)}; name the codec that it belongs to"
            )
        return config

    def _encode_latents(self, waveform: Tensor) -> Tensor:
        if not self.card.causal:
            waveform = F.pad(waveform, (0, -waveform.shape[-1] % self.hop_length + 80))
        return self.network.latents(waveform)

    def _quantize(self, latents: Tensor) -> Tensor:
        (stride,) = self.card.strides
        codes = self.network.quantizer.encode(pool(latents.float(), stride))
        return repeat(codes, stride, latents.shape[-1])

    def _dequantize(self, codes: Tensor) -> Tensor:
        return self.network.quantizer.decode(codes)

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        return self.network.synthesize(quantized)

    def _encoder_in_pieces(self) -> Pieces | None:
        if not self.card.causal:
            return None
        return Search(encoder_in_pieces(self.network), self._quantize, 1, self._unit)

    def _decoder_in_pieces(self) -> Pieces | None:
        return decoder_in_pieces(self.network) if self.card.causal else None

    def codewords(self, k: int) -> Tensor:
        return self.codebook(k) if k else self.network.quantizer.codebook


def sizes(card: CodecCard) -> FocalCodecConfig:
    """Sizes for random weights: with them, the weights are as many as in the published file."""
    bits = card.codebook_sizes[0].bit_length() - 1
    widths = (1024, 1024, 1024) if card.causal else (1024, 512, 256)
    factors = {1: (1, 1, 1), 2: (2, 1, 1), 4: (2, 2, 1)}[card.hop_length // _FRAME]
    causal = {"causal": card.causal}
    compressor = {"output_dim": bits, "hidden_dims": widths, "downscale_factors": factors}
    decompressor = {"input_dim": bits, "hidden_dims": widths[::-1]}
    decompressor["upscale_factors"] = factors[::-1]
    return FocalCodecConfig(
        encoder_config=causal,
        compressor_config=compressor | causal,
        quantizer_config={"codebook_size": 2**bits},
        decompressor_config=decompressor | causal,
        decoder_name="WaveNeXt" if card.causal else "Vocos",
        decoder_config=causal,
    )


# Keys of version 0.0.1 -> those of 0.0.2; None: not needed.
_KEYS = (
    (r"quantizer\.mask|encoder\.encoder\.norm\.\w+", None),
    (r"(compressor\.layers\.\d+)\.0\.(.*)", r"\1.downscale.\2"),
    (r"(compressor\.layers\.\d+)\.1\.(.*)", r"\1.focal_block.\2"),
    (r"(decompressor\.layers\.\d+)\.0\.(.*)", r"\1.focal_block.\2"),
    (r"(decompressor\.layers\.\d+)\.1\.(.*)", r"\1.upscale.\2"),
)


def renamed(official: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of either version in the names of 0.0.2, which are ours.

    Unknown keys are kept unchanged, so that a strict load reports them.
    """
    state: dict[str, Any] = {}
    for key, tensor in official.items():
        if (name := checkpoints.renamed_key(key, _KEYS)) is not None:
            state[name] = as_float32(tensor)
    for key in [key for key in state if ".attention.q_proj." in key]:
        names = [key.replace(".q_proj.", f".{each}_proj.") for each in "qkv"]
        if all(name in state for name in names):
            joined = torch.cat([state.pop(name) for name in names])
            state[key.replace(".q_proj.", ".qkv_proj.")] = joined
    return state


def _line(reason: Exception) -> str:
    """The message of an exception about a file, in one line."""
    if isinstance(reason, ValidationError):
        first = reason.errors()[0]
        return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
    return str(reason).splitlines()[0]
