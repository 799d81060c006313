"""Adversarial losses against formulas written out, and by hand."""

import pytest
import torch

from audiotok.nn.adversarial import discriminator_loss, feature_matching, generator_loss


def judgements(seed):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: 2 * torch.randn(shape, generator=generator)  # noqa: E731
    return [(draw(2, 1, 7), [draw(2, 3, 9), draw(2, 4)]), (draw(2, 5), [draw(2, 6, 2)])]


REAL, FAKE = judgements(0), judgements(1)


def mean(values):
    return sum(values) / len(values)


@pytest.mark.parametrize(("reduction", "reduce"), [("sum", sum), ("mean", mean)])
@pytest.mark.parametrize(
    ("objective", "as_real", "as_fake"),
    [
        ("hinge", lambda x: max(0.0, 1 - x), lambda x: max(0.0, 1 + x)),
        ("least_squares", lambda x: (x - 1) ** 2, lambda x: x**2),
    ],
)
def test_formulas(objective, as_real, as_fake, reduction, reduce):
    def over(judged, function):
        return [mean([function(x) for x in logits.flatten().tolist()]) for logits, _ in judged]

    real, fake = over(REAL, as_real), over(FAKE, as_fake)
    expected = reduce([one + two for one, two in zip(real, fake, strict=True)])
    result = discriminator_loss(REAL, FAKE, objective, reduction)
    assert result.item() == pytest.approx(expected, rel=1e-5)
    expected = reduce(over(FAKE, as_real))
    assert generator_loss(FAKE, objective, reduction).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("reduction", "reduce"), [("sum", sum), ("mean", mean)])
def test_feature_matching(reduction, reduce):
    plain, relative = [], []
    for (_, maps), (_, fakes) in zip(REAL, FAKE, strict=True):
        distances = [(one - two).abs().mean().item() for one, two in zip(maps, fakes, strict=True)]
        scales = [one.abs().mean().item() for one in maps]
        plain.append(sum(distances))
        relative.append(mean([d / s for d, s in zip(distances, scales, strict=True)]))
    result = feature_matching(REAL, FAKE, reduction)
    assert result.item() == pytest.approx(reduce(plain), rel=1e-5)
    result = feature_matching(REAL, FAKE, reduction, relative=True)
    assert result.item() == pytest.approx(reduce(relative), rel=1e-5)


def test_by_hand():
    real, fake = [(torch.tensor([2.0, 0.0]), [])], [(torch.tensor([-2.0, 1.0]), [])]
    assert discriminator_loss(real, fake, "hinge") == 0.5 + 1.0
    assert generator_loss(fake, "hinge") == 1.5
    assert discriminator_loss(real, fake, "least_squares") == 1.0 + 2.5
    assert generator_loss(fake, "least_squares") == 4.5


@pytest.mark.parametrize("objective", ["hinge", "least_squares"])
def test_each_side_pulls_its_way(objective):
    real, fake = (torch.zeros(3, requires_grad=True) for _ in range(2))
    discriminator_loss([(real, [])], [(fake, [])], objective).backward()
    assert (real.grad < 0).all()  # descending raises the logits of real sound
    assert (fake.grad >= 0).all()
    fake.grad = None
    generator_loss([(fake, [])], objective).backward()
    assert (fake.grad < 0).all()


def test_matching_features_leaves_those_of_real_sound_alone():
    real, fake = (torch.randn(4, requires_grad=True) for _ in range(2))
    feature_matching([(real, [real])], [(fake, [fake])], relative=True).backward()
    assert real.grad is None and fake.grad.abs().sum() > 0


def test_what_is_unknown_is_refused():
    with pytest.raises(ValueError, match="objective 'wgan' is none of hinge, least_squares"):
        generator_loss(FAKE, "wgan")
    with pytest.raises(ValueError, match="reduction 'max' is neither 'sum' nor 'mean'"):
        generator_loss(FAKE, "hinge", "max")
