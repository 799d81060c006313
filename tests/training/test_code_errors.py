"""Errors of codes: as many as asked for, from what was seen or from the nearest codewords."""

import torch

from audiotok.training.code_errors import CodeErrors, nearest
from audiotok.training.settings import ErrorsConfig


def made(strides=(1,), codewords=None, **settings):
    torch.manual_seed(0)
    return CodeErrors(ErrorsConfig(**{"rate": 0.2, "clips": 1.0} | settings), strides, codewords)


def test_the_nearest_are_those_of_all_distances():
    vectors = torch.randn(40, 3)
    table = nearest(vectors, 5)
    for code, found in enumerate(table):
        distances = (vectors - vectors[code]).square().sum(1)
        assert found.tolist() == distances.argsort()[1:6].tolist()
    assert nearest(vectors[:3], 16).shape == (3, 2)
    assert nearest(vectors[:1], 16).shape == (1, 0)


def test_neighbours_take_the_place_of_a_share_of_the_codes():
    vectors = [torch.randn(64, 4), torch.randn(64, 4)]
    errors = made((1, 1), vectors, kind="neighbours", neighbours=3, clips=0.5)
    codes = torch.randint(64, (400, 2, 50))
    found = errors(codes)
    wrong = found != codes
    per_clip = wrong.double().mean((1, 2))
    hit = per_clip > 0
    assert abs(hit.double().mean() - 0.5) < 0.1
    assert abs(per_clip[hit].mean() - 0.2) < 0.02
    for k in range(2):
        table = nearest(vectors[k], 3)
        pairs = zip(codes[:, k][wrong[:, k]], found[:, k][wrong[:, k]], strict=True)
        assert all(new in table[old] for old, new in pairs)


def test_bigrams_follow_what_was_seen():
    errors = made(rate=1.0)
    errors.learn(torch.tensor([[[0, 1, 2, 0, 1, 3]]]))
    drawn = [
        errors.with_errors(torch.tensor([[[9, 0, 9, 1, 9]]]))[0, 0].tolist() for _ in range(200)
    ]
    assert {row[2] for row in drawn} == {1}  # after 0 came 1 alone
    shares = [sum(row[4] == code for row in drawn) / 200 for code in (2, 3)]
    assert sum(shares) == 1 and abs(shares[0] - 0.5) < 0.15  # after 1 came 2 and 3
    assert {row[0] for row in drawn} == {0, 1, 2, 3}  # before it is nothing: all that was seen


def test_codes_of_a_batch_are_not_drawn_from_itself_and_memory_is_bounded():
    errors = made(rate=1.0, memory=4)
    codes = torch.arange(6)[None, None]
    assert torch.equal(errors(codes), codes)  # nothing seen yet
    assert errors.pairs[0].tolist() == [[1, 2], [2, 3], [3, 4], [4, 5]]
    errors.learn(torch.tensor([[[7, 8, 9]]]))
    assert errors.pairs[0].tolist() == [[7, 8], [8, 9], [3, 4], [4, 5]]


def test_slow_codebooks_stay_repeated_and_missing_codes_missing():
    errors = made((3,), [torch.randn(16, 2)], kind="neighbours", rate=0.5)
    codes = torch.randint(16, (20, 1, 4)).repeat_interleave(3, 2)[..., :11]
    codes[0] = -1
    found = errors(codes)
    assert (found[0] == -1).all() and not torch.equal(found, codes)
    starts = found[..., ::3].repeat_interleave(3, 2)[..., :11]
    assert torch.equal(found, starts)
