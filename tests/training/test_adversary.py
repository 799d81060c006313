"""Which discriminators take part, learn, and judge; what a recipe may say of them."""

import pytest
import torch

from audiotok.errors import RecipeError
from audiotok.training.adversary import Adversary, build
from audiotok.training.settings import DiscriminatorConfig

PERIODS = {"periods": [2], "channels": [2, 2, 2, 2, 2]}


def config(**changes):
    return DiscriminatorConfig(**{"kind": "multi_period", "settings": PERIODS} | changes)


def sounds():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(1, 1, 400, generator=generator), torch.randn(1, 1, 400, generator=generator)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "multi_perod"}, "unknown kind 'multi_perod'; did you mean 'multi_period'?"),
        ({"settings": {"chanels": 2}}, "unknown key 'settings.chanels'; did you mean 'channels'?"),
        ({"settings": {"waveform_channels": 2}}, "unknown key 'settings.waveform_channels'"),
        ({"settings": {"channels": [2, 2]}}, "do not fit multi_period: "),  # ValueError
        ({"settings": PERIODS | {"periods": 2}}, "do not fit multi_period: "),  # TypeError
    ],
)
def test_what_no_discriminator_takes_is_refused_in_one_line(changes, message):
    with pytest.raises(RecipeError) as refusal:
        build(config(**changes), 1)
    assert message in str(refusal.value) and "\n" not in str(refusal.value)


def test_two_of_a_kind_are_numbered_and_weights_of_zero_left_out():
    one = Adversary([config(adversarial=3.0), config(feature_matching=0.0)], 1)
    assert one.weights == {
        "adversarial_multi_period_0": 3.0,
        "features_multi_period_0": 1.0,
        "adversarial_multi_period_1": 1.0,
    }
    assert Adversary([config(adversarial=0.0)], 1).weights == {"features_multi_period": 1.0}
    waveform, other = sounds()
    losses, real = one.discriminator_losses(waveform, other, 0)
    assert losses.keys() == {"discriminator_multi_period_0", "discriminator_multi_period_1"}
    assert one.generator_losses(other, real, 0).keys() == one.weights.keys()


def test_a_frozen_discriminator_judges_and_does_not_learn():
    adversary = Adversary([config(), config(frozen=True), config(start_step=5)], 1)
    learns, frozen, late = ([p.requires_grad for p in m.parameters()] for m in adversary.members)
    assert all(learns) and not any(frozen) and all(late)
    first, second, third = (list(member.parameters()) for member in adversary.members)
    assert list(map(id, adversary.learning(0))) == list(map(id, first))
    assert list(map(id, adversary.learning())) == list(map(id, first + third))
    waveform, other = sounds()
    losses, real = adversary.discriminator_losses(waveform, other.requires_grad_(), 0)
    assert losses.keys() == {"discriminator_multi_period_0"}
    assert real.keys() == {"multi_period_0", "multi_period_1"}
    sum(losses.values()).backward()
    assert other.grad is None and all(p.grad is None for p in second)
    before = [p.grad.clone() for p in first]
    with adversary.frozen():
        assert not any(p.requires_grad for p in adversary.parameters())
        judged = adversary.generator_losses(other, real, 0)
        judged["adversarial_multi_period_1"].backward()
    assert other.grad.abs().sum() > 0
    assert all(map(torch.equal, before, (p.grad for p in first)))
    assert all(p.requires_grad for p in first) and not any(p.requires_grad for p in second)
