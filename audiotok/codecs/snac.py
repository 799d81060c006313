"""SNAC: residual codebooks of 4096 that run at different rates, at 24, 32 and 44.1 kHz.

Siuzdak et al. 2024, arXiv 2410.14411; weights by the author at huggingface.co/hubertsiuzdak. His
`pytorch_model.bin` loads as it is, with the `config.json` beside it. Codes are rectangular at the
rate of the finest codebook, the slower ones repeated.

The decoder adds noise to the sound. Here the codes of a clip seed its noise, so that equal tokens
give equal sound; the official code draws new noise each time. The official code also codes the
padding up to the end of the last attention window; here codes end with the sound. If the last
window is incomplete, the decoder attends within that part of it.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError
from torch import Tensor

from audiotok.codec import checkpoints
from audiotok.codec.codec import Codec, CodecCard, Taxonomy, Weights
from audiotok.codecs._pins import pinned
from audiotok.errors import CheckpointError
from audiotok.nn.dac_keys import from_official
from audiotok.nn.noise import gaussian, key_of
from audiotok.nn.quantizers import merged
from audiotok.nn.snac import HEAD, SNACConfig, SNACNetwork
from audiotok.system import progress

_MUSIC = SNACConfig(
    strides=(2, 3, 8, 8),
    num_filters=64,
    dimension=1024,
    decoder_strides=(8, 8, 3, 2),
    decoder_channels=1536,
    attention_window=32,
    codebook_strides=(8, 4, 2, 1),
)
_SIZES = {"snac-24k": SNACConfig(), "snac-32k": _MUSIC, "snac-44k": _MUSIC}


def _card(name: str, sample_rate: int, domain: str, size: int, **details: Any) -> CodecCard:
    config = _SIZES[name]
    network = "CNN+T, Time" if config.attention_window else "CNN, Time"
    return CodecCard(
        name=name,
        family="snac",
        kind="neural",
        description=f"official weights for {sample_rate / 1000:g} kHz, noise keyed by the codes",
        sample_rate_in=sample_rate,
        sample_rate_out=sample_rate,
        hop_length=math.prod(config.strides),
        codebook_sizes=(config.codebook_size,) * len(config.codebook_strides),
        strides=config.codebook_strides,
        codebook_counts=tuple(range(1, len(config.codebook_strides) + 1)),
        mergeable=True,
        causal=False,
        streamable=False,
        lookahead=config.reach,
        taxonomy=Taxonomy(
            encoder_decoder=f"{network} -> {network}",
            quantization="MSRVQ, Fixed",
            training_paradigm="GAN, Feat, Rec, VQ",
            streamability="no",
            domain=domain,
        ),
        licence_code="MIT",
        licence_weights="MIT",
        weights=Weights(
            **pinned(f"hubertsiuzdak/{name.replace('-', '_')}hz"),
            file="pytorch_model.bin",
            beside=("config.json",),
            size_about=size,
        ),
        verified="on random weights only",
        **details,
    )


class SNAC(Codec):
    """SNAC behind the common interface. The bare name stands for 24 kHz, the one for speech."""

    DEFAULT = "snac-24k"
    SOUND_NEEDS_CODES = True
    window_seconds = 10.0  # wide activations: a minute of them would take gigabytes
    context_seconds = 2.0  # more than the convolutions and windows of attention reach
    CARDS = (
        _card("snac-24k", 24000, "speech", 80_000_000),
        _card("snac-32k", 32000, "music, audio", 218_000_000),
        _card("snac-44k", 44100, "music, audio", 218_000_000),
    )

    def _load(self, checkpoint: Path | None) -> None:
        state = from_official(checkpoints.read_state(checkpoint)[0])
        config = self._config(checkpoint.with_name("config.json"))
        _drop_rotations(state, checkpoint)
        with checkpoints.sized_by(state, checkpoint):
            self.network = SNACNetwork(config)
        checkpoints.load_strict(self.network, state, checkpoint)
        strides = (*self.card.strides, *config.codebook_strides[self.num_codebooks :])
        self.network.quantizer = merged(self.network.quantizer, strides)

    def _config(self, path: Path) -> SNACConfig:
        """Sizes from the file beside the weights, or of the official network if there is none.

        Raises:
            CheckpointError: the file is damaged, or of a network that is not the card's.
        """
        card = next(card for card in self.CARDS if self.card.name.startswith(card.name))
        if not path.is_file():
            return _SIZES[card.name]
        try:
            official = OfficialConfig.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as reason:
            raise CheckpointError(
                f"{path} is no configuration of a SNAC: {_line(reason)}"
            ) from None
        config = official.to_config()
        actual = (official.sampling_rate, config.strides, config.codebook_strides)
        actual += (config.codebook_size,)
        sizes = _SIZES[card.name]
        expected = (card.sample_rate_in, sizes.strides, sizes.codebook_strides, sizes.codebook_size)
        if actual != expected:
            template = "{} Hz, strides {}, codebooks at {} of {} codes"
            raise CheckpointError(
                f"{path} is not of {card.name}: it has {template.format(*actual)}, the card says "
                f"{template.format(*expected)}; name the codec that it belongs to"
            )
        return config

    @property
    def _unit(self) -> int:
        return math.lcm(super()._unit, self.network.config.unit)

    def _encode_latents(self, waveform: Tensor) -> Tensor:
        return self.network.latents(waveform)

    def _quantize(self, latents: Tensor) -> Tensor:
        return self.network.quantize(latents, self.num_codebooks)

    def _dequantize(self, codes: Tensor) -> Tensor:
        return self.network.quantizer.decode(codes)

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        """With the noise of key 0: the codes, which are the key, are not known here."""
        noise = self._noise([0] * len(quantized), 0, quantized.shape[-1])
        return self.network.synthesize(quantized, noise)

    def _decode(self, codes: Tensor) -> Tensor:
        keys = [key_of(clip) for clip in codes]
        return self.network.decode(codes, self._noise(keys, 0, codes.shape[-1]))

    def _decode_windows(self, codes: Tensor, length: int, side: Tensor | None) -> Tensor:
        """As in the base class; each window gets its part of the noise of the whole clip."""
        keys = [key_of(clip) for clip in codes]
        hop = self.card.hop_length
        waveform = torch.empty(len(codes), 1, codes.shape[-1] * hop)
        for low, start, stop, high in self._windows(codes.shape[-1]):
            noise = self._noise(keys, low, high)
            piece = self.network.decode(codes[..., low:high].to(self.device), noise)
            piece = piece[..., (start - low) * hop : (stop - low) * hop]
            waveform[..., start * hop : stop * hop] = piece
            progress.report(stop, codes.shape[-1])
        return waveform[..., :length]

    def _noise(self, keys: list[int], low: int, high: int) -> list[Tensor]:
        """The noise (B, 1, samples) of each block of the decoder for frames `low` to `high`."""
        streams = [
            torch.stack([gaussian(key, stream, low * rate, high * rate) for key in keys])
            for stream, rate in enumerate(self.network.noise_rates)
        ]
        return [noise[:, None].to(self.device) for noise in streams]

    def _codebooks(self) -> list[Tensor]:
        return self.network.quantizer.codebooks


class OfficialConfig(BaseModel):
    """The official `config.json`: arguments of the network; defaults are those of the code."""

    model_config = ConfigDict(extra="forbid")

    sampling_rate: PositiveInt = 44100
    encoder_dim: PositiveInt = 64
    encoder_rates: tuple[PositiveInt, ...] = Field((3, 3, 7, 7), min_length=1)
    latent_dim: PositiveInt | None = None
    decoder_dim: PositiveInt = 1536
    decoder_rates: tuple[PositiveInt, ...] = Field((7, 7, 3, 3), min_length=1)
    attn_window_size: PositiveInt | None = 32
    codebook_size: PositiveInt = 4096
    codebook_dim: PositiveInt = 8
    vq_strides: tuple[PositiveInt, ...] = Field((8, 4, 2, 1), min_length=1)
    noise: bool = True
    depthwise: bool = True

    def to_config(self) -> SNACConfig:
        """The same sizes as a `SNACConfig`.

        Raises:
            CheckpointError: no network has these sizes.
        """
        width = self.encoder_dim * 2 ** len(self.encoder_rates)
        attending = self.attn_window_size is not None
        if math.prod(self.encoder_rates) != math.prod(self.decoder_rates):
            reason = f"rates {self.encoder_rates} and {self.decoder_rates} differ in their product"
        elif self.latent_dim not in (None, width):
            reason = f"latent_dim {self.latent_dim} is not the encoder's {width}"
        elif self.decoder_dim % 2 ** len(self.decoder_rates):
            reason = f"decoder_dim {self.decoder_dim} does not halve at each rate"
        elif attending and (width % HEAD or self.decoder_dim % HEAD):
            reason = f"{width} and {self.decoder_dim} channels are no heads of {HEAD}"
        else:
            return SNACConfig(
                strides=self.encoder_rates,
                num_filters=self.encoder_dim,
                dimension=width,
                decoder_strides=self.decoder_rates,
                decoder_channels=self.decoder_dim,
                attention_window=self.attn_window_size,
                codebook_size=self.codebook_size,
                codebook_dim=self.codebook_dim,
                codebook_strides=self.vq_strides,
                noise=self.noise,
                depthwise=self.depthwise,
            )
        raise CheckpointError(f"the configuration of a SNAC makes no network: {reason}")


def _drop_rotations(state: dict[str, Tensor], path: Path) -> None:
    """Removes the frequencies of the rotary embedding from `state`: they are constants.

    Raises:
        CheckpointError: they differ from those of the official code.
    """
    expected = 1.0 / (10000 ** (torch.arange(0, HEAD, 2).float() / HEAD))
    for key in [key for key in state if key.endswith(".rel_pos.inv_freq")]:
        actual = state.pop(key)
        comparable = actual.shape == expected.shape and actual.is_floating_point()
        if not comparable or not torch.allclose(actual.float(), expected):
            raise CheckpointError(f"{path}: {key} are not the frequencies expected")


def _line(reason: Exception) -> str:
    """The message of an exception about a file, in one line."""
    if isinstance(reason, ValidationError):
        first = reason.errors()[0]
        where = ".".join(map(str, first["loc"]))
        return f"{where}: {first['msg']}" if where else first["msg"]
    return str(reason).splitlines()[0]
