"""A mixture of Gaussians over latents z (H,), with low-rank means, for each frame.

z~ = (z - b) / a has components of mean mu_v = M_v m_v + s_v and unit covariance: a scalar scale a,
a shift b and coordinates m_v (h,) come from the network, M_v (H, h) and s_v (H,) are weights. By
the change of variables, log p(z) = log sum_v pi_v N(z~; mu_v, I) - H log a; the paper prints
log a without H, and twice.

N frames and K components never make a tensor (N, K, H): distances come from the expansion
|z~ - mu_v|^2 = |z~ - s_v|^2 + m_v'(M_v'M_v m_v - 2 M_v'(z~ - s_v)), with the products multiplied
out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Bound:
    """An upper bound on -log p(z) in nats, for N latents.

    Attributes:
        regression: sum over v of q_v (-log N(z; v)) (N,), with +H log a.
        classification: KL(q || pi) (N,).
    """

    regression: Tensor
    classification: Tensor

    @property
    def total(self) -> Tensor:
        return self.regression + self.classification


@dataclass(frozen=True)
class Mixture:
    """The mixtures of N frames.

    Attributes:
        logits: of the components (N, K).
        coordinates: m_v (N, K, h).
        log_scale: log a (N,).
        shift: b (N, H).
        bases: M_v (K, H, h).
        offsets: s_v (K, H).
    """

    logits: Tensor
    coordinates: Tensor
    log_scale: Tensor
    shift: Tensor
    bases: Tensor
    offsets: Tensor

    def distances(self, latents: Tensor) -> Tensor:
        """|z~ - mu_v|^2 (N, K) of latents (N, H)."""
        scaled = (latents - self.shift) * torch.exp(-self.log_scale)[:, None]
        components, _, rank = self.bases.shape
        flat = self.bases.transpose(1, 2).flatten(0, 1)  # (K h, H)
        projected = (scaled @ flat.T).unflatten(1, (components, rank))
        projected = projected - torch.einsum("khr,kh->kr", self.bases, self.offsets)
        gram = self.bases.transpose(1, 2) @ self.bases  # (K, h, h)
        moved = torch.einsum("nkr,krs->nks", self.coordinates, gram)
        low_rank = (self.coordinates * (moved - 2 * projected)).sum(2)
        square = scaled.square().sum(1, keepdim=True) + self.offsets.square().sum(1)
        return square - 2 * scaled @ self.offsets.T + low_rank

    def bound(self, latents: Tensor, q_gradient: bool = False) -> Bound:
        """The bound of the paper on -log p of latents (N, H): q_v ~ N(z~; mu_v, I), without pi.

        Args:
            q_gradient: let gradients through q. The paper does not say; q minimises the sum of the
                first term and of q log q, so it matters only for the share -q log pi of the second.
        """
        half = self.distances(latents) / 2
        log_q = (-half).log_softmax(1)
        if not q_gradient:
            log_q = log_q.detach()
        q = log_q.exp()
        regression = (q * half).sum(1) + self._constant(latents)
        return Bound(regression, (q * (log_q - self.logits.log_softmax(1))).sum(1))

    def log_density(self, latents: Tensor) -> Tensor:
        """log p(z) (N,) of latents (N, H), exact."""
        components = self.logits.log_softmax(1) - self.distances(latents) / 2
        return components.logsumexp(1) - self._constant(latents)

    def means(self, components: Tensor) -> Tensor:
        """b + a mu_v (N, H) of one component v (N,) for each frame."""
        rows = torch.arange(len(components), device=components.device)
        coordinates = self.coordinates[rows, components]
        means = torch.einsum("nhr,nr->nh", self.bases[components], coordinates)
        return self.shift + self.log_scale.exp()[:, None] * (means + self.offsets[components])

    def _constant(self, latents: Tensor) -> Tensor:
        """-log N(z; v) without half the distance: H/2 log 2 pi + H log a, (N,)."""
        return latents.shape[1] * (0.5 * math.log(2 * math.pi) + self.log_scale)


def guided(
    conditional: tuple[Tensor, Tensor], unconditional: tuple[Tensor, Tensor], weight: float
) -> tuple[Tensor, Tensor]:
    """Mean (N, H) and log scale (N,) of p_c^(1+w) / p_u^w, both isotropic: (mean, log scale).

    Precision (1+w)/a_c^2 - w/a_u^2; where it is not positive there is no such Gaussian, and the
    conditional one is returned. The choice of the same component on both sides is that of GIVT
    (arXiv 2312.02116); the paper does not say how guidance combines mixtures.
    """
    (mean_c, log_c), (mean_u, log_u) = conditional, unconditional
    precision_c, precision_u = (1 + weight) * torch.exp(-2 * log_c), weight * torch.exp(-2 * log_u)
    precision = precision_c - precision_u
    proper = precision > 0
    safe = precision.where(proper, torch.ones_like(precision))
    mean = (precision_c[:, None] * mean_c - precision_u[:, None] * mean_u) / safe[:, None]
    return mean.where(proper[:, None], mean_c), (-0.5 * safe.log()).where(proper, log_c)


class MixtureHead(nn.Module):
    """Hidden (N, C) -> the mixtures of N frames, in the type of the weights.

    Args:
        dimension: C.
        latents: H.
        components: K.
        rank: h.
    """

    def __init__(self, dimension: int, latents: int, components: int, rank: int):
        super().__init__()
        self.sizes = components, components * rank, 1, latents
        self.out = nn.Linear(dimension, sum(self.sizes))
        self.bases = nn.Parameter(torch.randn(components, latents, rank) * rank**-0.5)
        self.offsets = nn.Parameter(torch.randn(components, latents) * 0.3)
        nn.init.normal_(self.out.weight, std=0.02)
        nn.init.zeros_(self.out.bias)

    def forward(self, hidden: Tensor) -> Mixture:
        with torch.autocast(hidden.device.type, enabled=False):
            out = F.linear(hidden.to(self.out.weight), self.out.weight, self.out.bias)
        logits, coordinates, log_scale, shift = out.split(self.sizes, 1)
        coordinates = coordinates.unflatten(1, (self.sizes[0], -1))
        return Mixture(logits, coordinates, log_scale[:, 0], shift, self.bases, self.offsets)
