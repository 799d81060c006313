"""Long sound in bounded memory: in chunks with a state, or in overlapping windows.

A family whose layers can run chunk by chunk (`nn/pieces.py`) gives the same codes and samples for a
long sound as for the whole at once. The others code windows with some context on each side. If the
receptive field is within the context, only rounding in the last bits differs.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from audiotok.codec.card import CodecCard
from audiotok.codec.inference import inference
from audiotok.codec.parallel import mapped, pipelined
from audiotok.errors import CodecError
from audiotok.sound.audio import AudioFile
from audiotok.system import progress

log = logging.getLogger("audiotok")

# A stateful function: (B, ..., N) on the codec's device, and whether it is the last chunk -> all
# output that is complete by then
Pieces = Callable[[torch.Tensor, bool], torch.Tensor]


class Windowed:
    """How a codec processes sound of any length; a base class of `Codec`."""

    card: CodecCard
    options: dict[str, Any]
    network: torch.nn.Module | None
    device: torch.device
    fast: bool
    window_seconds: float = 60.0
    context_seconds: float = 5.0
    piece_seconds: float = 3.0  # of a stateful encoder or decoder; on a CPU it fits the caches
    threads: int = 1  # that encode one long sound together, each with one thread of PyTorch

    def _encoder_in_pieces(self) -> Pieces | None:
        """A new stateful encoder: waveform (B, C, L), and whether it is the last chunk -> codes
        (B, K, T) of the frames that are complete by then. L is a multiple of the hop length, except
        in the last chunk. None if the family has no such encoder."""
        return None

    def _decoder_in_pieces(self) -> Pieces | None:
        """The same for codes (B, K, T) -> waveform (B, C, L) of whole frames."""
        return None

    @property
    def _unit(self) -> int:
        """Windows start at multiples of this many frames, where codes of all codebooks start."""
        return math.lcm(*self.card.strides)

    @property
    def _piece(self) -> int:
        """Frames of a piece."""
        seconds = min(self.piece_seconds, self.window_seconds)
        return max(1, round(seconds * self.card.frame_rate))

    def _windows(self, num_frames: int) -> Iterator[tuple[int, int, int, int]]:
        """Frames (low, start, stop, high): low..high is coded, and start..stop of it is kept."""
        if self.card.byte_stream:
            yield 0, 0, num_frames, num_frames
            return
        unit = self._unit
        step = max(1, round(self.window_seconds * self.card.frame_rate / unit)) * unit
        context = math.ceil(self.context_seconds * self.card.frame_rate / unit) * unit
        if num_frames <= step + context:
            step = num_frames
        for start in range(0, num_frames, step):
            stop = min(start + step, num_frames)
            yield max(0, start - context), start, stop, min(stop + context, num_frames)

    def _encode_windows(self, waveform: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(B, C, L) -> codes (B, K, T) and side information (B, ...) if any, on the CPU."""
        card, hop = self.card, self.card.hop_length
        if card.byte_stream:
            return self._encode(waveform), None
        num_frames = self.num_frames(waveform.shape[-1])
        codes = torch.empty(len(waveform), card.num_codebooks, num_frames, dtype=torch.int64)
        windows = list(self._windows(num_frames))
        encoder = self._encoder_in_pieces() if len(windows) > 1 else None
        if encoder is not None:
            step = self._piece * hop
            shape = tuple(codes.shape)
            steps = [self._in_a_thread(one) for one in getattr(encoder, "steps", [encoder])]
            fed = _fed(steps, waveform, step, self.device, shape, self.threads)
            for start, piece in fed:
                codes[..., start : start + piece.shape[-1]] = piece
                progress.report(start + piece.shape[-1], num_frames)
            return codes, None
        if len(windows) > 1 and card.lookahead is None:
            log.warning(
                "%s depends on the whole sound; this one, longer than %g s, is coded in windows, "
                "so its codes differ from those of the whole", card.name, self.window_seconds,
            )  # fmt: skip
        cut = (waveform[..., low * hop : high * hop].to(self.device) for low, *_, high in windows)
        threads = self.threads if len(windows) > 1 else 1
        encoded = mapped(self._in_a_thread(self._encode), cut, threads)
        for (low, start, stop, high), piece in zip(windows, encoded, strict=True):
            expected = (*codes.shape[:2], high - low)
            if tuple(piece.shape) != expected or piece.dtype != torch.int64:
                raise CodecError(
                    f"{card.name} gave {piece.dtype} codes of shape {tuple(piece.shape)}, "
                    f"expected torch.int64 {expected}: its _encode is wrong"
                )
            codes[..., start:stop] = piece[..., start - low : stop - low]
            progress.report(stop, num_frames)
        return codes, None

    def _in_a_thread(self, work: Callable) -> Callable:
        """`work` in any thread under the settings of `inference`, which hold for one thread."""
        if self.threads == 1:
            return work

        def run(*arguments: Any) -> torch.Tensor:
            with inference(self.network, self.device, self.fast):
                return work(*arguments)

        return run

    def _decode_windows(
        self, codes: torch.Tensor, length: int, side: torch.Tensor | None
    ) -> torch.Tensor:
        """Codes (B, K, T) and side information (B, ...) -> (B, C, length) on the CPU."""
        card = self.card
        hop = card.hop_length * card.sample_rate_out // card.sample_rate_in
        windows = list(self._windows(codes.shape[-1]))
        decoder = self._decoder_in_pieces() if len(windows) > 1 else None
        if decoder is not None:
            waveform = torch.empty(len(codes), card.channels, length)
            shape = (len(codes), card.channels, codes.shape[-1] * hop)
            for start, piece in _fed([decoder], codes, self._piece, self.device, shape):
                waveform[..., start : start + piece.shape[-1]] = piece[..., : length - start]
                progress.report((start + piece.shape[-1]) // hop, codes.shape[-1])
            return waveform
        waveform = None
        for low, start, stop, high in windows:
            begin = start * hop
            end = length if card.byte_stream else min(stop * hop, length)
            piece = self._decode(codes[..., low:high].to(self.device))
            piece = piece[..., (start - low) * hop :][..., : end - begin]
            expected = (len(codes), card.channels, end - begin)
            if tuple(piece.shape) != expected:
                raise CodecError(
                    f"{card.name} decoded {tuple(piece.shape)} of (B, C, samples), expected "
                    f"{expected}: its _decode is wrong, or num_samples"
                )
            if waveform is None:
                waveform = torch.empty(len(codes), card.channels, length)
            waveform[..., begin:end] = piece
            progress.report(stop, codes.shape[-1])
        return waveform

    def _by_windows(self, audio: AudioFile) -> bool:
        """Whether the file is so long that it has to be read window by window."""
        windows = type(self)._encode_windows is Windowed._encode_windows
        long = audio.num_samples > 2 * self.window_seconds * audio.sample_rate
        return windows and long and not (self.card.byte_stream or self.fast)


def _fed(
    steps: Sequence[Pieces],
    whole: torch.Tensor,
    size: int,
    device: torch.device,
    shape: tuple[int, ...],
    threads: int = 1,
) -> Iterator[tuple[int, torch.Tensor]]:
    """Feed `whole` in chunks of `size` to the steps; yield each output after its position.

    Raises:
        CodecError: the concatenated output does not have this shape.
    """
    position, length = 0, whole.shape[-1]
    starts = range(0, length, size)
    chunks = ((whole[..., s : s + size].to(device), s + size >= length) for s in starts)
    for start, piece in zip(starts, pipelined(steps, chunks, threads), strict=True):
        last = start + size >= length
        total = (*piece.shape[:-1], position + piece.shape[-1])
        if total[:-1] != shape[:-1] or total[-1] > shape[-1] or (last and total != shape):
            raise CodecError(f"the chunks of a long sound give {total}, expected {shape}")
        yield position, piece
        position = total[-1]
