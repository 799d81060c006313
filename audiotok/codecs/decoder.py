"""A decoder that was trained anew for the codes of another codec, as `audiotok train` writes it.

The file holds the weights of the decoder alone and the name of the codec. Encoder and codebooks are
those of that codec, so the codes and the fingerprint are equal to its own, and each decodes the
tokens of the other. The rate of the sound may be a multiple of the codec's.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor, nn

from audiotok.codec import checkpoints, registry
from audiotok.codec.codec import Codec, CodecCard
from audiotok.codec.windows import Pieces
from audiotok.codecs._longer import Longer
from audiotok.codecs._trained import BY_RECIPE, in_float32
from audiotok.errors import CheckpointError, CodecError
from audiotok.system.names import Name, Recorded

FAMILY = "decoder"


class DecoderConfig(BaseModel):
    """What the decoder belongs to, and the layers that follow where its rate is higher."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    codec: Name  # with options, or the path of its weights
    checkpoint: str | None = None  # official weights for that name, if they are not its own
    fingerprint: str  # of its codebooks
    weights: str | None = None  # a file of such a decoder, to go on from
    sample_rate: int = Field(gt=0)  # of the sound, Hz: a multiple of the codec's
    channels: int = Field(1, ge=1, le=2)
    width: int = Field(128, gt=0)  # of the layers that raise the rate
    depth: int = Field(4, gt=0)  # of them

    def factor(self, card: CodecCard) -> int:
        """By which the rate of the sound is raised.

        Raises:
            ValueError: the codec of that card cannot reach the rate.
        """
        factor, rest = divmod(self.sample_rate, card.sample_rate_out)
        if rest:
            rate = card.sample_rate_out
            raise ValueError(
                f"sample_rate {self.sample_rate} is no multiple of {rate} Hz, the rate of "
                f"{card.name}: take {rate}, {2 * rate} or {3 * rate}"
            )
        return factor


class DecoderNetwork(nn.Module):
    """The network of a codec, and the layers behind its decoder."""

    def __init__(self, codec: Codec, config: DecoderConfig):
        super().__init__()
        self.config = config.model_copy(update={"weights": None})
        self.codec = codec.network
        factor, rate = config.factor(codec.card), codec.card.sample_rate_out
        self.longer = nn.Identity()
        if factor > 1:
            self.longer = Longer(rate, factor, config.width, config.depth)

    def decoder_state(self, decoder: Iterable[str]) -> dict[str, Tensor]:
        """What a file holds: weights of the codec by these names, and the layers behind."""
        keys = {f"codec.{name}" for name in decoder}
        return {k: v for k, v in self.state_dict().items() if k in keys or k.startswith("longer.")}

    def load_decoder(self, path: Path | str, decoder: Iterable[str]) -> None:
        """Loads such a file.

        Raises:
            CheckpointError: it holds other tensors.
        """
        given, known = in_float32(checkpoints.read_state(path)[0]), self.decoder_state(decoder)
        wrong = [k for k in known.keys() | given.keys() if _shape(known, k) != _shape(given, k)]
        if wrong:
            raise CheckpointError(
                f"{path} is no decoder of this codec: {checkpoints.some(wrong)} missing, extra or "
                "of another shape"
            )
        self.load_state_dict(self.state_dict() | given)


def decoder_weights(codec: Codec) -> list[str]:
    """Names of the weights of a codec's network on which sound depends, and codes do not.

    Raises:
        CodecError: it has no network in PyTorch, or encoder, codebooks and decoder cannot be told
            apart.
    """
    name, network = codec.card.name, codec.network
    if network is None or codec.RUNTIME is not None or not any(True for _ in network.parameters()):
        why = "it has no network" if codec.RUNTIME is None else f"{codec.RUNTIME} runs its network"
        raise CodecError(
            f"{name} has no decoder that could learn, {why}: take a codec whose network PyTorch "
            "runs"
        )
    samples = 16 * codec.hop_length * max(codec.card.strides)
    generator = torch.Generator().manual_seed(0)
    noise = 0.1 * torch.randn(1, codec.card.channels, samples, generator=generator)
    noise = noise.to(codec.device)
    weights = dict(network.named_parameters())
    required = {key: weight.requires_grad for key, weight in weights.items()}
    network.requires_grad_(True)
    try:
        latents = codec.encode_latents(noise, grad=True)
        quantized = codec.dequantize(codec.encode_codes(noise), grad=True)
        used = [_used(output, weights) for output in (latents, quantized)]
        used.append(_used(codec.decode_latents(quantized.detach(), grad=True), weights))
    finally:
        for key, weight in weights.items():
            weight.requires_grad_(required[key])
    decoder = [key for key in weights if key in used[2] and key not in used[0] | used[1]]
    if not decoder:
        raise CodecError(f"{name} has no weights on which its sound alone depends")
    return decoder


def _used(output: Tensor, weights: dict[str, nn.Parameter]) -> set[str]:
    """The names of the weights on which an output depends."""
    if not output.requires_grad:
        return set()
    with torch.enable_grad():
        total = output.sum()
    gradients = torch.autograd.grad(total, list(weights.values()), allow_unused=True)
    pairs = zip(weights, gradients, strict=True)
    return {name for name, gradient in pairs if gradient is not None}


def base_of(config: DecoderConfig, path: Path | str) -> str:
    """The name of the codec that a file at `path` names, as `registry` may load it: weights and
    folders of transformers hold no code, any other name is only looked up.

    Raises:
        CheckpointError: it is a decoder's file again.
    """
    name = config.codec
    prefix, _, folder = name.partition(":")
    if registry.is_weights(name):
        weights = name.partition(":")[0]
        if checkpoints.read_metadata(weights).get("family") == FAMILY:
            raise CheckpointError(f"{path} names {weights}, which is a decoder and no codec")
        return str(name)
    if prefix == "hf" and Path(folder.partition(":")[0]).is_dir():
        return str(name)
    return Recorded(name, str(path))


class Redecoded(Codec):
    """The codes of a codec with a decoder of its own."""

    FILES = FAMILY

    def _load(self, checkpoint: Path | None) -> None:
        config = read_config(checkpoints.read_metadata(checkpoint), checkpoint)
        name = base_of(config, checkpoint)
        if self.options:
            options = f"{name}:{self.card.name.rpartition(':')[2]}"
            name = type(name)(options, str(checkpoint)) if isinstance(name, Recorded) else options
        self.base = registry.load(name, config.checkpoint, str(self.device), quiet=True)
        if self.base.fingerprint != config.fingerprint:
            raise CheckpointError(
                f"{checkpoint} decodes codes of {config.codec} with the fingerprint "
                f"{config.fingerprint[:12]}, but that codec has {self.base.fingerprint[:12]} "
                "here: its weights are others than those that the decoder was trained for"
            )
        self.context_seconds = self.base.context_seconds
        self.network = DecoderNetwork(self.base, config)
        self.network.load_decoder(checkpoint, decoder_weights(self.base))

    @classmethod
    def card_from_metadata(cls, metadata: dict[str, str], digest: str) -> CodecCard:
        config = read_config(metadata, "the file")
        card = registry.find_card(base_of(config, "the file of a decoder"))
        longer = config.factor(card) > 1
        changes = BY_RECIPE | {
            "name": f"{metadata.get('name', FAMILY)}@{digest}",
            "options": {},
            "family": FAMILY,
            "description": f"the codes of {config.codec}, another decoder",
            "sample_rate_out": config.sample_rate,
            "mergeable": card.mergeable and not card.options,
            "codebook_counts": card.codebook_counts,
            "weights": None,
            "licence_weights": card.licence_weights,  # the decoder started from them
        }
        if card.options:
            changes["codebook_counts"] = (card.num_codebooks,)
        if longer:
            changes |= {"streamable": False, "causal": False}
        return card.model_copy(update=changes)

    @property
    def _longer(self) -> bool:
        return not isinstance(self.network.longer, nn.Identity)

    @cached_property
    def fingerprint(self) -> str:
        """That of the codec whose codes these are."""
        return self.base.fingerprint

    def _codebooks(self) -> list[Tensor] | None:
        return self.base._codebooks()

    def codewords(self, k: int) -> Tensor:
        return self.base.codewords(k)

    def _encode_latents(self, waveform: Tensor) -> Tensor:
        return self.base._encode_latents(waveform)

    def _quantize(self, latents: Tensor) -> Tensor:
        return self.base._quantize(latents)

    def _quantized_latents(self, latents: Tensor) -> Tensor:
        return self.base._quantized_latents(latents)

    def _dequantize(self, codes: Tensor) -> Tensor:
        return self.base._dequantize(codes)

    def _encode(self, waveform: Tensor) -> Tensor:
        return self.base._encode(waveform)

    def _encode_windows(self, waveform: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.base._encode_windows(waveform)

    def _encoder_in_pieces(self) -> Pieces | None:
        return self.base._encoder_in_pieces()

    def _decoder_in_pieces(self) -> Pieces | None:
        return None if self._longer else self.base._decoder_in_pieces()

    def _decode(self, codes: Tensor) -> Tensor:
        return self._lengthened(self.base._decode(codes), codes.shape[-1])

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        return self._lengthened(self.base._decode_latents(quantized), quantized.shape[-1])

    def _decode_windows(self, codes: Tensor, length: int, side: Tensor | None) -> Tensor:
        if self._longer:
            return super()._decode_windows(codes, length, side)
        return self.base._decode_windows(codes, length, side)

    def _lengthened(self, waveform: Tensor, num_frames: int) -> Tensor:
        return self.network.longer(self.base._whole_frames(waveform, num_frames))

    def save(self, path: str | Path, half: bool = False) -> None:
        """Write the weights of the decoder as safetensors; as float16 with `half`."""
        state, metadata = checkpoints.read_state(self.checkpoint)
        if half:
            state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
        checkpoints.save(path, state, metadata)


def _shape(state: dict[str, Tensor], key: str) -> torch.Size | None:
    return state[key].shape if key in state else None


def read_config(metadata: dict[str, str], path: Path | str) -> DecoderConfig:
    """What a file of a decoder says about itself.

    Raises:
        CheckpointError: it says nothing.
    """
    try:
        return DecoderConfig.model_validate_json(metadata.get("config", ""))
    except ValidationError as error:
        raise CheckpointError(
            f"{path} is no decoder: expected a file that `audiotok train` wrote"
        ) from error
