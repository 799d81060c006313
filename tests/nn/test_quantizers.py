"""Vector quantization: search, gradient, and how the codebook learns."""

import copy
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from audiotok.nn.quantizers import MovingAverageLearner, ResidualVectorQuantizer, VectorQuantizer


@pytest.fixture
def quantizer():
    torch.manual_seed(0)
    built = VectorQuantizer(16, 3)
    built.codebook.normal_()
    return built


def rows(latents):
    return latents.transpose(1, 2).flatten(0, 1)


def test_decode_gives_the_codewords(quantizer):
    codes = torch.randint(16, (2, 1, 5))
    assert torch.equal(quantizer.decode(codes)[1, :, 3], quantizer.codebook[codes[1, 0, 3]])
    assert torch.equal(quantizer.encode(quantizer.decode(codes)), codes)


def test_the_gradient_passes_straight_through(quantizer):
    latents = torch.randn(2, 3, 5, requires_grad=True)
    quantized, codes, commitment = quantizer(latents)
    torch.testing.assert_close(quantized, quantizer.decode(codes))
    weights = torch.randn_like(quantized)
    (quantized * weights).sum().backward()
    assert torch.equal(latents.grad, weights)
    expected = (latents - quantizer.decode(codes)).square().mean()
    torch.testing.assert_close(commitment, expected)


def test_an_update_is_the_moving_average_of_counts_and_sums(quantizer):
    learner = MovingAverageLearner(quantizer, decay=0.9, dead_ratio=0)
    learner.counts.fill_(2.0)
    learner.sums.copy_(quantizer.codebooks * 2)
    latents = torch.randn(1, 3, 40)
    codes = quantizer.encode(latents)
    before = quantizer.codebook.clone()
    learner.update(latents, codes)
    for code in range(16):
        members = rows(latents)[codes.flatten() == code]
        count = 0.9 * 2 + 0.1 * len(members)
        total = 0.9 * 2 * before[code] + 0.1 * members.sum(0)
        torch.testing.assert_close(quantizer.codebook[code], total / count, rtol=2e-4, atol=1e-5)


def test_a_revived_code_stays_where_it_was_put(quantizer):
    """In the official code the revival is overwritten by the update of the same step."""
    learner = MovingAverageLearner(quantizer)
    latents = torch.randn(1, 3, 64)
    quantizer.codebook[5] = 1e3  # far away: never chosen
    learner.counts.fill_(4.0)
    learner.counts[0, 5] = 0.0
    learner.sums.copy_(quantizer.codebooks * learner.counts[..., None])
    learner.update(latents, quantizer.encode(latents))
    revived = quantizer.codebook[5].clone()
    assert (rows(latents) - revived).abs().sum(1).min() < 1e-5
    learner.update(latents, quantizer.encode(latents))
    assert (quantizer.codebook[5] - revived).abs().max() < 0.1
    assert learner.counts[0, 5] > learner.dead_ratio * 64 / 16


def test_every_code_comes_into_use(quantizer):
    learner = MovingAverageLearner(quantizer, decay=0.8)
    quantizer.codebook[1:] = 1e3
    learner.counts.fill_(4.0)
    learner.sums.copy_(quantizer.codebooks * 4)
    generator = torch.Generator().manual_seed(0)
    for _ in range(60):
        latents = torch.randn(1, 3, 64, generator=generator)
        learner.update(latents, quantizer.encode(latents))
    latents = torch.randn(1, 3, 2000, generator=generator)
    assert quantizer.encode(latents).unique().numel() == 16


def test_k_means_finds_the_clusters(quantizer):
    centres = torch.randn(16, 3) * 10
    latents = centres.repeat(20, 1) + torch.randn(320, 3) * 0.01
    learner = MovingAverageLearner(quantizer)
    learner.start(latents.T[None], iterations=10, rows_per_step=32)
    distances = torch.cdist(latents, quantizer.codebook).min(1).values
    # a random start may put two codewords into one cluster; most clusters have their own
    assert (distances < 0.1).float().mean() > 0.5
    assert torch.equal(learner.counts, torch.full((1, 16), 2.0))


def test_too_few_latents_cannot_start_a_codebook(quantizer):
    with pytest.raises(ValueError, match="15 latents cannot initialise a codebook of 16"):
        MovingAverageLearner(quantizer).start(torch.randn(1, 3, 15), 1, 8)


def test_the_statistics_repeat_bitwise(quantizer):
    latents = torch.randn(1, 3, 5000)
    codes = quantizer.encode(latents)
    results = []
    start = quantizer.codebook.clone()
    for _ in range(2):
        quantizer.codebook.copy_(start)
        learner = MovingAverageLearner(quantizer, dead_ratio=0)
        learner.counts.fill_(1.0)
        learner.sums.copy_(start)
        learner.update(latents, codes)
        results.append(quantizer.codebook.clone())
    assert torch.equal(*results)


def test_a_learner_goes_on_from_a_codebook_that_is_there(quantizer):
    learner, before = MovingAverageLearner(quantizer), quantizer.codebook.clone()
    learner.adopt(rows_per_step=64)
    torch.testing.assert_close(learner.counts, torch.full((1, 16), 4.0))
    learner.update(before.T[None], torch.arange(16).view(1, 1, 16))  # each at its own codeword
    torch.testing.assert_close(quantizer.codebook, before, rtol=1e-4, atol=1e-5)


def test_latents_that_are_not_finite_have_no_codeword(quantizer):
    latents = torch.randn(1, 3, 4)
    latents[0, 1, 2] = torch.nan
    quantized, codes, _ = quantizer(latents)
    assert codes[0, 0].ge(0).tolist() == [True, True, False, True]
    assert quantized[0, :, 2].isnan().all() and quantized[0, :, 3].isfinite().all()


class Threads:
    """Processes for a learner, as threads of this one that wait for one another."""

    def __init__(self, rank, count, barrier, board):
        self.rank, self.count, self.barrier, self.board = rank, count, barrier, board

    def gather(self, tensor):
        return torch.cat(self._all(tensor))

    def sum(self, tensor):
        return sum(self._all(tensor))

    def _all(self, tensor):
        self.board[self.rank] = tensor
        self.barrier.wait(20)
        result = [self.board[rank] for rank in range(self.count)]
        self.barrier.wait(20)
        return result


@pytest.mark.parametrize(
    "make", [lambda: VectorQuantizer(16, 4), lambda: ResidualVectorQuantizer(3, 16, 4)]
)
def test_processes_learn_the_codebooks_of_one_with_all_latents(make):
    """Also those that are dead, and rows without a code."""
    torch.manual_seed(0)
    one = make()
    one.codebooks.normal_()
    one.codebooks[:, 9:] = 50.0  # never chosen: they die
    latents = torch.randn(4, 4, 30)
    codes = one.encode(latents)
    if codes.shape[1] == 3:
        codes[1, 1:], codes[3, 2:] = -1, -1  # as quantizer dropout leaves them
    several = [copy.deepcopy(one) for _ in range(2)]
    board, barrier = {}, threading.Barrier(2)

    def learn(quantizer, latents, codes, processes):
        learner = MovingAverageLearner(quantizer, decay=0.5, dead_ratio=0.3)
        learner.adopt(rows_per_step=120)
        generator = torch.Generator().manual_seed(5)
        for _ in range(3):
            learner.update(latents, codes, generator, processes)
        return quantizer.codebooks.clone()

    expected = learn(one, latents, codes, None)
    with ThreadPoolExecutor(2) as pool:
        result = list(
            pool.map(
                lambda rank: learn(
                    several[rank],
                    latents[2 * rank : 2 * rank + 2],
                    codes[2 * rank : 2 * rank + 2],
                    Threads(rank, 2, barrier, board),
                ),
                range(2),
            )
        )
    assert torch.equal(result[0], result[1])
    torch.testing.assert_close(result[0], expected)
    assert (expected[:, 9:] - 50).abs().max() > 10  # some were revived
