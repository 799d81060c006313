"""The packages that codecs come from, each with random weights that audiotok loads too, and the
sound that they code."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from audiotok import data
from audiotok.nn.chunks import normalise
from audiotok.sound.audio import as_audio


class Peer(NamedTuple):
    """A codec of another package; a waveform is (1, C, L)."""

    encode: Callable[[Tensor], Any]
    decode: Callable[[Any], Tensor]  # the result of `encode` -> (1, C, L or more)
    codes: Callable[[Any], Tensor]  # the result of `encode` -> (1, K, T)


def speech(sample_rate: int = 24_000, channels: int = 1, seconds: int = 30) -> Tensor:
    """(C, L): sentences of the bundled corpus, another voice in the second channel."""
    clips = [as_audio(clip.path) for clip in data.load("bundled")]
    rows, length = [], seconds * sample_rate
    for channel in range(channels):
        start = channel * len(clips) // 2
        pieces = [clip.to_channels(1).resample(sample_rate) for clip in clips[start:]]
        rows.append(torch.cat([piece.waveform[0] for piece in pieces])[:length])
    return torch.stack(rows)


def encodec(name: str, folder: Path, sound: Tensor) -> tuple[Path, dict[str, Peer]]:
    """File of weights and peers of an EnCodec; codebooks from latents of `sound` (C, L)."""
    from encodec import EncodecModel

    mono = name.startswith("encodec-24k")
    build = EncodecModel.encodec_model_24khz if mono else EncodecModel.encodec_model_48khz
    model = build(pretrained=False).eval()
    _randomise_weights(model)
    _draw_codebooks(model, sound)
    bandwidth = 6.0 if mono else 24.0
    model.set_target_bandwidth(bandwidth)
    torch.save(model.state_dict(), folder / "model.th")
    peers = {
        "encodec": Peer(
            model.encode,
            model.decode,
            lambda chunks: torch.cat([codes for codes, _ in chunks], dim=-1),
        )
    }
    with suppress(ImportError):
        peers["transformers"] = _encodec_of_transformers(model, mono, bandwidth)
    return folder / "model.th", peers


def _randomise_weights(model: torch.nn.Module) -> None:
    """Random weights that preserve the level of speech, so that latents differ between frames."""
    for name, parameter in model.named_parameters():
        if name.endswith("weight_g"):
            parameter.fill_(10 if name.startswith("encoder.model.0.") else 1.2)
        elif name.endswith("conv.weight"):
            parameter.normal_(std=parameter[0].numel() ** -0.5)


def _draw_codebooks(model: Any, sound: Tensor) -> None:
    second = model.sample_rate
    pieces = [piece[None] for piece in sound.split(second, dim=1)]
    if model.normalize:
        pieces = [normalise(piece)[0] for piece in pieces]
    residual = torch.cat([model.encoder(piece) for piece in pieces], dim=-1)[0].T
    noise = 0.2 * residual.std()
    for stage, layer in enumerate(model.quantizer.vq.layers):
        rows = residual[torch.randint(len(residual), (model.quantizer.bins,))]
        codebook = rows + noise * 0.9**stage * torch.randn_like(rows)
        layer._codebook.embed.copy_(codebook)
        layer._codebook.inited.fill_(1)
        residual = residual - codebook[torch.cdist(residual, codebook).argmin(dim=1)]


def _encodec_of_transformers(package: Any, mono: bool, bandwidth: float) -> Peer:
    from transformers import EncodecConfig, EncodecModel

    config: dict[str, Any] = {}
    if not mono:
        config = {"sampling_rate": 48000, "audio_channels": 2, "normalize": True, "overlap": 0.01}
        config |= {"norm_type": "time_group_norm", "use_causal_conv": False}
        config |= {"chunk_length_s": 1.0, "target_bandwidths": [3.0, 6.0, 12.0, 24.0]}
    model = EncodecModel(EncodecConfig(**config)).eval()
    model.load_state_dict({_in_transformers(k): v for k, v in package.state_dict().items()})

    def codes(encoded: Any) -> Tensor:
        joined = torch.cat(list(encoded.audio_codes), dim=-1)
        return joined[..., : joined.shape[-1] - encoded.last_frame_pad_length]

    return Peer(
        lambda waveform: model.encode(waveform, bandwidth=bandwidth, return_dict=True),
        lambda encoded: (
            model.decode(
                encoded.audio_codes,
                encoded.audio_scales,
                last_frame_pad_length=encoded.last_frame_pad_length,
                return_dict=True,
            ).audio_values
        ),
        codes,
    )


def _in_transformers(key: str) -> str:
    """The name that transformers has for a tensor of the encodec package."""
    for old, new in (
        (".model.", ".layers."),
        (".vq.", "."),
        ("._", "."),
        ("convtr.convtr", "conv"),
        ("conv.conv", "conv"),
        ("convtr.norm", "norm"),
        ("conv.norm", "norm"),
        ("weight_g", "parametrizations.weight.original0"),
        ("weight_v", "parametrizations.weight.original1"),
    ):
        key = key.replace(old, new)
    return key


def dac(name: str, folder: Path, sound: Tensor) -> tuple[Path, dict[str, Peer]]:
    """File of weights and peers of DAC at 24 kHz, its first 8 codebooks."""
    from transformers import DacConfig, DacModel

    config = DacConfig(
        n_codebooks=32,
        downsampling_ratios=[2, 4, 5, 8],
        upsampling_ratios=[8, 5, 4, 2],
        sampling_rate=24000,
    )
    model = DacModel(config).eval()
    model.save_pretrained(folder)
    peer = Peer(
        lambda waveform: model.encode(waveform, n_quantizers=8).audio_codes,
        lambda codes: model.decode(audio_codes=codes).audio_values[:, None],
        lambda codes: codes,
    )
    return folder, {"transformers": peer}
