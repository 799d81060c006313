"""Shared parts of all quantizers: their results, and the conversion of latents to rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F


class Quantized(NamedTuple):
    """The result of a quantizer for latents (B, D, T); losses are scalars."""

    quantized: Tensor  # (B, D, T); gradients pass straight through to the latents
    codes: Tensor  # (B, K, T) int64, -1 where the latents are not finite
    commitment: Tensor  # mean squared distance of latents to codewords, summed over codebooks


class FactorizedQuantized(NamedTuple):
    """The same for codebooks that are trained by gradients."""

    quantized: Tensor
    codes: Tensor
    commitment: Tensor  # its gradient goes to the latents
    codebook_loss: Tensor  # the same value; its gradient goes to the codewords


class LookupFreeQuantized(NamedTuple):
    """The same without a codebook, with an entropy loss that keeps all codes in use."""

    quantized: Tensor
    codes: Tensor
    commitment: Tensor
    entropy_loss: Tensor  # nats: mean entropy of a frame minus that of the batch


def rows_of(latents: Tensor) -> Tensor:
    """Latents (B, D, T) -> the rows (B * T, D) float32 that a search takes."""
    return latents.float().transpose(1, 2).flatten(0, 1)


def straight_through(latents: Tensor, quantized: Tensor) -> Tensor:
    """Exactly the values of `quantized`, with the gradient of `latents` (finite, same shape).

    Bengio et al. 2013, arXiv 1308.3432.
    """
    return quantized.detach() + (latents - latents.detach())


def rotated(latents: Tensor, quantized: Tensor) -> Tensor:
    """As `straight_through`, but the gradient is turned and scaled as the quantized vector is
    turned and scaled from its latent: the rotation trick (Fifty et al. 2024, arXiv 2410.06424).

    Both (B, D, T); D is what is turned.
    """
    source, target = latents.detach(), quantized.detach()
    lengths = [tensor.norm(dim=1, keepdim=True).clamp(min=1e-6) for tensor in (source, target)]
    source, target = source / lengths[0], target / lengths[1]
    middle = F.normalize(source + target, dim=1, eps=1e-6)
    turned = (
        latents
        - 2 * middle * (middle * latents).sum(1, keepdim=True)
        + 2 * target * (source * latents).sum(1, keepdim=True)
    ) * (lengths[1] / lengths[0])
    return quantized.detach() + (turned - turned.detach())


GRADIENTS = {"straight_through": straight_through, "rotation": rotated}


def codewords(codes: Tensor, codebook: Tensor) -> Tensor:
    """Codes (B, T) -> codewords (B, D, T) of a codebook (V, D); code -1 gives NaN."""
    vectors = F.embedding(codes.clamp(min=0), codebook)
    return vectors.masked_fill((codes < 0)[..., None], float("nan")).transpose(1, 2)


def by_rows(decode: Callable[[Tensor], Tensor], codes: Tensor) -> Tensor:
    """Codes (B, K, T) -> vectors (B, D, T), by a function of rows of codes (N, K) -> (N, D)."""
    rows = codes.transpose(1, 2)
    if len(codes) == 1:  # without a change of shape: the export to ONNX would fix T
        return decode(rows[0]).T[None]
    vectors = decode(rows.flatten(0, 1))
    return vectors.unflatten(0, (codes.shape[0], codes.shape[2])).transpose(1, 2)


def codebooks_of(quantizer: nn.Module) -> list[Tensor]:
    """The codebooks (V, d) of any quantizer, in the order of its codes."""
    codebook = getattr(quantizer, "codebook", None)
    return list(quantizer.codebooks) if codebook is None else [codebook]


def summed(quantized: Tensor, codes: Tensor, parts: list[NamedTuple]) -> NamedTuple:
    """A result whose losses are the sums of the losses of its parts, which are of one type."""
    losses = (sum(values) for values in zip(*(part[2:] for part in parts), strict=True))
    return type(parts[0])(quantized, codes, *losses)


def losses_of(result: NamedTuple) -> dict[str, Tensor]:
    """The losses of a quantizer's result by name: "commitment", "codebook", "entropy"."""
    names = {"codebook_loss": "codebook", "entropy_loss": "entropy"}
    return {names.get(field, field): getattr(result, field) for field in result._fields[2:]}
