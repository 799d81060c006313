"""Latents and codebooks that are hard to search: what the property tests draw from."""

import torch
from hypothesis import strategies as st

SCALES = [
    0.0,
    1e-45,
    1e-42,
    1e-38,
    1e-30,
    1e-26,
    1e-23,
    1e-20,
    1e-3,
    1.0,
    1e6,
    1e15,
    1e18,
    3e19,
    1e38,
]


def draw(*shape, seed=0, scale=1.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale


def one_ulp_up(values, share, generator):
    """A share of the values, moved to the next float above."""
    moved = torch.rand(values.shape, generator=generator) < share
    return torch.where(moved, torch.nextafter(values, values.new_tensor(torch.inf)), values)


@st.composite
def problems(draw_from, rows=9, sizes=70, dimensions=40):
    """(latents (N, D), codebook (V, D)) of one of several kinds of nastiness."""
    n, v = draw_from(st.integers(0, rows)), draw_from(st.integers(1, sizes))
    d = draw_from(st.one_of(st.integers(1, dimensions), st.sampled_from([8, 16, 64, 129])))
    scale = draw_from(st.sampled_from(SCALES))
    offset = draw_from(st.sampled_from([0.0, 0.0, 1.0, 1e4]))
    generator = torch.Generator().manual_seed(draw_from(st.integers(0, 10**6)))

    def normal(*shape):
        return (torch.randn(*shape, generator=generator) + offset) * scale

    latents, codebook = normal(n, d), normal(v, d)
    kind = draw_from(
        st.sampled_from(["plain", "lattice", "duplicates", "ulps", "middle", "outlier", "broken"])
    )
    if kind == "lattice":  # exact ties between different codewords
        latents = torch.randint(-2, 3, (n, d), generator=generator).float()
        codebook = torch.randint(-2, 3, (v, d), generator=generator).float()
    if kind == "duplicates":
        codebook = codebook[torch.randint(0, max(1, v // 4), (v,), generator=generator)]
    if kind == "ulps":
        codebook = codebook[torch.randint(0, max(1, v // 4), (v,), generator=generator)]
        codebook = one_ulp_up(codebook, 0.1, generator)
    if kind in ("duplicates", "ulps", "middle") and n:
        a, b = torch.randint(0, v, (2, n), generator=generator)
        latents = codebook[a] / 2 + codebook[b] / 2
    if kind == "outlier":
        codebook[0] *= 1e4
    if kind == "broken":
        bad = torch.tensor([torch.nan, torch.inf, -torch.inf])
        for tensor in (latents, codebook):
            hit = torch.rand(tensor.shape, generator=generator) < 0.3 / d
            values = bad[torch.randint(0, 3, tensor.shape, generator=generator)]
            tensor.copy_(torch.where(hit, values, tensor))
    return latents, codebook
