"""DAC: residual codebooks of 1024, at 16, 24 and 44.1 kHz; the network is fully convolutional.

Kumar et al. 2023, arXiv 2306.06546 (NeurIPS 2023); weights by Descript, on the Hub in the format
of transformers. Those and the original `.pth` files load as they are. The codes are those of the
original `encode` after its `preprocess`; `compress` of the original normalises loudness first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from audiotok.codec import checkpoints
from audiotok.codec.codec import CodecCard, Taxonomy, Weights
from audiotok.codecs._pins import pinned
from audiotok.codecs._trained import BY_RECIPE, Trained, in_float32
from audiotok.errors import CheckpointError
from audiotok.nn import ragged
from audiotok.nn.dac import DACConfig, DACNetwork, decoder_reach, encoder_reach
from audiotok.nn.dac_keys import from_official, strides_in
from audiotok.nn.quantizers import merged


def _card(name: str, config: DACConfig, domain: str, **details: Any) -> CodecCard:
    return CodecCard(
        name=name,
        family="dac",
        kind="neural",
        sample_rate_in=config.sample_rate,
        sample_rate_out=config.sample_rate,
        hop_length=math.prod(config.strides),
        codebook_sizes=(config.codebook_size,) * config.num_codebooks,
        codebook_counts=tuple(range(1, config.num_codebooks + 1)),
        mergeable=True,
        causal=False,
        streamable=False,
        lookahead=encoder_reach(config.strides),
        taxonomy=Taxonomy(
            encoder_decoder="CNN, Time -> CNN, Time",
            quantization="RVQ, Fixed",
            training_paradigm=details.pop("training_paradigm", "GAN, Feat, Rec, VQ"),
            streamability="no",
            domain=domain,
        ),
        licence_code="MIT",
        **details,
    )


def _official(
    name: str, sample_rate: int, strides: tuple[int, ...], num_codebooks: int
) -> CodecCard:
    config = DACConfig(sample_rate=sample_rate, strides=strides, num_codebooks=num_codebooks)
    return _card(
        f"dac-{name}",
        config,
        "speech, music, audio",
        description=f"official weights for {sample_rate / 1000:g} kHz",
        licence_weights="MIT",
        weights=Weights(
            **pinned(f"descript/dac_{name}hz"),
            file="model.safetensors",
            size_about=300_000_000,
        ),
        verified="on random weights only",
    )


class DAC(Trained):
    """DAC behind the common interface.

    The bare name stands for 24 kHz, which the survey of tokenizers (arXiv 2506.10274) measures
    with 2, 8 and 32 codebooks.
    """

    DEFAULT = "dac-24k"
    CONFIG = DACConfig
    RAGGED = True
    window_seconds = 10.0  # wide activations: a minute of them would take gigabytes
    CARDS = (
        _official("16k", 16000, (2, 4, 5, 8), 12),
        _official("24k", 24000, (2, 4, 5, 8), 32),
        _official("44k", 44100, (2, 4, 8, 8), 9),
    )

    def _load(self, checkpoint: Path | None) -> None:
        state, metadata = checkpoints.read_state(checkpoint)
        if "config" in metadata:
            config, state = self.config_in(metadata, checkpoint), in_float32(state)
        else:
            state = from_official(state)
            config = infer_config(state, checkpoint, self.card.sample_rate_in)
        if "@" not in self.card.base_name:  # the card was not made from the metadata of this file
            self._compare(config, checkpoint)
        with checkpoints.sized_by(state, checkpoint):
            self.network = DACNetwork(config)
        checkpoints.load_strict(self.network, state, checkpoint)
        hop = self.network.hop_length  # the context covers the receptive fields of both networks
        behind = 1 + math.ceil(encoder_reach(config.strides) / hop)
        frames = max(behind, decoder_reach(config.decoder_strides))
        self.context_seconds = frames * hop / config.sample_rate
        rest = (1,) * (config.num_codebooks - self.num_codebooks)
        self.network.quantizer = merged(self.network.quantizer, (*self.card.strides, *rest))

    def _compare(self, config: DACConfig, path: Path) -> None:
        """Raises CheckpointError unless rate and codebooks are the card's; widths may differ."""
        card = next(card for card in self.CARDS if self.card.base_name == card.name)
        actual = (math.prod(config.strides), config.num_codebooks, config.codebook_size)
        expected = (card.hop_length, card.num_codebooks, card.codebook_sizes[0])
        if actual[0] != (hop := math.prod(config.decoder_strides)):
            raise CheckpointError(
                f"{path} is no codec: its encoder has hop length {actual[0]}, its decoder {hop}"
            )
        if actual != expected:
            template = "hop length {}, {} codebooks of {}"
            raise CheckpointError(
                f"{path} is not {card.name}: it has {template.format(*actual)}, the card says "
                f"{template.format(*expected)}; name the codec that it belongs to"
            )

    @classmethod
    def card_from_metadata(cls, metadata: dict[str, str], digest: str) -> CodecCard:
        return _card(
            f"{metadata.get('name', 'dac')}@{digest}",
            cls.config_in(metadata, "the file"),
            "as its training data",
            training_paradigm="as its recipe",
            **BY_RECIPE,
        )

    def _encode_latents(self, waveform: Tensor) -> Tensor:
        return self.network.encoder(waveform)

    def _quantize(self, latents: Tensor) -> Tensor:
        return self.network.quantize(latents, self.num_codebooks)

    def _dequantize(self, codes: Tensor) -> Tensor:
        return self.network.quantizer.decode(codes)

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        return self.network.decoder(quantized)

    def _encode_ragged(self, waveform: Tensor, lengths: Sequence[int]) -> Tensor:
        return self._quantize(ragged.encode(self.network.encoder, waveform, lengths))

    def _codebooks(self) -> list[Tensor]:
        return self.network.quantizer.codebooks


def infer_config(state: dict[str, Tensor], path: Path, sample_rate: int) -> DACConfig:
    """Sizes from the shapes of a state dict in our names; strides are half the kernel sizes.

    Raises:
        CheckpointError: keys are missing, or the shapes are not those of a DAC.
    """
    try:
        return DACConfig(
            sample_rate=sample_rate,
            strides=strides_in(state, "encoder", 4),
            num_filters=len(state["encoder.layers.0.weight"]),
            dimension=state["quantizer.stages.0.in_proj.weight"].shape[1],
            decoder_strides=strides_in(state, "decoder", 1),
            decoder_channels=len(state["decoder.layers.0.weight"]),
            num_codebooks=sum(
                key.startswith("quantizer.stages.") and key.endswith(".codebook") for key in state
            ),
            codebook_size=state["quantizer.stages.0.codebook"].shape[0],
            codebook_dim=state["quantizer.stages.0.codebook"].shape[1],
        )
    except KeyError as error:
        raise CheckpointError(f"{path} lacks {error}: it is not a whole DAC") from error
    except IndexError as error:
        raise CheckpointError(f"{path} has weights of other shapes than a DAC") from error
