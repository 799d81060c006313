"""Replacements for the quantizers of networks from transformers.

A replacement calls the layers of the wrapped network, which do the search. It adds: float32 also
under autocast, only the requested number of codebooks, merged rates (as in
`nn/quantizers/strided.py`: latents are pooled before each search, and the codeword is subtracted
from the latents before pooling), and -1 where latents are not finite. It adds no device-to-host
synchronisation.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from audiotok.nn.quantizers.strided import pool, repeat


class _Reached(Exception):
    """Raised where a network calls its quantizer; carries the latents."""

    def __init__(self, latents: Tensor):
        self.latents = latents


_thread = threading.local()


def latents_of(encode: Callable[[], object]) -> Tensor:
    """The latents that `encode` passes to the quantizer of its network; it stops there."""
    _thread.stops = True
    try:
        encode()
    except _Reached as reached:
        return reached.latents
    finally:
        _thread.stops = False
    raise RuntimeError("the network does not call the replacement of its quantizer")


def _stop_at(latents: Tensor) -> None:
    if getattr(_thread, "stops", False):
        raise _Reached(latents)


def full_precision(device: torch.device) -> torch.autocast:
    """A context without autocast: float32 stays float32."""
    return torch.autocast(device.type, enabled=False)


def residual_codes(layers: Iterable[nn.Module], latents: Tensor, strides: Sequence[int]) -> Tensor:
    """Latents (B, D, T) float32 -> codes (B, len(strides), T) int64 of as many layers.

    Args:
        layers: each with `encode`, (B, D, T) -> codes (B, T), and `decode`, its inverse.
        strides: frames that share a code, for each layer to use.
    """
    residual, num_frames, stages = latents, latents.shape[-1], []
    for layer, stride in zip(layers, strides, strict=False):
        pooled = pool(residual, stride)
        codes = layer.encode(pooled)
        residual = residual - repeat(layer.decode(codes), stride, num_frames)
        codes = torch.where(pooled.isfinite().all(1), codes, -1)
        stages.append(repeat(codes, stride, num_frames))
    return torch.stack(stages, 1)


class ResidualSearch(nn.Module):
    """For X-Codec and similar codecs: `encode` gives codes (K, B, T), as the original does."""

    def __init__(self, quantizer: nn.Module, strides: Sequence[int]):
        super().__init__()
        self.quantizer, self.strides = quantizer, tuple(strides)

    def encode(self, latents: Tensor, bandwidth: float | None = None) -> Tensor:
        """Latents (B, D, T) -> codes (K, B, T); the strides decide K, the bandwidth is ignored."""
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
    """For X-Codec 2 and similar codecs: finite scalar quantization after a projection."""

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
    """For DAC: residual stages, each with its own low-dimensional projection; no merged rates."""

    def __init__(self, quantizer: nn.Module, num_codebooks: int):
        super().__init__()
        self.quantizer, self.num_codebooks = quantizer, num_codebooks

    def forward(self, latents: Tensor, n_quantizers: int | None = None) -> tuple[Tensor, ...]:
        """Latents (B, D, T) -> quantized (B, D, T), codes (B, K, T), and DAC's other outputs."""
        _stop_at(latents)
        with full_precision(latents.device):
            quantized, codes, projected, *losses = self.quantizer(
                latents.float(), self.num_codebooks
            )
        finite = projected.unflatten(1, (self.num_codebooks, -1)).isfinite().all(2)
        return quantized, torch.where(finite, codes, -1), projected, *losses

    def from_codes(self, codes: Tensor) -> tuple[Tensor, ...]:
        """Codes (B, k, T) -> a tuple that starts with quantized (B, D, T)."""
        return self.quantizer.from_codes(codes)
