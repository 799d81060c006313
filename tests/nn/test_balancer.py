"""The balancer: gradients by the formula of EnCodec, whatever the scale of the losses."""

import pytest
import torch

from audiotok.nn.balancer import Balancer

WEIGHTS = {"time": 1.0, "mel": 3.0}


def losses_of(output, scale=1.0):
    return {"time": scale * output.abs().mean(), "mel": (output - 1).square().sum()}


def gradients_of(output, scale=1.0):
    output = output.detach().requires_grad_()
    losses = losses_of(output, scale)
    return {
        name: torch.autograd.grad(loss, output, retain_graph=True)[0]
        for name, loss in losses.items()
    }


def outputs(count):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(3, 1, 50, generator=generator) for _ in range(count)]


def test_equation_4_with_moving_averages():
    balancer = Balancer(WEIGHTS, total_norm=2.0, decay=0.9)
    sums, count = dict.fromkeys(WEIGHTS, 0.0), 0.0
    for step, output in enumerate(outputs(4)):
        output.requires_grad_()
        norms = balancer.backward(losses_of(output, 10.0**step), output)
        count = count * 0.9 + 1
        expected = torch.zeros_like(output)
        for name, gradient in gradients_of(output, 10.0**step).items():
            norm = sum(clip.square().sum().sqrt().item() for clip in gradient) / 3
            sums[name] = sums[name] * 0.9 + norm
            average = sums[name] / count
            assert norms[name].item() == pytest.approx(average, rel=1e-5)
            expected += WEIGHTS[name] / 4 * 2.0 * gradient / average
        torch.testing.assert_close(output.grad, expected)


def test_the_scale_of_a_loss_does_not_count():
    first, second = outputs(1)[0], outputs(1)[0]
    for output, scale in ((first, 1.0), (second, 1e4)):
        output.requires_grad_()
        Balancer(WEIGHTS).backward(losses_of(output, scale), output)
    torch.testing.assert_close(first.grad, second.grad)


def test_gradients_reach_the_network_and_what_goes_past_its_output():
    torch.manual_seed(0)
    network, direct = torch.nn.Linear(5, 5), torch.nn.Linear(5, 5)
    sound = torch.randn(3, 5)
    latents = direct(sound)
    output = network(latents)
    commitment = latents.square().mean()
    Balancer(WEIGHTS).backward(losses_of(output), output, commitment)
    result = direct.weight.grad.clone()

    latents = direct(sound)
    output = network(latents)
    gradient = sum(
        WEIGHTS[name] / 4 * each / each.flatten(1).norm(dim=1).mean()
        for name, each in gradients_of(output).items()
    )
    direct.zero_grad()
    ((output * gradient).sum() + latents.square().mean()).backward()
    torch.testing.assert_close(result, direct.weight.grad)
    assert network.weight.grad.abs().sum() > 0


def test_shares_are_those_of_the_losses_that_are_there():
    output = outputs(1)[0].requires_grad_()
    balancer = Balancer(WEIGHTS)
    balancer.backward({"mel": losses_of(output)["mel"]}, output)
    assert output.grad.flatten(1).norm(dim=1).mean().item() == pytest.approx(1.0, rel=1e-5)
    assert balancer.counts.tolist() == [0, 1]


def test_a_run_that_is_resumed_goes_on_alike():
    whole, first = Balancer(WEIGHTS), Balancer(WEIGHTS)
    early, late = outputs(2)
    for balancer in (whole, first):
        balancer.backward(losses_of(early.requires_grad_()), early)
    second = Balancer(WEIGHTS)
    second.load_state_dict(first.state_dict())
    gradients = []
    for balancer in (whole, second):
        output = late.clone().requires_grad_()
        balancer.backward(losses_of(output, 5.0), output)
        gradients.append(output.grad)
    assert torch.equal(*gradients)


def test_processes_share_their_norms():
    class Two:
        rank, count = 0, 2

        def sum(self, tensor):
            return tensor * 4  # the other process has norms three times as large

    output = outputs(1)[0].requires_grad_()
    alone = Balancer(WEIGHTS).backward(losses_of(output), output)
    shared = Balancer(WEIGHTS).backward(losses_of(output), output, processes=Two())
    for name in WEIGHTS:
        assert shared[name].item() == pytest.approx(2 * alone[name].item())


def test_silence_is_no_division_by_zero():
    output = torch.zeros(2, 1, 9, requires_grad=True)
    Balancer({"time": 1.0}).backward({"time": output.square().sum()}, output)
    assert torch.equal(output.grad, torch.zeros_like(output))


def test_what_cannot_be_is_refused():
    output = outputs(1)[0].requires_grad_()
    with pytest.raises(ValueError, match=r"losses \['stft'\] have no weight: expected some of"):
        Balancer(WEIGHTS).backward({"stft": output.sum()}, output)
    for weights in ({}, {"mel": 0.0}):
        with pytest.raises(ValueError, match="expected a positive one for each loss"):
            Balancer(weights)
