"""Lyra v2: Google's SoundStream for 16 kHz speech, 50 frames a second, up to 46 codebooks of 16.

Zeghidour et al. 2021 (SoundStream), arXiv 2107.03312; code and weights at github.com/google/lyra,
Apache-2.0. Encoder and decoder are TFLite models, run by ai-edge-litert on the CPU, frame by frame.
The codebooks are read from the third model, and searched by our kernels.

`codebooks=16` is 3.2 kbit/s, 30 is 6, and all 46 are 9.2, the three rates of Lyra. Other numbers
decode too: at eight of them, from 1 to 46, STOI rises with the number for each of five readers
(results/sound-v2).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from audiotok.codec.codec import Codec, CodecCard, Taxonomy, Weights
from audiotok.codecs import _tflite
from audiotok.errors import CheckpointError, CodecError
from audiotok.nn.pieces import Pieces, Search
from audiotok.nn.quantizers.rvq import ResidualVectorQuantizer
from audiotok.system.files import regular_size

HOP_LENGTH, DIMENSION, CODEBOOKS, CODEBOOK_SIZE = 320, 64, 46, 16
ENCODER, QUANTIZER, DECODER = "soundstream_encoder.tflite", "quantizer.tflite", "lyragan.tflite"
_REVISION = "47698dadf0010abff6a848e02642f55f806d4842"


class LyraNetwork(nn.Module):
    """The codebooks as a quantizer, and the bytes of the two other models as buffers.

    Args:
        folder: of the three models.
        strides: frames per code of each codebook.
    """

    def __init__(self, folder: Path, strides: tuple[int, ...]):
        super().__init__()
        for name, file in (("encoder", ENCODER), ("decoder", DECODER)):
            model = np.frombuffer(read_model(folder / file), np.uint8)
            self.register_buffer(name, torch.from_numpy(model.copy()))
        self.quantizer = ResidualVectorQuantizer(
            CODEBOOKS, CODEBOOK_SIZE, DIMENSION, strides=strides
        )
        self.quantizer.codebooks.copy_(read_codebooks(folder / QUANTIZER))

    def start_encoder(self) -> _tflite.Frames:
        """Frames of 320 samples -> latents of 64, at the beginning of a sound."""
        return _tflite.start(self.encoder.cpu().numpy().tobytes(), HOP_LENGTH, DIMENSION, ENCODER)

    def start_decoder(self) -> _tflite.Frames:
        """Vectors of 64 -> frames of 320 samples, at the beginning of a sound."""
        return _tflite.start(self.decoder.cpu().numpy().tobytes(), DIMENSION, HOP_LENGTH, DECODER)


class Lyra(Codec):
    """Lyra v2 behind the common interface."""

    EXTRA = "lyra"
    RUNTIME = "TFLite"
    CARDS = (
        CodecCard(
            name="lyra-v2",
            family="lyra-v2",
            description="official weights, SoundStream for speech, 3.2 to 9.2 kbit/s",
            sample_rate_in=16000,
            sample_rate_out=16000,
            hop_length=HOP_LENGTH,
            codebook_sizes=(CODEBOOK_SIZE,) * CODEBOOKS,
            codebook_counts=tuple(range(1, CODEBOOKS + 1)),
            mergeable=True,
            causal=True,
            streamable=True,
            lookahead=0,
            taxonomy=Taxonomy(
                encoder_decoder="CNN, Time -> CNN, Time",
                quantization="RVQ, Fixed",
                training_paradigm="GAN, Feat, Rec, VQ",
                streamability="yes",
                domain="speech",
            ),
            licence_code="Apache-2.0",
            licence_weights="Apache-2.0",
            weights=Weights(
                url=f"https://raw.githubusercontent.com/google/lyra/{_REVISION}/lyra/model_coeffs",
                revision=_REVISION,
                file=ENCODER,
                sha256="237da0b16226fb0a68d49551c81bebf614e42142af72764448359f68581e88f1",
                size=1_779_200,
                beside=(QUANTIZER, DECODER),
                beside_sha256=(
                    "841ee05989687d32d1f616a8ad1419fc7eda37599d3c05c7cf5a0d60ccf8ac5c",
                    "50e7839cda4f30599a3a34cfaddcd9c98449b049eee884e1a74295780448ad06",
                ),
            ),
            verified="against the official models on real speech: equal codes, equal samples",
        ),
    )

    @classmethod
    def adapt(cls, card: CodecCard, options: dict[str, object]) -> CodecCard:
        if options.get("precision") == "fast":
            raise CodecError(f"{card.name} runs in TFLite as it was published: leave out precision")
        return card

    def _load(self, checkpoint: Path | None) -> None:
        strides = (*self.card.strides, *(1,) * (CODEBOOKS - self.num_codebooks))
        self.network = LyraNetwork(checkpoint.parent, strides)
        self.network.start_encoder(), self.network.start_decoder()  # a wrong file is refused now

    def _encode_latents(self, waveform: Tensor) -> Tensor:
        return self._encoder()(waveform, True)

    def _quantize(self, latents: Tensor) -> Tensor:
        return self.network.quantizer.encode(latents.float(), self.num_codebooks)

    def _dequantize(self, codes: Tensor) -> Tensor:
        return self.network.quantizer.decode(codes)

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        return self._decoder()(quantized, True)

    def _encoder(self) -> Pieces:
        """(B, 1, L) -> latents (B, 64, ceil(L / hop)), for new sounds."""
        run = _rows(self.network.start_encoder)

        def encode(waveform: Tensor, last: bool) -> Tensor:
            waveform = F.pad(waveform[:, 0], (0, -waveform.shape[-1] % HOP_LENGTH))
            return run(waveform.unflatten(-1, (-1, HOP_LENGTH))).transpose(1, 2)

        return encode

    def _decoder(self) -> Pieces:
        """Vectors (B, 64, T) -> (B, 1, T * hop), for new sounds."""
        run = _rows(self.network.start_decoder)
        return lambda quantized, last: run(quantized.transpose(1, 2)).flatten(1)[:, None]

    def _encoder_in_pieces(self) -> Pieces:
        return Search(self._encoder(), self._quantize, self.num_codebooks, self._unit)

    def _decoder_in_pieces(self) -> Pieces:
        decoder = self._decoder()
        return lambda codes, last: decoder(self._dequantize(codes), last)

    def _codebooks(self) -> list[Tensor]:
        return list(self.network.quantizer.codebooks)


def _rows(start: Callable[[], _tflite.Frames]) -> Callable[[Tensor], Tensor]:
    """Frames (B, T, N) -> (B, T, M), each row a sound of its own with its own state."""
    running: list[_tflite.Frames] = []

    def run(frames: Tensor) -> Tensor:
        if not running:
            running.extend(start() for _ in frames)
        rows = frames.detach().cpu().numpy()
        outputs = [model(row) for model, row in zip(running, rows, strict=True)]
        return torch.from_numpy(np.stack(outputs)).to(frames.device)

    return run


def read_codebooks(path: Path) -> Tensor:
    """The codebooks (46, 16, 64) float32: what the official quantizer decodes single codes to.

    Raises:
        CheckpointError: it is not the quantizer of Lyra v2.
    """
    codes = torch.full((CODEBOOKS, CODEBOOK_SIZE, CODEBOOKS, 1, 1), -1, dtype=torch.int32)
    stage = torch.arange(CODEBOOKS)
    codes[stage, :, stage] = torch.arange(CODEBOOK_SIZE, dtype=torch.int32)[None, :, None, None]
    try:
        decode = _tflite.interpreter(read_model(path), path).get_signature_runner("decode")
        vectors = [decode(encoding_indices=one)["output_0"] for one in codes.flatten(0, 1).numpy()]
        return torch.from_numpy(np.stack(vectors)).view(CODEBOOKS, CODEBOOK_SIZE, DIMENSION)
    except (ValueError, KeyError, RuntimeError) as reason:
        raise CheckpointError(
            f"{path} is not the quantizer of Lyra v2: {str(reason).splitlines()[0]}"
        ) from reason


def read_model(path: Path) -> bytes:
    try:
        regular_size(path)
        return path.read_bytes()
    except OSError as reason:
        raise CheckpointError(
            f"{path} cannot be read ({reason.strerror or reason}): lyra-v2 needs {ENCODER}, "
            f"{QUANTIZER} and {DECODER} in one folder"
        ) from reason
