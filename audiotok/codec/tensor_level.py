"""A codec on tensors: waveforms, latents, codes and quantized vectors, on the device it runs on.

    latents = codec.encode_latents(waveform)    # (B, C, L) -> (B, D, T)
    codes = codec.quantize(latents)             # -> (B, K, T) int64
    codes = codec.encode_codes(waveform)        # both
    quantized = codec.dequantize(codes)         # -> (B, D, T)
    waveform = codec.decode_latents(quantized)  # -> (B, C, L)
    waveform = codec.decode_codes(codes)        # both

`encode` and `decode` call the same methods of the family, on windows of a long sound. Here the
whole tensor goes through the network at once. Nothing is resampled, checked for NaN or copied to
the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor

from audiotok.codec import batches
from audiotok.codec.acceptance import no_decoder
from audiotok.codec.card import CodecCard
from audiotok.codec.inference import inference
from audiotok.errors import CodecError
from audiotok.tokens.tokens import Tokens


class TensorLevel:
    """The tensor methods of a codec; a base class of `Codec`.

    All methods take and return tensors on the codec's device and run in eval mode and full
    float32. With `grad=True` gradients are recorded for the input and for the weights of the
    network; results may then differ in the last bits. Otherwise results have no gradients.
    """

    NO_TENSORS: ClassVar[str | None] = None  # why the codec has no tensor methods; None: it has
    SOUND_NEEDS_CODES: ClassVar[bool] = False  # whether vectors alone decode to another sound
    RUNTIME: ClassVar[str | None] = None  # what runs the network, if not PyTorch: no gradients
    NO_LATENTS: ClassVar[str] = "its class encodes and decodes in one step"  # the reason, if so

    card: CodecCard
    network: torch.nn.Module | None
    device: torch.device
    fast: bool

    # --- a family defines these four, or `_encode` and `_decode` ---------------------------------

    def _encode_latents(self, waveform: Tensor) -> Tensor:
        """(B, C, L) float32 at sample_rate_in -> latents (B, D, ceil(L / hop_length), or more)."""
        raise self._without("latents")

    def _quantize(self, latents: Tensor) -> Tensor:
        """Latents (B, D, T) -> codes (B, K, T) int64, searched in float32; -1 where not finite."""
        raise self._without("latents")

    def _dequantize(self, codes: Tensor) -> Tensor:
        """Codes (B, K, T) -> their quantized vectors (B, D, T)."""
        raise self._without("quantized vectors")

    def _decode_latents(self, quantized: Tensor) -> Tensor:
        """Vectors (B, D, T) -> (B, C, T frames of samples at sample_rate_out, or more)."""
        if self.card.needs:
            raise no_decoder(self.card)
        raise self._without("quantized vectors")

    def _encode(self, waveform: Tensor) -> Tensor:
        """(B, C, L) float32 at sample_rate_in -> codes (B, K, ceil(L / hop_length)) int64.

        K and the rates are those of `self.card`: num_codebooks may be smaller than in the network,
        and strides may be merged. A frame whose latents are not finite gets the code -1.
        """
        codes = self._quantize(self._encode_latents(waveform))
        return codes[..., : self.num_frames(waveform.shape[-1])]

    def _decode(self, codes: Tensor) -> Tensor:
        """Codes (B, K, T) -> waveform (B, C, T frames of samples at sample_rate_out, or more).

        K is one of the card's codebook_counts.
        """
        return self._decode_latents(self._dequantize(codes))

    def _encode_ragged(self, waveform: Tensor, lengths: Sequence[int]) -> Tensor:
        """As `_encode`, but each clip ends at its own length; codes after it are undefined."""
        raise NotImplementedError

    def _quantized_latents(self, latents: Tensor) -> Tensor:
        """The part of the latents (B, D', T) that the quantized vectors (B, D, T) approximate."""
        return latents

    # --- public methods --------------------------------------------------------------------------

    def encode_latents(self, waveform: Tensor, grad: bool = False) -> Tensor:
        """Latents (B, D, T) float32 of a waveform (B, C, L) at sample_rate_in.

        T is ceil(L / hop_length); SNAC's are longer, up to a whole attention window.

        Raises:
            CodecError: another shape or device, or a codec without latents.
        """
        self._check_waveform(waveform)
        with self._running(grad):
            return self._encode_latents(waveform.float()).float()

    def quantize(self, latents: Tensor) -> Tensor:
        """Codes (B, K, T) int64 of latents (B, D, T), by exact search; -1 where not finite."""
        self._check_tensor(latents, "latents", "(batch, dimensions, frames)")
        with self._running():
            return self._quantize(latents.detach())

    def encode_codes(self, waveform: Tensor, lengths: Sequence[int] | None = None) -> Tensor:
        """Codes (B, K, ceil(L / hop_length)) int64 of a waveform (B, C, L) at sample_rate_in.

        Args:
            lengths: samples of each clip without its padding. Each clip gets the codes that it
                would get alone, up to rounding in the last bits, and -1 after its last frame.

        Raises:
            CodecError: another shape or device, or lengths for a codec that is not `ragged`.
        """
        self._check_waveform(waveform)
        if self.card.byte_stream and len(waveform) > 1:
            raise CodecError(f"{self.card.name} makes bytes: one clip at a time, not a batch")
        with self._running():
            if lengths is None:
                return self._encode(waveform.float())
            return self._encode_lengths(waveform.float(), [int(length) for length in lengths])

    def dequantize(
        self, codes: Tensor, straight_through: Tensor | None = None, grad: bool = False
    ) -> Tensor:
        """The quantized vectors (B, D, T) float32 of codes (B, K, T).

        Args:
            straight_through: the latents that `codes` were computed from. The values of the result
                do not change; its gradient goes to these latents unchanged (arXiv 1308.3432).
            grad: record gradients for codebooks and projections that are parameters.
        """
        codes = self._checked_codes(codes)
        with self._running(grad), self._in_range():
            quantized = self._dequantize(codes).float()
        if straight_through is None:
            return quantized
        latents = self._quantized_latents(straight_through)[..., : quantized.shape[-1]]
        if latents.shape != quantized.shape:
            raise CodecError(
                f"latents {tuple(latents.shape)} are not those of quantized vectors "
                f"{tuple(quantized.shape)}: expected what encode_latents gave"
            )
        return quantized + (latents - latents.detach())

    def decode_latents(self, quantized: Tensor, grad: bool = False) -> Tensor:
        """Waveform (B, C, T frames of samples at sample_rate_out) of vectors (B, D, T).

        SNAC's decoder adds noise seeded by the codes. They are not known here, so the noise is
        that of key 0.
        """
        self._check_tensor(quantized, "quantized vectors", "(batch, dimensions, frames)")
        with self._running(grad):
            return self._whole_frames(self._decode_latents(quantized), quantized.shape[-1])

    def decode_codes(self, codes: Tensor, grad: bool = False) -> Tensor:
        """Waveform (B, C, T frames of samples at sample_rate_out) of codes (B, K, T) integers.

        K is one of the card's codebook_counts.

        Raises:
            CodecError: another shape, type or device; on a CPU also codes out of range.
        """
        codes = self._checked_codes(codes)
        with self._running(grad), self._in_range():
            return self._whole_frames(self._decode(codes), codes.shape[-1])

    def tokens(
        self, codes: Any, num_samples: int | None = None, sample_rate: int | None = None
    ) -> Tokens:
        """Tokens of given codes, e.g. from a language model.

        Args:
            codes: integers (C, K, T), (K, T), or (T,) of a codec with one codebook: a tensor, an
                array or lists. K is one of the card's codebook_counts.
            num_samples: length of the sound at `sample_rate`; None: that of whole frames.
            sample_rate: Hz; None: sample_rate_in.

        Raises:
            CodecError: codes of another shape or type, or a length that does not fit them.
            TokensError: codes out of range.
        """
        card, rate = self.card, sample_rate or self.card.sample_rate_in
        if isinstance(codes, Tokens):
            raise CodecError(f"{codes} are Tokens already: give their codes, tokens.codes")
        try:
            tensor = torch.as_tensor(codes, device="cpu")
        except (TypeError, ValueError, RuntimeError) as reason:
            raise CodecError(f"these are no codes: {str(reason).splitlines()[0]}") from None
        if tensor.ndim == 1 and card.num_codebooks == 1:
            tensor = tensor[None]
        tensor = tensor[None] if tensor.ndim == 2 else tensor
        whole = not (
            tensor.is_floating_point() or tensor.is_complex() or tensor.dtype == torch.bool
        )
        if not whole or tensor.ndim != 3 or tensor.shape[1] not in card.codebook_counts:
            raise CodecError(
                f"codes {tensor.dtype} of shape {tuple(tensor.shape)}: {card.name} has integers "
                f"(channels, codebooks, frames), {' or '.join(map(str, card.codebook_counts))} "
                "codebooks"
            )
        if num_samples is None:
            if card.byte_stream:
                raise CodecError(f"{card.name} is a byte stream: say num_samples of its codes")
            length = tensor.shape[2] * card.hop_length
            num_samples = length * rate // card.sample_rate_in
        count = tensor.shape[1]
        about = (card.name, self.fingerprint, num_samples, rate)
        tokens = Tokens(tensor.long(), *about, **card.layout(count))
        self._check(tokens)
        return tokens

    # --- checks ----------------------------------------------------------------------------------

    def _running(self, grad: bool = False) -> AbstractContextManager:
        if grad and self.RUNTIME is not None:
            raise CodecError(
                f"{self.card.name} has no gradients: {self.RUNTIME} runs its network; "
                "leave out grad=True"
            )
        return inference(self.network, self.device, self.fast, grad)

    def _without(self, what: str) -> CodecError:
        return CodecError(f"{self.card.name} has no {what}: {self.NO_LATENTS}")

    def _encode_lengths(self, waveform: Tensor, lengths: list[int]) -> Tensor:
        name, longest = self.card.name, waveform.shape[-1]
        if not self.ragged:
            raise CodecError(f"{name} codes clips of one length only: leave out lengths")
        if len(lengths) != len(waveform) or not all(0 < n <= longest for n in lengths):
            raise CodecError(f"lengths {lengths} are not {len(waveform)} of 1 to {longest} samples")
        frames = [self.num_frames(length) for length in lengths]
        codes = self._encode_ragged(waveform, lengths)
        for row, (length, count) in enumerate(zip(lengths, frames, strict=True)):
            if count < batches.MIN_FRAMES:  # networks pad short clips in other ways
                codes[row, :, :count] = self._encode(waveform[row, None, :, :length])[0]
            codes[row, :, count:] = -1
        return codes

    def _check_tensor(self, tensor: Tensor, what: str, shape: str) -> None:
        name = self.card.name
        if self.NO_TENSORS is not None:
            raise CodecError(f"{name} does not work on tensors: {self.NO_TENSORS}")
        if not isinstance(tensor, Tensor) or tensor.ndim != 3 or not tensor.numel():
            actual = tuple(getattr(tensor, "shape", ())) or type(tensor).__name__
            raise CodecError(f"{what} of {name} are a tensor {shape}, not {actual}")
        expected, actual = self.device, tensor.device
        if expected.type != actual.type or (expected.index or 0) != (actual.index or 0):
            raise CodecError(
                f"{what} are on {actual}, {name} is on {expected}: move one with .to()"
            )

    def _check_waveform(self, waveform: Tensor) -> None:
        channels = self.card.channels
        self._check_tensor(waveform, "waveforms", f"(batch, {channels}, samples)")
        if waveform.shape[1] != channels or not waveform.is_floating_point():
            raise CodecError(
                f"a waveform {waveform.dtype} of shape {tuple(waveform.shape)}: {self.card.name} "
                f"takes floats (batch, {channels}, samples) at {self.card.sample_rate_in} Hz"
            )

    def _checked_codes(self, codes: Tensor) -> Tensor:
        card = self.card
        self._check_tensor(codes, "codes", f"(batch, {card.num_codebooks}, frames)")
        whole = not (codes.is_floating_point() or codes.is_complex() or codes.dtype == torch.bool)
        if not whole or codes.shape[1] not in card.codebook_counts:
            raise CodecError(
                f"codes {codes.dtype} of shape {tuple(codes.shape)}: {card.name} takes integers "
                f"(batch, codebooks, frames) of {' or '.join(map(str, card.codebook_counts))} "
                "codebooks"
            )
        return codes.long()

    @contextmanager
    def _in_range(self) -> Iterator[None]:
        """Turn the layers' errors about codes out of range into a CodecError."""
        try:
            yield
        except (IndexError, ValueError) as reason:
            raise CodecError(
                f"{self.card.name} cannot look up these codes ({' '.join(str(reason).split())}): "
                f"expected 0 to size - 1, for codebooks of {self.card.codebook_sizes}"
            ) from reason

    def _whole_frames(self, waveform: Tensor, num_frames: int) -> Tensor:
        card = self.card
        if card.byte_stream:
            return waveform
        hop = card.hop_length * card.sample_rate_out // card.sample_rate_in
        return waveform[..., : num_frames * hop]
