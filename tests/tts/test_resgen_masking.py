"""Masks of ResGen follow the law of the paper, and are prefixes."""

import itertools
import math

import pytest
import torch
from scipy import stats

from audiotok.tts.resgen.masking import draw_visible, is_visible, masked_count, spread


@pytest.mark.parametrize(("capacities", "count"), [((4, 4, 4), 5), ((3, 0, 1, 4), 6)])
def test_counts_follow_the_multivariate_hypergeometric_law(capacities, count):
    """Every allocation as often as prod C(D_i, k_i) / C(sum D_i, n), by chi-square."""
    generator = torch.Generator().manual_seed(0)
    draws, tensor = 3000, torch.tensor(capacities)
    seen: dict[tuple[int, ...], int] = {}
    for _ in range(draws):
        one = tuple(spread(count, tensor, generator).tolist())
        seen[one] = seen.get(one, 0) + 1
    ways = {
        ks: math.prod(map(math.comb, capacities, ks))
        for ks in itertools.product(*(range(c + 1) for c in capacities))
        if sum(ks) == count
    }
    assert seen.keys() <= ways.keys()
    expected = [draws * n / math.comb(sum(capacities), count) for n in ways.values()]
    found = [seen.get(ks, 0) for ks in ways]
    assert stats.chisquare(found, expected).pvalue > 0.01
    uniform = [draws / len(ways)] * len(ways)  # not the law: the test would see it
    assert stats.chisquare(found, uniform).pvalue < 1e-6


def test_the_number_masked_follows_the_circle():
    assert [masked_count(r, 100) for r in (0, 0.28, 0.6, 0.8, 1)] == [100, 96, 80, 60, 0]
    assert [masked_count(t / 16, 46 * 150) for t in (0, 16)] == [6900, 0]
    generator = torch.Generator().manual_seed(0)
    masked = 160 - torch.stack([draw_visible(20, 8, generator).sum() for _ in range(2000)])
    # r is uniform: P(n <= m) = P(sqrt(1 - r^2) <= m / 160) = 1 - sqrt(1 - (m / 160)^2)
    counts = torch.arange(161)
    law = 1 - (1 - (counts / 160) ** 2).sqrt()
    found = (masked <= counts[:, None]).float().mean(1)
    assert (found - law).abs().max() < 0.035  # Kolmogorov: 1.56 / sqrt(2000), at .015


def test_every_mask_is_a_prefix():
    generator = torch.Generator().manual_seed(1)
    for _ in range(200):
        visible = draw_visible(7, 5, generator)
        shown = is_visible(visible, 5)
        assert shown.shape == (7, 5) and shown.sum() == visible.sum()
        assert (shown[:, 1:] <= shown[:, :-1]).all()
