"""Loss balancer: a loss's share of the gradient is given by its weight, not by its scale.

Défossez et al. 2022 (EnCodec), arXiv 2210.13438, section 3.4, equation 4.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, autograd, nn

from audiotok.kernels import Processes

_EPSILON = 1e-12


class Balancer(nn.Module):
    """Replaces the gradient g_i of each loss by R * w_i / sum(w) * g_i / <|g_i|>.

    Gradients are with respect to the output of the network; |g_i| is the mean over the batch of
    the norms of each clip's gradient, <.> its moving average, corrected for its start at zero. The
    state dict holds the averages, so that a run can be resumed.

    Args:
        weights: w_i of each loss by name, positive.
        total_norm: R.
        decay: of the moving average.
    """

    def __init__(self, weights: Mapping[str, float], total_norm: float = 1.0, decay: float = 0.999):
        super().__init__()
        if not weights or min(weights.values()) <= 0:
            raise ValueError(f"weights {dict(weights)}: expected a positive one for each loss")
        self.weights = dict(weights)
        self.total_norm, self.decay = total_norm, decay
        self.register_buffer("sums", torch.zeros(len(weights), dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(len(weights), dtype=torch.float64))

    def backward(
        self,
        losses: Mapping[str, Tensor],
        output: Tensor,
        unbalanced: Tensor | None = None,
        processes: Processes | None = None,
    ) -> dict[str, Tensor]:
        """Backpropagate the balanced gradients of `losses` through the network.

        Args:
            losses: scalars by name that depend on `output` (B, ...) only. They may be some of
                `weights` if not all are computed in this step; shares are then among these.
            output: of the network.
            unbalanced: a scalar that does not depend on `output`, such as a commitment loss; its
                gradient is added unchanged.
            processes: the processes that train this network; norms are averaged over them.

        Returns:
            The norm |g_i| of each loss, averaged over time.

        Raises:
            ValueError: a loss has no weight.
        """
        if unknown := sorted(set(losses) - set(self.weights)):
            raise ValueError(
                f"losses {unknown} have no weight: expected some of {list(self.weights)}"
            )
        gradients = {
            name: autograd.grad(loss, [output], retain_graph=True)[0]
            for name, loss in losses.items()
        }
        norms = self._averaged(gradients, processes)
        total_weight = sum(self.weights[name] for name in losses)
        balanced = torch.zeros_like(output)
        for name, gradient in gradients.items():
            scale = self.weights[name] / total_weight * self.total_norm / (norms[name] + _EPSILON)
            balanced += gradient * scale.to(gradient.dtype)
        if unbalanced is None:
            autograd.backward([output], [balanced])
        else:
            autograd.backward([output, unbalanced], [balanced, torch.ones_like(unbalanced)])
        return norms

    @torch.no_grad()
    def _averaged(
        self, gradients: Mapping[str, Tensor], processes: Processes | None
    ) -> dict[str, Tensor]:
        norms = torch.stack([g.flatten(1).norm(dim=1).mean() for g in gradients.values()])
        if processes is not None:
            norms = processes.sum(norms) / processes.count
        order = list(self.weights)
        indices = torch.tensor([order.index(name) for name in gradients], device=norms.device)
        self.sums[indices] = self.sums[indices] * self.decay + norms.double()
        self.counts[indices] = self.counts[indices] * self.decay + 1
        averages = self.sums[indices] / self.counts[indices]
        return dict(zip(gradients, averages.unbind(), strict=True))
