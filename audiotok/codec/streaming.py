"""Stream: encode and decode one sound chunk by chunk, while it arrives.

    with codec.stream() as stream:
        for chunk in chunks:  # (C, L), L a multiple of the hop
            play(stream.decode(stream.encode(chunk)))
        play(stream.decode(stream.encode(rest, last=True), last=True))

The concatenated output equals that of the whole sound: codes up to near ties that rounding in the
last bits decides, samples to 1e-5 of the peak. Frames that depend on later samples are held back: a
chunk may return no frames, and a later chunk more than its own.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch

from audiotok.codec.inference import inference
from audiotok.codec.windows import Pieces, Windowed
from audiotok.errors import CodecError
from audiotok.sound.audio import Audio, as_audio
from audiotok.system.defaults import pytorch_defaults

log = logging.getLogger("audiotok")


class Stream:
    """A stateful encoder and decoder of one codec, for one sound.

    They are independent: the codes to decode may come from anywhere. Several streams of a codec may
    be open at the same time. A chunk that is refused does not change the state.
    """

    def __init__(self, codec: Windowed, encoder: Pieces, decoder: Pieces) -> None:
        card = codec.card
        self.codec = codec
        self.encoder = _Half("encode", encoder, card.hop_length, 1)
        self.decoder = _Half(
            "decode", decoder, 1, card.hop_length * card.sample_rate_out // card.sample_rate_in
        )

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        for half in (self.encoder, self.decoder):
            if kind is None and half.pending:
                log.warning(
                    "the stream of %s was left with %d frames held back: end it with "
                    "%s(..., last=True), or finish()",
                    self.codec.card.name, half.pending, half.name,
                )  # fmt: skip
            half.pieces = None

    @pytorch_defaults()
    def encode(self, chunk: Any = None, last: bool = False) -> torch.Tensor:
        """Codes (C, K, T) int64 of the frames that are complete now; T may be 0.

        Args:
            chunk: waveform (C, L) or (L,) at the card's sample_rate_in, an array, a tensor or an
                Audio. L is a multiple of the hop length; the last chunk may have any length.
            last: this is the last chunk; the result includes all frames that were held back.

        Raises:
            CodecError: a chunk of another length, rate or number of channels, or after the last
                chunk.
            AudioError: a chunk that is not finite, or not scaled to [-1, 1].
        """
        return self.checked_codes(self.encoder.run(self.codec, self.waveform(chunk, last), last))

    @pytorch_defaults()
    def decode(self, codes: Any = None, last: bool = False) -> torch.Tensor:
        """Waveform (C, L) float32 of the samples that are complete now; L may be 0.

        Args:
            codes: (C, K, T) integers, T of any length. K is one of the card's codebook_counts.
            last: these are the last codes; the result includes all samples that were held back. The
                total length is that of whole frames: cut off what is after the end of the sound.

        Raises:
            CodecError: codes of another shape, out of range, or after the last ones.
        """
        return self.checked_waveform(self.decoder.run(self.codec, self.codes(codes), last))

    @pytorch_defaults()
    def finish(self) -> tuple[torch.Tensor, torch.Tensor]:
        """End both directions; returns what they held back, codes (C, K, T) and waveform (C, L).

        These codes are not part of this waveform: to hear them, end `encode` and decode its result.
        """
        nothing = torch.empty(1, self.codec.card.num_codebooks, 0, dtype=torch.int64)
        codes = nothing if self.encoder.ended else self.encode(last=True)
        silence = torch.empty(self.codec.card.channels, 0)
        return codes, silence if self.decoder.ended else self.decode(last=True)

    def checked_codes(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes (B, K, T) of the network; CodecError if a latent vector was not finite."""
        if codes.numel() and codes.min() < 0:
            name = self.codec.card.name
            raise CodecError(f"{name}: latents are not finite, so they have no codes")
        return codes

    def checked_waveform(self, waveform: torch.Tensor) -> torch.Tensor:
        """Sound (B, C, L) of the network as waveform (B * C, L); CodecError if it is not finite."""
        if not waveform.isfinite().all():
            raise CodecError(f"{self.codec.card.name} decoded no usable sound: it is not finite")
        return waveform.float().flatten(0, 1)

    def waveform(self, chunk: Any, last: bool) -> torch.Tensor:
        """(B, C, L), checked: rows that are coded separately, and the channels of the network."""
        card = self.codec.card
        waveform = self._rows(chunk)
        length = waveform.shape[-1]
        if length % card.hop_length and not last:
            raise CodecError(
                f"a chunk of {length} samples is no multiple of {card.hop_length}, the hop length "
                f"of {card.name}: only the last chunk may end within a frame, "
                "encode(chunk, last=True)"
            )
        return waveform

    def _rows(self, chunk: Any) -> torch.Tensor:
        card = self.codec.card
        each = self.codec.options.get("channels") == "each"
        if chunk is None:
            shape = self.encoder.shape or ((1, 1) if each else (1, card.channels))
            return torch.empty(*shape, 0)
        rate = card.sample_rate_in
        if isinstance(chunk, Audio):
            if chunk.sample_rate != rate:
                raise CodecError(
                    f"a chunk at {chunk.sample_rate} Hz: {card.name} streams at {rate} Hz; "
                    "resample before"
                )
            chunk = chunk.waveform
        shape = tuple(np.shape(chunk))
        rows = [chunk] if len(shape) == 1 else chunk
        if len(shape) not in (1, 2) or len(rows) not in ((1, 2) if each else (card.channels,)):
            raise CodecError(
                f"a chunk of shape {shape}: {card.name} streams "
                f"({'1 or 2' if each else card.channels} channels, samples)"
            )
        if shape[-1] == 0:
            waveform = torch.empty(len(rows), 0)
        else:
            waveform = torch.cat([as_audio((row, rate)).waveform for row in rows])
        return waveform[:, None] if each else waveform[None]

    def codes(self, codes: Any) -> torch.Tensor:
        """(B, K, T) int64, checked."""
        card = self.codec.card
        if codes is None:
            shape = self.decoder.shape or (1, card.num_codebooks)
            return torch.empty(*shape, 0, dtype=torch.int64)
        codes = torch.as_tensor(codes)
        whole = not (codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool)
        if codes.ndim != 3 or not whole or codes.shape[1] not in card.codebook_counts:
            raise CodecError(
                f"codes {codes.dtype} of shape {tuple(codes.shape)}: {card.name} decodes integers "
                f"(channels, codebooks, frames), with up to {card.num_codebooks} codebooks"
            )
        if not 1 <= len(codes) * card.channels <= 2:
            raise CodecError(f"codes of {len(codes)} channels: expected 1 or 2")
        codes = codes.long().cpu()
        for k, size in enumerate(card.codebook_sizes[: codes.shape[1]]):
            for edge in torch.aminmax(codes[:, k]) if codes.shape[-1] else ():
                if not 0 <= edge < size:
                    raise CodecError(f"code {int(edge)} in codebook {k} is not in 0..{size - 1}")
        return codes


class _Half:
    """One direction of a stream: its state and its position."""

    def __init__(self, name: str, pieces: Pieces, hop: int, hop_out: int) -> None:
        self.name, self.pieces = name, pieces
        self.hop, self.hop_out = hop, hop_out  # length of a frame at the input and at the output
        self.shape: tuple[int, ...] = ()  # of the input, without the time axis
        self.consumed = self.produced = 0
        self.ended = False

    @property
    def pending(self) -> int:
        """Frames that went in and have not come out."""
        return max(0, -(-self.consumed // self.hop) - self.produced // self.hop_out)

    def check(self, chunk: torch.Tensor) -> None:
        """Raises CodecError unless this chunk may come next."""
        if self.ended or self.pieces is None:
            raise CodecError(
                f"{self.name} after the end of the stream: begin a new sound with a new stream()"
            )
        shape = tuple(chunk.shape[:-1])
        if self.consumed and shape != self.shape:
            raise CodecError(
                f"{self.name} was given {self.shape} so far and {shape} now: channels and "
                "codebooks cannot change within a stream"
            )

    def count(self, chunk: torch.Tensor, output: torch.Tensor, last: bool) -> None:
        """Note what went in and came out."""
        self.shape, self.ended = tuple(chunk.shape[:-1]), last
        self.consumed += chunk.shape[-1]
        self.produced += output.shape[-1]

    def run(self, codec: Windowed, chunk: torch.Tensor, last: bool) -> torch.Tensor:
        self.check(chunk)
        with inference(codec.network, codec.device, codec.fast):
            output = self.pieces(chunk.to(codec.device), last).cpu()
        self.count(chunk, output, last)
        return output
