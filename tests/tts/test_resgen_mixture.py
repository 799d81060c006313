"""The mixture of ResGen: bound, change of variables, memory, guidance."""

import math

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from audiotok.tts.resgen.mixture import MixtureHead, guided


def head(components=5, rank=2, latents=6, seed=0):
    torch.manual_seed(seed)
    made = MixtureHead(4, latents, components, rank).double()
    nn.init.normal_(made.out.weight, std=0.5)
    nn.init.normal_(made.out.bias, std=0.5)
    return made, torch.randn(30, 4).double(), torch.randn(30, latents).double()


def test_distances_are_those_of_the_means():
    made, hidden, latents = head()
    mixture = made(hidden)
    for v in range(5):
        means = mixture.means(torch.full((30,), v))
        expected = ((latents - means) / mixture.log_scale.exp()[:, None]).square().sum(1)
        assert torch.allclose(mixture.distances(latents)[:, v], expected, rtol=1e-10)


def test_the_density_integrates_to_one():
    """In one dimension, by a sum: the scale is in the density where it should be."""
    made, hidden, _ = head(latents=1, rank=1)
    line = torch.linspace(-60, 60, 40001, dtype=torch.float64)
    one = made(hidden[:1])
    spread = type(one)(**{
        name: getattr(one, name).expand(len(line), *getattr(one, name).shape[1:])
        for name in ("logits", "coordinates", "log_scale", "shift")
    }, bases=one.bases, offsets=one.offsets)  # fmt: skip
    density = spread.log_density(line[:, None]).exp().detach()
    assert float(density.sum() * (line[1] - line[0])) == pytest.approx(1, abs=1e-6)


def test_the_bound_is_above_the_exact_likelihood_and_equal_where_q_is_the_posterior():
    made, hidden, latents = head()
    mixture = made(hidden)
    gap = mixture.bound(latents).total + mixture.log_density(latents)
    assert (gap > 0).all() and gap.max() > 0.1
    logits = torch.zeros_like(mixture.logits)  # q leaves out pi: it is the posterior if pi is flat
    flat = type(mixture)(logits, *(vars(mixture)[name] for name in list(vars(mixture))[1:]))
    exact = -flat.log_density(latents)
    assert torch.allclose(flat.bound(latents).total, exact, rtol=0, atol=1e-10)


def fit(made, latents, steps, rate, loss):
    optimizer = torch.optim.Adam(made.parameters(), rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    hidden = torch.ones(len(latents), 4)
    for _ in range(steps):
        optimizer.zero_grad()
        value = loss(made(hidden)).mean()
        value.backward()
        optimizer.step(), schedule.step()
    return float(value.detach())


def test_a_gaussian_of_known_variance_reaches_its_entropy():
    """H/2 log(2 pi e sigma^2): only +H log a in the loss gives it, not the printed sign."""
    torch.manual_seed(0)
    size = 6
    latents = torch.randn(500, size)
    latents = 2 + 0.3 * (latents - latents.mean(0)) / latents.std(0, correction=0)
    made = MixtureHead(4, size, 1, 1)
    value = fit(made, latents, 100, 0.15, lambda mixture: mixture.bound(latents).total)
    entropy = size / 2 * math.log(2 * math.pi * math.e * 0.3**2)
    assert value == pytest.approx(entropy, abs=0.02)
    assert float(made(torch.ones(1, 4)).log_scale.exp().detach()) == pytest.approx(0.3, rel=0.01)


def test_a_mixture_of_known_entropy_is_learnt():
    torch.manual_seed(0)
    size, sigma, counts = 4, 0.2, torch.tensor([100, 200, 700])
    centres = torch.tensor([[3.0, 0, 0, 0], [0, -3, 0, 0], [0, 0, 3, 3]])
    latents = centres.repeat_interleave(counts, 0) + sigma * torch.randn(1000, size)
    made = MixtureHead(4, size, 8, 2)
    value = fit(made, latents, 150, 0.1, lambda mixture: mixture.bound(latents).total)
    entropy = size / 2 * math.log(2 * math.pi * math.e * sigma**2)
    entropy -= sum(share * math.log(share) for share in (0.1, 0.2, 0.7))
    assert value == pytest.approx(entropy, abs=0.1)


def test_gradients_through_q_matter_only_for_the_classification():
    made, hidden, latents = head()
    with torch.no_grad():
        made.out.weight[:5] = 0
        made.out.bias[:5] = 0  # pi is flat: the sum of -q log pi is constant
    grads = []
    for q_gradient in (False, True):
        made.zero_grad()
        made(hidden).bound(latents, q_gradient).total.sum().backward()
        grads.append([p.grad.clone() for p in made.parameters()])
    assert all(torch.allclose(a, b, atol=1e-9) for a, b in zip(*grads, strict=True))
    with torch.no_grad():
        made.out.bias[:5] = torch.arange(5.0)
    grads = []
    for q_gradient in (False, True):
        made.zero_grad()
        made(hidden).bound(latents, q_gradient).total.sum().backward()
        grads.append(made.bases.grad.clone())
    assert not torch.allclose(*grads, atol=1e-3)


class Largest(TorchDispatchMode):
    """Remembers the most elements of a tensor that was made."""

    elements = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        for one in result if isinstance(result, tuple | list) else (result,):
            if isinstance(one, torch.Tensor):
                self.elements = max(self.elements, one.numel())
        return result


def test_no_tensor_of_frames_by_components_by_dimensions():
    frames, components, latents, rank = 40, 30, 100, 3
    made = MixtureHead(4, latents, components, rank)
    with Largest() as largest:
        mixture = made(torch.randn(frames, 4))
        mixture.bound(torch.randn(frames, latents)).total.sum().backward()
        mixture.means(torch.zeros(frames, dtype=torch.int64))
    assert largest.elements <= frames * latents * rank  # of `means`, one component each
    assert largest.elements < frames * components * latents / 9


def test_guidance_is_the_product_of_powers():
    torch.manual_seed(0)
    means = torch.randn(2, 3, 5).double()
    logs = torch.tensor([[0.1, -0.4, 0.3], [0.2, 0.5, -0.9]]).double()
    weight = 1.3
    mean, log = guided((means[0], logs[0]), (means[1], logs[1]), weight)

    def density(z, mean, log):
        return -(z - mean).square().sum(1) / 2 * torch.exp(-2 * log) - 5 * log

    gaps = []
    for z in torch.randn(4, 3, 5).double():
        product = (1 + weight) * density(z, means[0], logs[0])
        product = product - weight * density(z, means[1], logs[1])
        gaps.append(density(z, mean, log) - product)
    gaps = torch.stack(gaps)
    assert torch.allclose(gaps[:, :2], gaps[:1, :2].expand(4, -1), atol=1e-9)  # a constant
    assert torch.equal(mean[2], means[0, 2]) and log[2] == logs[0, 2]  # no positive precision
    plain = guided((means[0], logs[0]), (means[1], logs[1]), 0.0)
    assert torch.allclose(plain[0], means[0]) and torch.allclose(plain[1], logs[0])
