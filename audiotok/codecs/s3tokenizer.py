"""S3Tokenizer v1 to v3: supervised semantic tokens of CosyVoice 1 to 3, without a decoder.

Du et al. 2024 (CosyVoice, v1), arXiv 2407.05407; (CosyVoice 2, v2), arXiv 2412.10117; 2025
(CosyVoice 3, v3), arXiv 2505.17589. Chatterbox, Step-Audio 2 and MiniCPM-o use v2. The networks are
those of the package s3tokenizer, which rebuilt them from the published ONNX files; these files load
as they are. A Whisper-like encoder takes the log-mel spectrogram; v1 has a codebook of 4096 for its
normalised latents, v2 and v3 round 8 numbers to three levels each.

Codes are those of the package for the sound as it is. It gives fewer frames than the sound has,
and the last one is repeated until there are ceil(L / hop). Sound longer than 30 s is coded in
windows of 30 s, of which neighbours share 4 s, as in the package; there the loudest mel value of
the whole sound sets the floor of each window, here that of the window, so codes may differ.
"""

from __future__ import annotations

import hashlib
import importlib
import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.codec import checkpoints
from audiotok.codec.codec import Codec, CodecCard, Taxonomy, Weights
from audiotok.codec.inference import LOADING
from audiotok.errors import CheckpointError, MissingPackageError
from audiotok.nn.quantizers.strided import pool, repeat
from audiotok.system.defaults import no_autocast

LEVELS, DIGITS = 3, 8  # of v2 and v3
HEAD = 64  # dimensions of an attention head, in all versions
_PLACE = "https://www.modelscope.cn/models/{}/resolve/master"
# {our name: the name that the package has for it}
NAMES = {
    "s3tokenizer-v1": "speech_tokenizer_v1",
    "s3tokenizer-v1-25hz": "speech_tokenizer_v1_25hz",
    "s3tokenizer-v2": "speech_tokenizer_v2_25hz",
    "s3tokenizer-v3": "speech_tokenizer_v3_25hz",
}


def _card(
    version: str, rate: int, size: int, *, place: str, sha256: str, megabytes: int
) -> CodecCard:
    number = version.partition("-")[0]
    return CodecCard(
        name=f"s3tokenizer-{version}",
        family="s3tokenizer",
        description=f"official weights, of CosyVoice {number[1:]}",
        sample_rate_in=16_000,
        sample_rate_out=16_000,
        hop_length=16_000 // rate,
        codebook_sizes=(size,),
        mergeable=True,
        needs="the flow matching decoder of CosyVoice and a vocoder, with a prompt of the voice",
        causal=False,
        streamable=False,
        lookahead=None,
        taxonomy=Taxonomy(
            encoder_decoder="CNN+T, Time-Freq -> none",
            quantization="SVQ, Fixed" if number == "v1" else "FSQ, Fixed",
            training_paradigm="supervised by ASR, VQ",
            streamability="no",
            domain="speech",
        ),
        licence_code="Apache-2.0",
        licence_weights="Apache-2.0",
        weights=Weights(
            url=_PLACE.format(place),
            file=f"speech_tokenizer_{number}.onnx",
            sha256=sha256,
            size_about=megabytes * 1_000_000,
        ),
        verified="on random weights only",
    )


class S3Tokenizer(Codec):
    """S3Tokenizer behind the common interface: it can be encoded and measured, not decoded."""

    EXTRA = "s3tokenizer"
    DEFAULT = "s3tokenizer-v2"
    window_seconds, context_seconds = 30.0, 2.0
    CARDS = (
        _card(
            "v1",
            50,
            4096,
            place="iic/cosyvoice-300m",
            sha256="23b5a723ed9143aebfd9ffda14ac4c21231f31c35ef837b6a13bb9e5488abb1e",
            megabytes=523,
        ),
        _card(
            "v1-25hz",
            25,
            4096,
            place="iic/CosyVoice-300M-25Hz",
            sha256="56285ddd4a83e883ee0cb9f8d69c1089b53a94b1f78ff7e4a0224a27eb4cb486",
            megabytes=523,
        ),
        _card(
            "v2",
            25,
            LEVELS**DIGITS,
            place="iic/CosyVoice2-0.5B",
            sha256="d43342aa12163a80bf07bffb94c9de2e120a8df2f9917cd2f642e7f4219c6f71",
            megabytes=496,
        ),
        _card(
            "v3",
            25,
            LEVELS**DIGITS,
            place="FunAudioLLM/Fun-CosyVoice3-0.5B-2512",
            sha256="23236a74175dbdda47afc66dbadd5bcb41303c467a57c261cb8539ad9db9208d",
            megabytes=969,
        ),
    )

    @property
    def version(self) -> int:
        """1, 2 or 3."""
        return int(self.card.base_name.removeprefix("s3tokenizer-v")[0])

    def _load(self, checkpoint: Path | None) -> None:
        state = self._read(checkpoint)
        try:
            channels, mels = state["encoder.conv1.weight"].shape[:2]
            heads, layers = channels // HEAD, sum(key.endswith(".attn_ln.bias") for key in state)
        except (KeyError, ValueError) as reason:
            raise checkpoints.no_network(checkpoint, reason) from reason
        if not heads or channels % HEAD or mels not in (80, 128):
            raise CheckpointError(
                f"{checkpoint} is not of {self.card.name}: it has {channels} channels and {mels} "
                f"mel bands, expected a multiple of {HEAD}, and 80 or 128"
            )
        size = len(state.get("quantizer._codebook.embed", range(LEVELS**DIGITS)))
        if size != self.card.codebook_sizes[0]:
            raise CheckpointError(
                f"{checkpoint} is not of {self.card.name}: it has {size} codes, the card says "
                f"{self.card.codebook_sizes[0]}"
            )
        with checkpoints.sized_by(state, checkpoint):
            sizes = {"n_mels": mels, "n_audio_state": channels, "n_audio_head": heads}
            self.network = self._build(**sizes, n_audio_layer=layers)
        checkpoints.load_strict(self.network, state, checkpoint)

    def _read(self, path: Path) -> dict[str, Tensor]:
        """A state dict in the names of the package, of its own file or of the official ONNX."""
        if path.suffix.lower() != ".onnx":
            return checkpoints.read_state(path)[0]
        package = _package(self.card.name)
        convert = package.onnx2torch_v3 if self.version == 3 else package.onnx2torch
        try:
            state = convert(str(path), None, False)
        except Exception as reason:  # the file may hold any bytes, and the readers raise anything
            line = " ".join(f"{type(reason).__name__}: {reason}".split())[:200]
            raise CheckpointError(f"{path} is no ONNX file of an S3Tokenizer: {line}") from reason
        return {key: tensor.contiguous() for key, tensor in state.items()}

    def _build(self, **sizes: int) -> nn.Module:
        package, number = _package(self.card.name), self.version
        module = importlib.import_module(f"s3tokenizer.model{f'_v{number}' * (number > 1)}")
        config = getattr(module, "ModelConfigV3" if number == 3 else "ModelConfig")(**sizes)
        classes = {1: package.S3Tokenizer, 2: package.S3TokenizerV2, 3: package.S3TokenizerV3}
        return classes[number](NAMES[self.card.base_name], config)

    def _random_network(self) -> nn.Module:
        network = self.network = self._build()
        latents = self._encode_latents(torch.randn(1, 1, 160_000).cumsum(-1).sin())[0].T
        if self.version == 1:
            chosen = latents[torch.randint(len(latents), self.card.codebook_sizes)]
            noise = latents.std(0) * torch.randn(chosen.shape)
            network.quantizer._codebook.embed.copy_(F.normalize(chosen + noise, dim=-1))
            return network
        projection = network.quantizer._codebook.project_down
        std, mean = torch.std_mean(projection(latents), 0)
        projection.weight.div_(std[:, None])
        projection.bias.sub_(mean).div_(std)
        return network

    def _encode_latents(self, waveform: Tensor) -> Tensor:
        """(B, 1, L) -> (B, D, ceil(L / hop))."""
        num_frames = self.num_frames(waveform.shape[-1])
        sound = F.pad(waveform[:, 0], (0, max(0, self.hop_length - waveform.shape[-1])))
        mels = self.network.config.n_mels
        with no_autocast(sound.device.type):
            spectra = [_package(self.card.name).log_mel_spectrogram(one, mels) for one in sound]
        spectra = torch.stack(spectra)
        lengths = torch.full((len(spectra),), spectra.shape[-1], device=spectra.device)
        latents = self.network.encoder(spectra, lengths)[0].mT
        return F.pad(latents, (0, max(0, num_frames - latents.shape[-1])), mode="replicate")

    def _quantize(self, latents: Tensor) -> Tensor:
        stride = self.card.strides[0]
        pooled = pool(latents.float(), stride)
        with no_autocast(latents.device.type):
            # a copy, because the package searches in inference mode
            codes = self.network.quantizer.encode(pooled.mT).clone().long()
        codes = torch.where(pooled.isfinite().all(1), codes, -1)
        return repeat(codes[:, None], stride, latents.shape[-1])

    def _dequantize(self, codes: Tensor) -> Tensor:
        """The codeword of v1, (B, D, T); the levels -1, 0 and 1 of v2 and v3, (B, 8, T)."""
        return F.embedding(codes[:, 0], self.codewords(0).to(codes.device)).mT

    def codewords(self, k: int) -> Tensor:
        if k or self.version == 1:
            return self.codebook(k)
        powers = LEVELS ** torch.arange(DIGITS)
        return (torch.arange(LEVELS**DIGITS)[:, None] // powers % LEVELS - 1).float()

    def _codebooks(self) -> list[Tensor] | None:
        return [self.network.quantizer._codebook.embed] if self.version == 1 else None

    @cached_property
    def fingerprint(self) -> str:
        """Of the codebook of v1; of the projection before the rounding in v2 and v3."""
        if self.version == 1:
            return super().fingerprint
        projection = self.network.quantizer._codebook.project_down
        digest = hashlib.sha256(f"{LEVELS} levels".encode())
        for tensor in (projection.weight, projection.bias):
            rows = tensor.detach().to("cpu", torch.float32).contiguous().numpy()
            digest.update(str(rows.shape).encode() + rows.astype("<f4").tobytes())
        return digest.hexdigest()

    def _windows(self, num_frames: int) -> Iterator[tuple[int, int, int, int]]:
        """Windows of `window_seconds`, of which neighbours share 2 `context_seconds`."""
        unit = self._unit
        half = round(self.context_seconds * self.card.frame_rate / unit) * unit
        whole = max(
            round(self.window_seconds * self.card.frame_rate / unit) * unit, 2 * half + unit
        )
        step = whole - 2 * half
        count = max(1, math.ceil((num_frames - 2 * half) / step))
        for n in range(count):
            low, high = n * step, min(n * step + whole, num_frames)
            last = n == count - 1
            yield low, low + half if n else 0, high if last else low + half + step, high


def _package(name: str) -> ModuleType:
    """The package s3tokenizer."""
    try:
        with LOADING:
            return importlib.import_module("s3tokenizer")
    except ImportError as reason:
        raise MissingPackageError("s3tokenizer", S3Tokenizer.EXTRA, name) from reason
