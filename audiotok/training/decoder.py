"""Training of a decoder alone: encoder, codebooks, and so the codes of a codec do not change.

It works for every codec of the registry whose network PyTorch runs, at its own sample rate or a
multiple of it. The result is a file of the family `decoder`, see `codecs/decoder.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from audiotok.codec import registry
from audiotok.codec.codec import Codec
from audiotok.codecs.decoder import (
    DecoderConfig,
    DecoderNetwork,
    Redecoded,
    base_of,
    decoder_weights,
)
from audiotok.errors import CodecError, RecipeError
from audiotok.nn.dac import exactly
from audiotok.nn.outputs import Output
from audiotok.sound.sinc import Resample
from audiotok.system.names import Recorded
from audiotok.training.code_errors import CodeErrors
from audiotok.training.settings import QuantizerConfig

__all__ = ["DecoderConfig", "DecoderOnly", "complete"]


def complete(content: dict[str, Any], codec: Codec) -> None:
    """Fills in the `model` of a recipe for the codec of its `start_from`.

    Raises:
        RecipeError: the codec has no name that a file of weights may contain.
    """
    card, given_model = codec.card, content.get("model") or {}
    model: dict[str, Any] = {"sample_rate": card.sample_rate_out, "channels": card.channels}
    if isinstance(codec, Redecoded):
        model |= codec.network.config.model_dump()
        model["weights"] = str(codec.checkpoint.resolve())
    else:
        model |= {"codec": _permanent_name(content["start_from"], codec), "checkpoint": None}
        if (path := content.get("start_checkpoint")) is not None:
            model["checkpoint"] = str(Path(path).resolve())
    model["fingerprint"] = codec.fingerprint
    content["model"] = model | (given_model if isinstance(given_model, dict) else {})


def _permanent_name(name: str, codec: Codec) -> str:
    """A name of the codec that works in any working directory, and without the Hub."""
    base, colon, options = str(name).partition(":")
    if ".py" in (Path(base).suffix, Path(base.partition("::")[0]).suffix):
        raise RecipeError(
            f"start_from {name} is a file of code, which a file of weights may not name: install "
            "the codec as a plug-in, or save its weights as safetensors"
        )
    if registry.is_weights(name):
        return f"{Path(base).resolve()}{colon}{options}"
    if base == "hf" and codec.checkpoint is not None:
        _, colon, options = codec.card.name.removeprefix(codec.card.base_name).partition(":")
        return f"hf:{codec.checkpoint.parent.resolve()}{colon}{options}"
    return name


class _Sizes(nn.Module):
    """Stands for codebooks that are not trained: training needs only their sizes."""

    def __init__(self, sizes: tuple[int, ...]):
        super().__init__()
        self.codebook_sizes = sizes


class DecoderOnly(nn.Module):
    """Waveform (B, C, L) at the sample rate of the data to codes (B, K, T) to waveform (B, C, >=
    L).

    Only the weights of the decoder have gradients. The network always runs in eval mode.

    Raises:
        ValueError: the rate is not a multiple of the codec's, or the codec differs from the one of
            the configuration.
        CodecError: it has no decoder that can be trained.
    """

    def __init__(self, config: DecoderConfig):
        super().__init__()
        with torch.device("cpu"):
            self.base = codec = _load(config)
            self.decoder = decoder_weights(codec)
            self.network = DecoderNetwork(codec, config)
            self.config = self.network.config
            if config.weights is not None:
                self.network.load_decoder(config.weights, self.decoder)
        if config.fingerprint != codec.fingerprint:
            raise ValueError(
                f"{config.codec} has the fingerprint {codec.fingerprint[:12]}, but the recipe was "
                f"written for {config.fingerprint[:12]}: its weights have changed"
            )
        learns = set(self.decoder)
        for name, weight in codec.network.named_parameters():
            weight.requires_grad_(name in learns)
        self.quantizer = _Sizes(codec.codebook_sizes)
        self.errors: CodeErrors | None = None
        self.dropout = 0.0

    @property
    def hop_length(self) -> int:
        """Samples of sound per frame."""
        card = self.base.card
        return card.hop_length * self.config.sample_rate // card.sample_rate_in

    def prepare(self, settings: QuantizerConfig) -> None:
        """Sets the errors and the dropout of a recipe.

        Raises:
            RecipeError: the codec has no codewords for `neighbours`, or cannot decode its first
                codebooks alone.
        """
        card = self.base.card
        if settings.dropout and len(card.codebook_counts) < 2:
            raise RecipeError(
                f"quantizer.dropout {settings.dropout} needs codebooks that decode without the "
                f"rest: {card.name} decodes {card.num_codebooks} only"
            )
        self.dropout = settings.dropout
        if settings.errors is None:
            return
        if card.max_duration > 1:
            raise RecipeError(
                "quantizer.errors needs codes at fixed rates: take a codec without merge=similarity"
            )
        vectors = None
        if settings.errors.kind == "neighbours":
            try:
                vectors = [self.base.codewords(k) for k in range(card.num_codebooks)]
            except CodecError as reason:
                raise RecipeError(f"{reason}; take quantizer.errors.kind=ngram") from reason
        self.errors = CodeErrors(settings.errors, card.strides, vectors)

    def to(self, device: torch.device) -> DecoderOnly:
        self.base.to(device)
        return super().to(device)

    def train(self, mode: bool = True) -> DecoderOnly:
        """Sets whether codes get errors; the network stays in eval mode."""
        super().train(mode)
        self.network.eval()
        return self

    def encoder(self, waveform: Tensor) -> Tensor:
        """(B, C, L) -> latents (B, D, T) of the codec."""
        return self.base.encode_latents(self._at_input(waveform))

    def forward(self, waveform: Tensor, quantize: bool = True) -> Output:
        """The forward of a training step, in float32, so that codes equal those of `audiotok.load`.

        `codes` and `latents` of the result are the codes of the encoder, without errors.
        """
        with exactly(waveform):
            return self._forward(waveform)

    def _forward(self, waveform: Tensor) -> Output:
        codes = self.base.encode_codes(self._at_input(waveform))
        decoded = codes
        if self.training:
            if self.errors is not None:
                decoded = self.errors(codes)
            if self.dropout and torch.rand(()) < self.dropout:
                counts = self.base.card.codebook_counts
                decoded = decoded[:, : counts[int(torch.randint(len(counts), ()))]]
        sound = self.base.decode_codes(decoded, grad=torch.is_grad_enabled())
        return Output(self.network.longer(sound), codes, codes, {})

    def exported(self) -> dict[str, Tensor]:
        """The weights in the file of the decoder."""
        return self.network.decoder_state(self.decoder)

    def _at_input(self, waveform: Tensor) -> Tensor:
        return Resample(self.config.sample_rate, self.base.card.sample_rate_in)(waveform)


def _load(config: DecoderConfig) -> Codec:
    name = config.codec
    if isinstance(name, Recorded):
        name = base_of(config, name.source)
    return registry.load(name, config.checkpoint, "cpu", quiet=True)
