"""LM-SPT: one semantic and seven acoustic codebooks at 12.5 Hz, distilled from Whisper.

Jo et al. 2025, arXiv 2506.16738; weights by Kakao, for non-commercial use, at 24 kHz. The semantic
codebook decodes alone: `semantic_only=main` by the decoder of all codebooks (the same as
`codebooks=1`), `semantic_only=auxiliary` by the small decoder at 16 kHz that it was trained with.
The official code drops up to half a frame at the end, and its decoders return 4 samples too few;
here the last frame is padded with zeros, and decoded sound has the length of the source.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiotok.codec import checkpoints
from audiotok.codec.codec import CodecCard, Taxonomy, Weights
from audiotok.codec.variants import one_of
from audiotok.codecs._trained import BY_RECIPE, Trained, in_float32
from audiotok.errors import CheckpointError, CodecError
from audiotok.nn import ragged
from audiotok.nn.dac import decoder_reach, encoder_reach
from audiotok.nn.dac_keys import from_official, strides_in
from audiotok.nn.lm_spt import (
    AUXILIARY_RATE,
    DACDecoderConfig,
    DACEncoderConfig,
    LMSPTConfig,
    LMSPTNetwork,
)

_USAGE = ("quantizer.semantic_vocab_usage", "quantizer.acoustic_vocab_usage")  # counted in training
_NAMES = (
    ("aux_decoder.", "auxiliary_decoder."),
    ("quantizer.rvq_first.", "quantizer.semantic."),
    ("quantizer.rvq_rest.", "quantizer.acoustic."),
)


_MINI = LMSPTConfig.model_validate(
    {
        "sample_rate": 16000,
        "encoder": {
            "kind": "seanet",
            "strides": (2, 4, 5, 5),
            "num_filters": 16,
            "num_lstm_layers": 2,
            "pooling": 3,
        },
        "dimension": 64,
        "decoder": {
            "kind": "vocos",
            "upsampling": 3,
            "hop": 200,
            "dim": 256,
            "intermediate_dim": 512,
            "layers": 6,
        },
        "auxiliary_decoder": {
            "kind": "vocos",
            "upsampling": 3,
            "hop": 200,
            "dim": 96,
            "intermediate_dim": 192,
            "layers": 2,
        },
        "semantic_codebook_size": 512,
        "acoustic_codebook_size": 512,
        "num_acoustic_codebooks": 3,
        "codebook_dim": None,
        "taught_by": "averages",
    }
)


def _measures(config: LMSPTConfig) -> dict[str, Any]:
    """The fields of a card that must fit the network of its weights."""
    return {
        "sample_rate_in": config.sample_rate,
        "hop_length": config.encoder.hop_length,
        "codebook_sizes": (
            config.semantic_codebook_size,
            *(config.acoustic_codebook_size,) * config.num_acoustic_codebooks,
        ),
    }


def _card(name: str, config: LMSPTConfig, domain: str, **details: Any) -> CodecCard:
    count = 1 + config.num_acoustic_codebooks
    convolves = config.encoder.kind == "dac"
    encodes = "CNN" if convolves else "CNN+RNN"
    decodes = "CNN, Time" if config.decoder.kind == "dac" else "CNN+T, Time-Freq"
    return CodecCard(
        name=name,
        family="lm-spt",
        kind="neural",
        **_measures(config),
        sample_rate_out=config.sample_rate,
        codebook_counts=tuple(range(1, count + 1)),
        mergeable=True,
        causal=False,
        streamable=False,
        lookahead=encoder_reach(config.encoder.strides) if convolves else None,
        taxonomy=Taxonomy(
            encoder_decoder=f"{encodes}, Time -> {decodes}",
            quantization="RVQ, Fixed",
            training_paradigm=details.pop(
                "training_paradigm", "GAN, Feat, Rec, VQ; semantic distillation"
            ),
            streamability="no",
            domain=domain,
        ),
        licence_code="Apache-2.0",
        **details,
    )


class LMSPT(Trained):
    """LM-SPT behind the common interface."""

    DEFAULT = "lm-spt-12.5"
    CONFIG = LMSPTConfig
    RAGGED = True
    OPTIONS = {"semantic_only": one_of("main", "auxiliary")}
    CARDS = (
        _card(
            "lm-spt-12.5",
            LMSPTConfig(),
            "speech",
            description="official weights for 24 kHz",
            licence_weights="CC-BY-NC-4.0",
            training_data=("Emilia",),
            weights=Weights(
                repository="kakaocorp/lmspt",
                file="lmspt_12d5hz_16384_4096.safetensors",
                revision="main",
                size_about=299_000_000,
            ),
            verified="on random weights only",
        ),
        _card(
            "lm-spt-mini",
            _MINI,
            "speech",
            description="1 semantic and 3 acoustic codebooks at 26.7 Hz, small weights of our own, "
            "trained on 50 minutes of English speech",
            training_paradigm="Rec, VQ; semantic distillation",
            licence_weights="CC-BY-4.0",
            training_data=("LibriSpeech train-clean-100, one utterance of each reader",),
            weights=Weights(
                bundled="lm-spt-mini.safetensors",
                sha256="77b93b04002b8b54737fbd58797d1b8d3b0b6ce00c3d04395cfc00682d168799",
            ),
            verified="by the results of this repository",
        ),
    )

    @classmethod
    def adapt(cls, card: CodecCard, options: dict[str, object]) -> CodecCard:
        decoder = options.get("semantic_only")
        if decoder is None:
            return card
        if options.get("codebooks", 1) != 1:
            raise CodecError(
                f"{card.name}: semantic_only and codebooks={options['codebooks']} do not fit: "
                "one codebook is semantic"
            )
        changes: dict[str, Any] = {
            "codebook_sizes": card.codebook_sizes[:1],
            "strides": card.strides[:1],
            "codebook_counts": (1,),
        }
        if decoder == "auxiliary":
            changes["sample_rate_out"] = AUXILIARY_RATE
        return card.model_copy(update=changes)

    def _load(self, checkpoint: Path | None) -> None:
        state, metadata = checkpoints.read_state(checkpoint)
        if "config" in metadata:
            config, state = self.config_in(metadata, checkpoint), in_float32(state)
        else:
            state = _from_official(state)
            config = infer_config(state, checkpoint)
        if "@" not in self.card.base_name:  # the card was not made from the metadata of this file
            self.compare(_measures(config), checkpoint)
        with checkpoints.sized_by(state, checkpoint):
            self.network = LMSPTNetwork(config)
        checkpoints.load_strict(self.network, state, checkpoint)
        self._set_context(config)
        self.network.quantizer.merge(self.card.strides)

    def _set_context(self, config: LMSPTConfig) -> None:
        """For convolutional networks: the context covers their receptive field, and windows are
        short, because their activations take much memory."""
        halves = (config.encoder, config.decoder, config.auxiliary_decoder)
        if all(half.kind == "dac" for half in halves):
            behind = 1 + math.ceil(encoder_reach(config.encoder.strides) / self.card.hop_length)
            frames = max(behind, *(decoder_reach(half.strides) for half in halves[1:]))
            self.context_seconds = frames * self.card.hop_length / config.sample_rate
            self.window_seconds = 10.0

    @classmethod
    def card_from_metadata(cls, metadata: dict[str, str], digest: str) -> CodecCard:
        return _card(
            f"{metadata.get('name', 'lm-spt')}@{digest}",
            cls.config_in(metadata, "the file"),
            "as its training data",
            training_paradigm="as its recipe",
            **BY_RECIPE,
        )

    def _encode_latents(self, waveform: Tensor) -> Tensor:
        """Latents of both encoders, (B, 2 D, T); the semantic ones twice if only they are coded."""
        if self.num_codebooks > 1:
            return self.network.encoder(waveform)
        latents = self.network.semantic_encoder(waveform)
        return torch.cat([latents, latents], 1)

    def _quantize(self, latents: Tensor) -> Tensor:
        return self.network.quantize(latents, self.num_codebooks)

    def _quantized_latents(self, latents: Tensor) -> Tensor:
        """The acoustic latents, which the sum of the vectors of all codebooks approximates."""
        return self.network.quantizer.halves(latents)[1]

    def _dequantize(self, codes: Tensor) -> Tensor:
        if self.options.get("semantic_only") == "auxiliary":
            codes = codes[:, :1]
        return self.network.quantizer.decode(codes)

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        auxiliary = self.options.get("semantic_only") == "auxiliary"
        return (self.network.auxiliary_decoder if auxiliary else self.network.decoder)(quantized)

    def _encode_ragged(self, waveform: Tensor, lengths: Sequence[int]) -> Tensor:
        network = self.network
        latents = ragged.encode(network.semantic_encoder, waveform, lengths)
        acoustic = latents
        if self.num_codebooks > 1:
            acoustic = ragged.encode(network.acoustic_encoder, waveform, lengths)
        return self._quantize(torch.cat([latents, acoustic], 1))

    def _codebooks(self) -> list[Tensor]:
        return self.network.quantizer.codebooks


def _from_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of the official code in our names, without its counters."""
    renamed = {}
    for key, tensor in from_official({k: v for k, v in state.items() if k not in _USAGE}).items():
        for official_prefix, prefix in _NAMES:
            if key.startswith(official_prefix):
                key = prefix + key.removeprefix(official_prefix)
        renamed[key] = tensor
    return renamed


def infer_config(state: dict[str, Tensor], path: Path) -> LMSPTConfig:
    """Sizes from the shapes of a state dict in our names; strides are half the kernel sizes.

    Raises:
        CheckpointError: keys are missing, or the shapes are not those of an LM-SPT.
    """

    def decoder(half: str) -> DACDecoderConfig:
        strides, first = strides_in(state, half, 1), state[f"{half}.layers.0.weight"]
        return DACDecoderConfig(strides=strides, channels=len(first))

    try:
        semantic = state["quantizer.semantic.stages.0.codebook"]
        acoustic = [
            key
            for key in state
            if key.startswith("quantizer.acoustic.stages.") and key.endswith(".codebook")
        ]
        return LMSPTConfig(
            encoder=DACEncoderConfig(
                strides=strides_in(state, "semantic_encoder", 4),
                num_filters=len(state["semantic_encoder.layers.0.weight"]),
            ),
            dimension=state["quantizer.semantic.stages.0.in_proj.weight"].shape[1],
            decoder=decoder("decoder"),
            auxiliary_decoder=decoder("auxiliary_decoder"),
            semantic_codebook_size=semantic.shape[0],
            acoustic_codebook_size=state["quantizer.acoustic.stages.0.codebook"].shape[0],
            num_acoustic_codebooks=len(acoustic),
            codebook_dim=semantic.shape[1],
        )
    except KeyError as error:
        raise CheckpointError(f"{path} lacks {error}: it is not a whole LM-SPT") from error
    except (IndexError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(
            f"{path} has weights of other shapes than an LM-SPT: {reason}"
        ) from error
