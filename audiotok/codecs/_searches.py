"""Stand-ins for the quantizers of networks from transformers.

The layers stay those of the wrapped network and search as they do. What a stand-in adds is float32
also under autocast, no more codebooks than are wanted, merged rates (the pooling of
`nn/quantizers/strided.py` before each search, the residual from the latents as they were before
it), and -1 where latents are not finite. No host read is added.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from audiotok.nn.quantizers.strided import pool, repeat


class _Reached(Exception):
    """A network has come to its quantizer."""

    def __init__(self, latents: Tensor):
        self.latents = latents


_thread = threading.local()


def latents_of(encode: Callable[[], object]) -> Tensor:
    """What a network that encodes hands to the stand-in for its quantizer, which stops it there."""
    _thread.stops = True
    try:
        encode()
    except _Reached as reached:
        return reached.latents
    finally:
        _thread.stops = False
    raise RuntimeError("the network does not call the stand-in for its quantizer")


def _stop_at(latents: Tensor) -> None:
    if getattr(_thread, "stops", False):
        raise _Reached(latents)


def full_precision(device: torch.device) -> torch.autocast:
    """Inside of it autocast is off: what is float32 stays float32."""
    return torch.autocast(device.type, enabled=False)


def residual_codes(layers: Iterable[nn.Module], latents: Tensor, strides: Sequence[int]) -> Tensor:
    """Latents (B, D, T) float32 -> codes (B, len(strides), T) int64 of as many layers.

    Args:
        layers: each with `encode`, (B, D, T) -> codes (B, T), and `decode`, the way back.
        strides: frames that share a code, for each layer that is wanted.
    """
    residual, num_frames, found = latents, latents.shape[-1], []
    for layer, stride in zip(layers, strides, strict=False):
        pooled = pool(residual, stride)
        codes = layer.encode(pooled)
        residual = residual - repeat(layer.decode(codes), stride, num_frames)
        codes = torch.where(pooled.isfinite().all(1), codes, -1)
        found.append(repeat(codes, stride, num_frames))
    return torch.stack(found, 1)


class ResidualSearch(nn.Module):
    """For X-Codec and its kin: `encode` gives codes (K, B, T), as theirs does."""

    def __init__(self, quantizer: nn.Module, strides: Sequence[int]):
        super().__init__()
        self.quantizer, self.strides = quantizer, tuple(strides)

    def encode(self, latents: Tensor, bandwidth: float | None = None) -> Tensor:
        """Latents (B, D, T) -> codes (K, B, T); the bandwidth is not looked at, the strides are."""
        _stop_at(latents)
        with full_precision(latents.device):
            codes = residual_codes(self.quantizer.quantizers, latents.float(), self.strides)
        return codes.transpose(0, 1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (k, B, T) -> quantized (B, D, T)."""
        return self.quantizer.decode(codes)


class SingleSearch(nn.Module):
    """For WavTokenizer: one codebook."""

    def __init__(self, quantizer: nn.Module, strides: Sequence[int]):
        super().__init__()
        self.quantizer, self.strides = quantizer, tuple(strides)

    def encode(self, latents: Tensor) -> Tensor:
        """Latents (B, D, T) -> codes (B, T)."""
        _stop_at(latents)
        with full_precision(latents.device):
            return residual_codes([self.quantizer], latents.float(), self.strides)[:, 0]

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, T) -> quantized (B, D, T)."""
        return self.quantizer.decode(codes)


class SplitSearch(nn.Module):
    """For Mimi: a semantic and an acoustic stack side by side, which search the same latents."""

    def __init__(self, quantizer: nn.Module, strides: Sequence[int]):
        super().__init__()
        self.quantizer, self.strides = quantizer, tuple(strides)

    def encode(self, latents: Tensor, num_quantizers: int | None = None) -> Tensor:
        """Latents (B, D, T) -> codes (K, B, T); as many codebooks as there are strides."""
        _stop_at(latents)
        semantic = self.quantizer.semantic_residual_vector_quantizer
        acoustic = self.quantizer.acoustic_residual_vector_quantizer
        split = len(semantic.layers)
        codes = []
        with full_precision(latents.device):
            for stack, strides in (
                (semantic, self.strides[:split]),
                (acoustic, self.strides[split:]),
            ):
                if strides:
                    projected = latents.float()
                    if stack.input_proj is not None:
                        projected = stack.input_proj(projected)
                    codes.append(residual_codes(stack.layers, projected, strides))
        return torch.cat(codes, 1).transpose(0, 1)

    def decode(self, codes: Tensor) -> Tensor:
        """Codes (B, k, T) -> quantized (B, D, T)."""
        return self.quantizer.decode(codes)


class ScalarSearch(nn.Module):
    """For X-Codec 2 and its kin: finite scalar quantization behind a projection."""

    def __init__(self, quantizer: nn.Module):
        super().__init__()
        self.quantizer = quantizer

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (B, T, D) -> quantized (B, T, D), codes (B, T, 1)."""
        _stop_at(latents)
        with full_precision(latents.device):
            quantized, codes = self.quantizer(latents.float())
        return quantized, torch.where(latents.isfinite().all(-1, keepdim=True), codes, -1)

    def from_codes(self, codes: Tensor) -> Tensor:
        """Codes (B, T, 1) -> quantized (B, T, D)."""
        return self.quantizer.from_codes(codes)


class FactorizedSearch(nn.Module):
    """For DAC: residual, each stage in a projection to a few dimensions; rates are not merged."""

    def __init__(self, quantizer: nn.Module, num_codebooks: int):
        super().__init__()
        self.quantizer, self.num_codebooks = quantizer, num_codebooks

    def forward(self, latents: Tensor, n_quantizers: int | None = None) -> tuple[Tensor, ...]:
        """Latents (B, D, T) -> quantized (B, D, T), codes (B, K, T), what else DAC's own gives."""
        _stop_at(latents)
        with full_precision(latents.device):
            quantized, codes, projected, *losses = self.quantizer(
                latents.float(), self.num_codebooks
            )
        finite = projected.unflatten(1, (self.num_codebooks, -1)).isfinite().all(2)
        return quantized, torch.where(finite, codes, -1), projected, *losses

    def from_codes(self, codes: Tensor) -> tuple[Tensor, ...]:
        """Codes (B, k, T) -> quantized (B, D, T) first of all."""
        return self.quantizer.from_codes(codes)
