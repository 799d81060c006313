"""Stream: one sound through a codec while it comes in, chunk by chunk.

    with codec.stream() as stream:
        for chunk in chunks:  # (C, L), L a multiple of the hop
            play(stream.decode(stream.encode(chunk)))
        play(stream.decode(stream.encode(rest, last=True), last=True))

What comes out, put together, is what the whole sound gives in one piece: codes equal but for near
ties that the last bits of arithmetic decide, sound to 1e-5 of its peak. What cannot be known yet is
held back, so that a chunk may give no frames, and a later one more than its own.
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
    """The encoder and the decoder of one codec for one sound; each remembers what it was given.

    The two know nothing of each other: the codes that are decoded may come from anywhere. Several
    streams of a codec may be open at a time. A chunk that is refused changes nothing.
    """

    def __init__(self, codec: Windowed, encoder: Pieces, decoder: Pieces) -> None:
        card = codec.card
        self.codec = codec
        self._encoder = _Half("encode", encoder, card.hop_length, 1)
        self._decoder = _Half(
            "decode", decoder, 1, card.hop_length * card.sample_rate_out // card.sample_rate_in
        )

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        for half in (self._encoder, self._decoder):
            if kind is None and half.held:
                log.warning(
                    "the stream of %s was left with %d frames held back: end it with "
                    "%s(..., last=True), or finish()", self.codec.card.name, half.held, half.name,
                )  # fmt: skip
            half.pieces = None

    @pytorch_defaults()
    def encode(self, chunk: Any = None, last: bool = False) -> torch.Tensor:
        """Codes (C, K, T) int64 of the frames that are known now; T may be 0.

        Args:
            chunk: waveform (C, L) or (L,) at the card's sample_rate_in, an array, a tensor or an
                Audio. L is a multiple of the hop, of the last chunk any length.
            last: nothing follows: the codes of all that was held back come as well.

        Raises:
            CodecError: a chunk of another length, rate or number of channels; or the last one was
                here already.
            AudioError: a chunk that is not finite, or was not scaled.
        """
        name, hop = self.codec.card.name, self.codec.card.hop_length
        waveform = self._waveform(chunk)
        length = waveform.shape[-1]
        if length % hop and not last:
            raise CodecError(
                f"a chunk of {length} samples is no multiple of {hop}, the samples of a frame of "
                f"{name}: only the last chunk may end inside of a frame, encode(chunk, last=True)"
            )
        codes = self._encoder.run(self.codec, waveform, last)
        if codes.numel() and codes.min() < 0:
            raise CodecError(f"{name}: latents are not finite, so that there are no codes of them")
        return codes

    @pytorch_defaults()
    def decode(self, codes: Any = None, last: bool = False) -> torch.Tensor:
        """Waveform (C, L) float32 of the samples that are known now; L may be 0.

        Args:
            codes: (C, K, T) integers, T of any length. K is one of the card's codebook_counts.
            last: nothing follows: the sound of all that was held back comes as well. All together
                there are as many samples as whole frames have: cut off what is past the end of
                the sound.

        Raises:
            CodecError: codes of another shape, or out of range; or the last ones were here already.
        """
        waveform = self._decoder.run(self.codec, self._codes(codes), last)
        if not waveform.isfinite().all():
            raise CodecError(f"{self.codec.card.name} decoded no usable sound: it is not finite")
        return waveform.float().flatten(0, 1)

    @pytorch_defaults()
    def finish(self) -> tuple[torch.Tensor, torch.Tensor]:
        """What both directions still hold, codes (C, K, T) and waveform (C, L); then it is over.

        These codes are not in this waveform: to hear them, end `encode` and decode what it gives.
        """
        nothing = torch.empty(1, self.codec.card.num_codebooks, 0, dtype=torch.int64)
        codes = nothing if self._encoder.ended else self.encode(last=True)
        silence = torch.empty(self.codec.card.channels, 0)
        return codes, silence if self._decoder.ended else self.decode(last=True)

    def _waveform(self, chunk: Any) -> torch.Tensor:
        """(B, C, L): what is coded apart, and the channels of the network."""
        card = self.codec.card
        each = self.codec.options.get("channels") == "each"
        if chunk is None:
            shape = self._encoder.shape or ((1, 1) if each else (1, card.channels))
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

    def _codes(self, codes: Any) -> torch.Tensor:
        """(B, K, T) int64, checked."""
        card = self.codec.card
        if codes is None:
            shape = self._decoder.shape or (1, card.num_codebooks)
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
    """One direction of a stream: its memory, and how far it is."""

    def __init__(self, name: str, pieces: Pieces, hop: int, hop_out: int) -> None:
        self.name, self.pieces = name, pieces
        self.hop, self.hop_out = hop, hop_out  # what a frame has of what goes in, and comes out
        self.shape: tuple[int, ...] = ()  # of what goes in, but for the time
        self.given = self.made = 0
        self.ended = False

    @property
    def held(self) -> int:
        """Frames that were given and have not come out."""
        return max(0, -(-self.given // self.hop) - self.made // self.hop_out)

    def run(self, codec: Windowed, given: torch.Tensor, last: bool) -> torch.Tensor:
        if self.ended or self.pieces is None:
            raise CodecError(
                f"{self.name} after the end of the stream: begin a new sound with a new stream()"
            )
        shape = tuple(given.shape[:-1])
        if self.given and shape != self.shape:
            raise CodecError(
                f"{self.name} was given {self.shape} so far and {shape} now: channels and "
                "codebooks stay what they are within a stream"
            )
        with inference(codec.network, codec.device, codec.fast):
            made = self.pieces(given.to(codec.device), last).cpu()
        self.shape, self.ended = shape, last
        self.given += given.shape[-1]
        self.made += made.shape[-1]
        return made
