"""Comparing codes with official code: equal but for near ties, which are counted."""

import torch

UNIT_ROUNDOFF = 2.0**-24  # of float32


def speech_like(batch, dimension, frames, seed=0):
    """Latents (B, D, T) that are smooth in time and of low rank, with some noise."""
    generator = torch.Generator().manual_seed(seed)
    drive = torch.randn(batch, 24, frames + 2, generator=generator)
    drive = drive[..., 2:] + drive[..., 1:-1] + drive[..., :-2]
    basis = torch.randn(dimension, 24, generator=torch.Generator().manual_seed(99)) / 24**0.5
    return basis @ drive + 0.1 * torch.randn(batch, dimension, frames, generator=generator)


def rows_of(latents):
    """(B, D, T) -> (B * T, D)."""
    return latents.transpose(1, 2).reshape(-1, latents.shape[1])


def drawn_codebooks(latents, num_codebooks, size, seed=1):
    """Codebooks (K, V, D) of residuals of other latents of the same kind, each a bit off."""
    generator = torch.Generator().manual_seed(seed)
    residual, codebooks = rows_of(latents), []
    for _ in range(num_codebooks):
        chosen = residual[torch.randperm(len(residual), generator=generator)[:size]]
        noise = torch.randn(chosen.shape, generator=generator)
        codebooks.append(chosen + 0.1 * chosen.std() * noise)
        residual = residual - codebooks[-1][torch.cdist(residual, codebooks[-1]).argmin(1)]
    return torch.stack(codebooks)


def euclidean_margin(rows, codebook):
    """How far each row (N, D) is from a near tie: the gap of the two best squared distances in
    fp64 minus twice the rounding bound of |x|^2 - 2 x.c + |c|^2 in fp32, roots and all."""
    rows, codebook = rows.double(), codebook.double()
    best = torch.cdist(rows, codebook, compute_mode="donot_use_mm_for_euclid_dist").topk(
        2, largest=False
    )
    gap = best.values.square().diff(dim=1)[:, 0]
    largest = rows.norm(dim=1) + codebook.norm(dim=1).max()
    return gap - 2 * (rows.shape[1] + 8) * UNIT_ROUNDOFF * largest.square()


def cosine_margin(rows, codebook, official_rows=None):
    """The same for squared distances of normalised rows and codewords.

    `official_rows` are the rows that the official code searched, where its residuals differ from
    ours by rounding: every distance moves by up to four times the distance between directions.
    """
    rows, codebook = (torch.nn.functional.normalize(x.double()) for x in (rows, codebook))
    best = (rows @ codebook.T).topk(2).values
    bound = (8 * rows.shape[1] + 32) * UNIT_ROUNDOFF
    margin = 2 * (best[:, 0] - best[:, 1]) - 2 * bound
    if official_rows is not None:
        official = torch.nn.functional.normalize(official_rows.double())
        margin = margin - 4 * (rows - official).norm(dim=1)
    return margin


def near_ties(ours, theirs, margins, least=0.98, distinct=100):
    """Assert that codes (B, K, T) agree wherever they must; how many near ties there were.

    `margins` (K, B * T) are those of the rows that our stages searched. A residual stack is judged
    up to the first near tie of a frame; `least` is the share of codes that must be left to judge,
    `distinct` the number of codes that each codebook must use.
    """
    assert ours.shape == theirs.shape
    for codebook in ours.unbind(1):
        assert codebook.unique().numel() >= distinct
    near = (torch.as_tensor(margins) <= 0).view(ours.shape[1], ours.shape[0], -1).transpose(0, 1)
    judged = near.cummax(dim=1).values.logical_not()
    assert torch.equal(ours[judged], theirs[judged])
    assert judged.float().mean() > least  # the comparison is not an empty one
    return int(near.sum())


def assert_close_to_peak(ours, theirs):
    """Equal to 1e-5 of the peak."""
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()
