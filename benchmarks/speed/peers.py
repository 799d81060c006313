"""Common implementations of codebook search, each as a function of the same tensors.

A search takes latents (N, D) and gives codes (N, K) for codebooks (K, V, D). Formulas that are
copied from a package because it does not offer them alone say where they are from.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import torch
from torch import Tensor
from torch.nn import functional as F

Search = Callable[[Tensor], Tensor]


def searches(codebooks: Tensor) -> dict[str, Search]:
    """{peer: search} for codebooks (K, V, D), of the peers that are installed."""
    available: dict[str, Search] = {
        "torch.cdist": lambda latents: _stack(latents, codebooks, _cdist),
        "addmm": lambda latents: _stack(latents, codebooks, _addmm),
    }
    if codebooks.device.type == "cuda":
        available["addmm TF32"] = _in_tf32(available["addmm"])
    for name, build in [
        ("encodec", _encodec),
        ("vector-quantize-pytorch", _vector_quantize_pytorch),
        ("FAISS (CPU)", _faiss),
    ]:
        with suppress(ImportError):
            available[name] = build(codebooks)
    return available


def _stack(latents: Tensor, codebooks: Tensor, search: Callable) -> Tensor:
    codes, residual = [], latents
    for codebook in codebooks:
        codes.append(search(residual, codebook))
        residual = residual - F.embedding(codes[-1], codebook)
    return torch.stack(codes, dim=1)


def _cdist(latents: Tensor, codebook: Tensor) -> Tensor:
    return torch.cdist(latents[None], codebook[None])[0].argmin(dim=1)


def _addmm(latents: Tensor, codebook: Tensor) -> Tensor:
    half_norms = codebook.square().sum(dim=1) / 2
    return torch.addmm(half_norms, latents, codebook.T, alpha=-1).argmin(dim=1)


def _in_tf32(search: Search) -> Search:
    def run(latents: Tensor) -> Tensor:
        before = torch.backends.cuda.matmul.fp32_precision
        torch.backends.cuda.matmul.fp32_precision = "tf32"
        try:
            return search(latents)
        finally:
            torch.backends.cuda.matmul.fp32_precision = before

    return run


def _encodec(codebooks: Tensor) -> Search:
    from encodec.quantization.core_vq import ResidualVectorQuantization

    stages, size, width = codebooks.shape
    network = ResidualVectorQuantization(
        num_quantizers=stages, dim=width, codebook_size=size, kmeans_init=False
    ).eval()
    for layer, codebook in zip(network.layers, codebooks, strict=True):
        layer._codebook.embed.copy_(codebook)
    network.to(codebooks.device)
    return lambda latents: network.encode(latents.T[None], n_q=stages)[:, 0].T


def _vector_quantize_pytorch(codebooks: Tensor) -> Search:
    from vector_quantize_pytorch import ResidualVQ

    stages, size, width = codebooks.shape
    network = ResidualVQ(dim=width, num_quantizers=stages, codebook_size=size).eval()
    for layer, codebook in zip(network.layers, codebooks, strict=True):
        layer._codebook.embed.copy_(codebook[None])
    network.to(codebooks.device)
    return lambda latents: network(latents[None])[1][0]


def _faiss(codebooks: Tensor) -> Search:
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    indices = []
    for codebook in codebooks:
        index = faiss.IndexFlatL2(codebook.shape[1])
        index.add(codebook.cpu().numpy())
        indices.append(index)

    def run(latents: Tensor) -> Tensor:
        codes, residual = [], latents.cpu().numpy()
        for index, codebook in zip(indices, codebooks, strict=True):
            nearest = torch.from_numpy(index.search(residual, 1)[1][:, 0])
            codes.append(nearest)
            if len(codes) < len(indices):
                residual = residual - codebook.cpu()[nearest].numpy()
        return torch.stack(codes, dim=1)

    return run


def projected_quantizers(
    stages: int, size: int, width: int, device: str
) -> dict[str, Callable[[Tensor], Tensor]]:
    """{name: latents (1, 1024, N) to codes (1, K, N)} of DAC, projections included: ours and that
    of transformers, if it is installed, with the same weights."""
    from audiotok.nn.quantizers import FactorizedResidualQuantizer

    quantizer = FactorizedResidualQuantizer(stages, size, 1024, width).to(device).eval()
    quantizers = {"audiotok": quantizer.encode}
    with suppress(ImportError):
        from transformers.models.dac import modeling_dac as dac

        config = dac.DacConfig(
            n_codebooks=stages, codebook_size=size, codebook_dim=width, hidden_size=1024
        )
        peer = dac.DacResidualVectorQuantizer(config).to(device).eval()
        for source, stage in zip(quantizer.stages, peer.quantizers, strict=True):
            stage.in_proj.load_state_dict(source.in_proj.state_dict())
            stage.out_proj.load_state_dict(source.out_proj.state_dict())
            stage.codebook.weight.copy_(source.codebook)
        quantizers["transformers"] = lambda latents: peer(latents)[1]
    return quantizers


def decode_by_embedding(codes: Tensor, codebooks: Tensor) -> Tensor:
    """Codes (N, K) to vectors (N, D), one embedding after another."""
    total = torch.zeros((), device=codebooks.device)
    for k, codebook in enumerate(codebooks):
        total = total + F.embedding(codes[:, k], codebook)
    return total


def update_by_one_hot(
    codebook: Tensor, counts: Tensor, sums: Tensor, latents: Tensor, codes: Tensor, decay: float
) -> None:
    """encodec 0.1.1's `EuclideanCodebook.forward`, from the one-hot matrix on."""
    one_hot = F.one_hot(codes, len(codebook)).type(latents.dtype)
    counts.mul_(decay).add_(one_hot.sum(0), alpha=1 - decay)
    sums.mul_(decay).add_((latents.t() @ one_hot).t(), alpha=1 - decay)
    smoothed = (counts + 1e-5) / (counts.sum() + len(codebook) * 1e-5) * counts.sum()
    codebook.copy_(sums / smoothed[:, None])


def update_by_index_add(
    codebook: Tensor, counts: Tensor, sums: Tensor, latents: Tensor, codes: Tensor, decay: float
) -> None:
    """The same with `index_add_` in place of the matrix (atomics on a GPU: not repeatable)."""
    new_counts = torch.bincount(codes, minlength=len(codebook)).type(latents.dtype)
    counts.mul_(decay).add_(new_counts, alpha=1 - decay)
    new_sums = torch.zeros_like(sums).index_add_(0, codes, latents)
    sums.mul_(decay).add_(new_sums, alpha=1 - decay)
    smoothed = (counts + 1e-5) / (counts.sum() + len(codebook) * 1e-5) * counts.sum()
    codebook.copy_(sums / smoothed[:, None])
