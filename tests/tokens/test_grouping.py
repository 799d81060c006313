"""Several small codebooks as one large one, exactly."""

import itertools

import pytest
import torch

from audiotok.errors import TokensError
from audiotok.tokens.grouping import Grouping


@pytest.mark.parametrize("sizes, size", [((16, 16), 2), ((2, 3, 4), 3), ((5, 2, 3, 7), 2)])
def test_it_is_a_bijection(sizes, size):
    grouping = Grouping(sizes, size)
    codes = torch.tensor(list(itertools.product(*map(range, sizes)))).T
    tokens = grouping.join(codes)
    assert torch.equal(grouping.split(tokens), codes)
    assert len(set(map(tuple, tokens.T.tolist()))) == codes.shape[1]
    assert tokens.max(1).values.tolist() == [n - 1 for n in grouping.sizes]
    assert torch.equal(grouping.join(codes[None]), tokens[None])


def test_the_first_codebook_is_the_most_significant_digit():
    codes = torch.tensor([[3], [1], [0], [15]])
    assert Grouping((16,) * 4, 2).join(codes).tolist() == [[49], [15]]


@pytest.mark.parametrize("sizes, size", [((4, 4, 4), 2), ((4,), 0), ((2**16,) * 2, 2)])
def test_groups_that_cannot_be_are_refused(sizes, size):
    with pytest.raises(TokensError):
        Grouping(sizes, size)


def test_codes_out_of_range_are_refused():
    grouping = Grouping((4, 4), 2)
    for codes in ([[4], [0]], [[-1], [0]], [[0]]):
        with pytest.raises(TokensError, match="expected"):
            grouping.join(torch.tensor(codes))
    with pytest.raises(TokensError, match="expected 0 up to below"):
        grouping.split(torch.tensor([[16]]))
