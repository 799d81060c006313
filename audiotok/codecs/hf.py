"""hf:org/name or hf:FOLDER: any discrete audio tokenizer of transformers, from its configuration.

    audiotok bench --tokenizer hf:descript/dac_16khz
    audiotok encode talk.wav -t hf:org/name@revision:codebooks=4 -o talk.atok

A folder is one that `save_pretrained` wrote. Models that have a family in audiotok run with the
code of that family, at any size; DAC and EnCodec run with the code of transformers. Models with
continuous latents (VibeVoice, Pocket TTS) are refused.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from audiotok.codec import checkpoints
from audiotok.codec.codec import Codec, CodecCard, Weights
from audiotok.codecs._searches import (
    FactorizedSearch,
    SingleSearch,
    full_precision,
    residual_codes,
)
from audiotok.codecs._transformers import Wrapped, make_config, padded, read_config
from audiotok.codecs.mimi import Mimi
from audiotok.codecs.neucodec import NeuCodec
from audiotok.codecs.xcodec import LONG, XCodec
from audiotok.codecs.xcodec2 import XCodec2
from audiotok.errors import CheckpointError, CodecError


class Dac(Wrapped):
    """DacModel: sound is padded with zeros to whole frames, as its feature extractor does."""

    MODEL_TYPE = "dac"
    MODEL = "DacModel"
    MERGEABLE = False  # the family dac can merge

    @classmethod
    def sizes(cls, config: Any) -> dict[str, Any]:
        return {
            "sample_rate_in": config.sampling_rate,
            "sample_rate_out": config.sampling_rate,
            "channels": 1,
            "hop_length": config.hop_length,
            "codebook_sizes": (config.codebook_size,) * config.n_codebooks,
        }

    def _prepare(self) -> None:
        self.network.quantizer = FactorizedSearch(self.network.quantizer, self.card.num_codebooks)

    def _run_encoder(self, waveform: Tensor) -> None:
        self.network.encode(padded(waveform, self.hop_length))

    def _quantize(self, latents: Tensor) -> Tensor:
        return self.network.quantizer(latents)[1]

    def _dequantize(self, codes: Tensor) -> Tensor:
        return self.network.quantizer.from_codes(codes)[0]

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        waveform = self.network.decode(quantized).audio_values[:, None]
        missing = (
            quantized.shape[-1] * self.hop_length - waveform.shape[-1]
        )  # odd strides lose some
        return F.pad(waveform, (0, max(0, missing)))

    def _codebooks(self) -> list[Tensor]:
        return [layer.codebook.weight for layer in self.network.quantizer.quantizer.quantizers]


class EncodecModel(Wrapped):
    """An EnCodec of any size without chunks: MusicGen's at 32 kHz, for example.

    For the official weights at 24 kHz use the family encodec, with exact search and streaming.
    """

    MODEL_TYPE = "encodec"
    MODEL = "EncodecModel"

    @classmethod
    def sizes(cls, config: Any) -> dict[str, Any]:
        if config.chunk_length_s is not None or config.normalize:
            raise CodecError(
                "an EnCodec that codes in chunks, each at its own level: load encodec-48k with "
                "--checkpoint FOLDER; of other sizes it is not supported"
            )
        return {
            "sample_rate_in": config.sampling_rate,
            "sample_rate_out": config.sampling_rate,
            "channels": config.audio_channels,
            "hop_length": config.hop_length,
            "codebook_sizes": (config.codebook_size,) * config.num_quantizers,
        }

    def _prepare(self) -> None:
        """Nothing to replace: encoder, quantizer and decoder are called separately."""

    def _encode_latents(self, waveform: Tensor) -> Tensor:
        return self.network.encoder(waveform)

    def _quantize(self, latents: Tensor) -> Tensor:
        with full_precision(latents.device):
            layers = self.network.quantizer.layers
            return residual_codes(layers, latents.float(), self.card.strides)

    def _dequantize(self, codes: Tensor) -> Tensor:
        return self.network.quantizer.decode(codes.transpose(0, 1))

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        return self.network.decoder(quantized)

    def _codebooks(self) -> list[Tensor]:
        return [layer.codebook.embed for layer in self.network.quantizer.layers]


class Higgs(XCodec):
    """HiggsAudioV2TokenizerModel, an X-Codec at 24 kHz whose stages project to a few dimensions."""

    CARDS = ()
    MODEL_TYPE = "higgs_audio_v2_tokenizer"
    MODEL = "HiggsAudioV2TokenizerModel"
    UNUSED = ("semantic_model.masked_spec_embed",)


class WavTokenizer(Wrapped):
    """WavTokenizerModel, since transformers 5.24. Loudness is never normalised, even if a
    preprocessor_config.json asks for it."""

    MODEL_TYPE = "wavtokenizer"
    MODEL = "WavTokenizerModel"

    @classmethod
    def sizes(cls, config: Any) -> dict[str, Any]:
        return {
            "sample_rate_in": config.sampling_rate,
            "sample_rate_out": config.sampling_rate,
            "channels": 1,
            "hop_length": config.hop_length,
            "codebook_sizes": (config.codebook_size,),
        }

    def _prepare(self) -> None:
        encoder = self.network.encoder_model
        encoder.quantizer = SingleSearch(encoder.quantizer, self.card.strides)

    def _run_encoder(self, waveform: Tensor) -> None:
        self.network.encode(waveform)

    def _quantize(self, latents: Tensor) -> Tensor:
        return self.network.encoder_model.quantizer.encode(latents)[:, None]

    def _dequantize(self, codes: Tensor) -> Tensor:
        return self.network.encoder_model.quantizer.decode(codes[:, 0])

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        bandwidth = torch.tensor([0], device=quantized.device)
        return self.network.head(self.network.backbone(quantized, bandwidth))

    def _codebooks(self) -> list[Tensor]:
        return [self.network.encoder_model.quantizer.quantizer.codebook.embed]


_KINDS: dict[str, type[Wrapped]] = {
    kind.MODEL_TYPE: kind
    for kind in (Dac, EncodecModel, Higgs, Mimi, NeuCodec, WavTokenizer, XCodec, XCodec2)
}
_CONTINUOUS = ("vibevoice_acoustic_tokenizer", "pocket_tts")
_REPOSITORY = re.compile(r"(?P<name>[\w-][\w.-]*/[\w-][\w.-]*)(@(?P<revision>[\w-][\w./-]*))?")


class HuggingFace(Codec):
    """A codec on the Hub, or in a folder, in the format of transformers."""

    EXTRA = Wrapped.EXTRA
    PREFIX = "hf:"
    context_seconds = 10.0  # as Mimi needs

    @classmethod
    def card_named(cls, name: str) -> CodecCard:
        full, weights = cls.PREFIX + name, None
        config = Path(name) / "config.json"
        if not name or not Path(name).is_dir():
            match = _REPOSITORY.fullmatch(name)
            if match is None:
                raise CodecError(
                    f"{full} is neither a folder nor a repository: expected hf:FOLDER or "
                    "hf:org/name"
                )
            weights = Weights(
                repository=match["name"],
                file="model.safetensors",
                revision=match["revision"] or "main",
                beside=("config.json",),
            )
            config = _find_config(full, weights)
        content = read_config(config)
        kind = _kind(content, full)
        if weights and kind.EXTRACTOR:
            beside = (*weights.beside, "preprocessor_config.json")
            weights = weights.model_copy(update={"beside": beside})
        sizes = kind.sizes(make_config(content, kind.MODEL, config, full))
        counts = tuple(range(1, len(sizes["codebook_sizes"]) + 1))
        try:
            return CodecCard(
                **sizes,
                name=full,
                family="hf",
                description=f"{kind.MODEL} of transformers; its repository tells the licence"
                + (f"; {LONG}" if issubclass(kind, XCodec) else ""),
                codebook_counts=counts,
                mergeable=kind.MERGEABLE,
                licence_code="Apache-2.0",
                weights=weights,
                verified="by nobody",
            )
        except ValueError as reason:
            line = " ".join(str(reason).split())
            raise CheckpointError(f"{config} gives no codec: {line}") from reason

    def _load(self, checkpoint: Path | None) -> None:
        if checkpoint is None:  # the folder in its name
            folder = self.card.base_name.removeprefix(self.PREFIX)
            checkpoint = checkpoints.resolve(self.card, folder)
        content = read_config(checkpoint.with_name("config.json"))
        self._codec = _kind(content, self.card.name)(self.card, str(self.device), checkpoint)
        self.network = self._codec.network

    @cached_property
    def fingerprint(self) -> str:
        """The fingerprint that the family of the network computes."""
        return self._codec.fingerprint

    def _encode_latents(self, waveform: Tensor) -> Tensor:
        return self._codec._encode_latents(waveform)

    def _quantize(self, latents: Tensor) -> Tensor:
        return self._codec._quantize(latents)

    def _dequantize(self, codes: Tensor) -> Tensor:
        return self._codec._dequantize(codes)

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        return self._codec._decode_latents(quantized)

    def _codebooks(self) -> list[Tensor] | None:
        return self._codec._codebooks()


def _find_config(name: str, weights: Weights) -> Path:
    """The config.json of a repository, from the user's folder, the Hub's cache or the Hub."""
    local = checkpoints.local_folder(name) / "config.json"
    if local.is_file():
        return local
    file = weights.model_copy(update={"file": "config.json", "beside": ()})
    return checkpoints.download(name, file, "give the folder that holds it, as hf:FOLDER")


def _kind(content: dict[str, Any], name: str) -> type[Wrapped]:
    """The family that runs networks of this configuration."""
    model_type = str(content.get("model_type"))
    if model_type in _KINDS:
        return _KINDS[model_type]
    if model_type.startswith(_CONTINUOUS):
        raise CodecError(f"{name} ({model_type}) gives continuous latents: there are no tokens")
    raise CodecError(
        f"{name} is of model_type {model_type!r}, which is not supported: expected one of "
        f"{', '.join(_KINDS)}"
    )
