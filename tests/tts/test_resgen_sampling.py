"""Sampling of ResGen: a plain implementation, an oracle, prefixes, and the number of forwards."""

import pytest
import torch
from support import plain_resgen
from support.resgen import clips, condition, nested_codebooks, network_of

from audiotok.errors import CheckpointError
from audiotok.kernels import rvq_encode
from audiotok.tts.base import Generation
from audiotok.tts.resgen import sampling as module
from audiotok.tts.resgen.mixture import Mixture
from audiotok.tts.resgen.sampling import guidance_weight, sample_codes


def generators(count, seed=3):
    return [torch.Generator().manual_seed(seed + number) for number in range(count)]


@pytest.mark.parametrize(
    "settings",
    [
        {"tau": 2.0},
        {"tau": 28.0, "guidance": 1.5, "top_p": 0.7},
        {"order": "random", "temperature": 0.5},
        {"order": "random", "guidance": 0.6, "tau": 1.0, "top_p": 1.0},
    ],
)
def test_sampling_equals_a_plain_implementation(settings):
    model, (codes, spoken, raw) = network_of().double(), clips()
    options = Generation(steps=5, **settings)
    found = sample_codes(model, codes, spoken, options=options, generators=generators(3))
    for row, clip in enumerate(raw):
        one = codes[row, :, : sum(clip[1])].tolist(), clip, options, generators(3)[row]
        expected = torch.tensor(plain_resgen.generate(model, *one))
        assert torch.equal(found[row, :, : sum(clip[1])], expected)
        assert (found[row, :, sum(clip[1]) :] == -1).all()


@pytest.mark.parametrize("order", ["confidence", "random"])
@pytest.mark.parametrize("predictor", ["latents", "tokens"])
def test_a_clip_does_not_depend_on_its_batch(order, predictor):
    model, (codes, spoken, raw) = network_of(predictor=predictor).double(), clips()
    options = Generation(steps=4, order=order, guidance=0.5)
    found = sample_codes(model, codes, spoken, options=options, generators=generators(3))
    for row, (phones, durations, prompt) in enumerate(raw):
        alone = condition((phones, durations, prompt))
        one = codes[row : row + 1, :, : sum(durations)]
        again = sample_codes(
            model, one, alone, options=options, generators=[generators(3)[row]]
        )  # fmt: skip
        assert torch.equal(again[0], found[row, :, : sum(durations)])


class Oracle(torch.nn.Module):
    """Knows the codes, and predicts exactly the sum of those that are masked."""

    def __init__(self, model, true):
        super().__init__()
        self.model, self.true, self.states = model, true, []
        self.depth, self.settings, self.scale = model.depth, model.settings, model.scale
        self.codebooks, self.deviations = model.codebooks, model.deviations
        self.encode_text, self.expand = model.encode_text, model.expand

    def forward(self, codes, visible, expanded, condition):
        masked = torch.arange(self.depth) >= visible[..., None]
        shown = self.true.transpose(1, 2)[~masked]
        assert torch.equal(codes.transpose(1, 2)[~masked], shown)  # never revised
        self.states.append(visible.clone())
        return self.model.summed(self.true, masked) / self.scale

    def mixture(self, hidden):
        frames, latents = hidden.shape
        sharp = hidden.new_full((frames,), -20.0)
        flat = hidden.new_zeros(frames, 1, 1)
        bases = hidden.new_zeros(1, latents, 1)
        return Mixture(flat[..., 0], flat, sharp, hidden, bases, bases[..., 0])


@pytest.mark.parametrize("order", ["confidence", "random"])
@pytest.mark.parametrize("steps", [1, 4, 96])  # 96: one code in each step, L x D
def test_with_an_oracle_the_data_come_back(order, steps):
    depth, frames = 8, 12
    model = network_of(depth=depth)
    model.codebooks.copy_(nested_codebooks(depth))
    true = rvq_encode(torch.randn(frames + 2, 3), model.codebooks).T[None]
    assert len(true.unique()) == 8
    spoken = condition(([0, 1, 2], [2, 5, 7], 2))
    oracle = Oracle(model, true)
    given = true.clone()
    given[:, :, 2:] = 0
    options = Generation(steps=steps, order=order)
    found = sample_codes(oracle, given, spoken, options=options, generators=generators(1))
    assert torch.equal(found, true)
    counts = torch.stack([state[0, 2:] for state in oracle.states])
    assert len(counts) == steps and (counts[1:] >= counts[:-1]).all()
    assert not counts[0].any()
    assert steps == 96 or (counts.sum(1)[1:] > counts.sum(1)[:-1]).all()


@pytest.mark.parametrize("depth", [8, 16, 32, 46])
def test_forwards_are_the_steps_at_every_depth(depth):
    model, calls = network_of(depth=depth), []
    model.body.register_forward_hook(lambda *_: calls.append(1))
    codes, spoken, _ = clips(depth)
    for steps, guidance in ((4, 0.0), (7, 2.0)):
        calls.clear()
        options = Generation(steps=steps, guidance=guidance)
        found = sample_codes(model, codes, spoken, options=options, generators=generators(3))
        assert len(calls) == steps
        assert (found[0, :, :9] >= 0).all()


def test_tokens_take_more_forwards_with_depth():
    for depth in (3, 6):
        model, calls = network_of(depth=depth, predictor="tokens"), []
        model.body.register_forward_hook(lambda *_, calls=calls: calls.append(1))
        codes, spoken, raw = clips(depth)
        options = Generation(steps=4, later_steps=2)
        found = sample_codes(model, codes, spoken, options=options, generators=generators(3))
        assert len(calls) == 4 + 2 * (depth - 1)
        for row, (_, durations, prompt) in enumerate(raw):
            assert torch.equal(found[row, :, :prompt], codes[row, :, :prompt])
            assert (found[row, :, : sum(durations)] >= 0).all()


def test_tokens_that_a_model_is_sure_of_come_out():
    """The head's weights name one code of each layer, whatever the network says."""
    model = network_of(predictor="tokens")
    wanted = [3, 0, 7, 5]
    for layer, code in enumerate(wanted):
        model.body.norm.bias.data.fill_(4)
        model.body.norm.weight.data.fill_(0)
        model.head.data[layer, code] = 5
    codes, spoken, raw = clips()
    options = Generation(steps=3)
    found = sample_codes(model, codes, spoken, options=options, generators=generators(3))
    for row, (_, durations, prompt) in enumerate(raw):
        made = found[row, :, prompt : sum(durations)]
        assert torch.equal(made, torch.tensor(wanted)[:, None].expand_as(made))


def test_more_confident_codes_come_first():
    codebooks = torch.tensor([[[0.0], [4.0]], [[0.0], [1.0]]])
    latents, found = torch.tensor([[5.0], [4.4]]), torch.tensor([[1, 1], [1, 0]])
    scores = module.confidences(latents, found, codebooks, torch.tensor([1.0, 0.5]))
    normal = torch.distributions.Normal
    first = normal(0.0, 1.0).log_prob(torch.tensor([1.0, 0.4]))
    second = normal(0.0, 0.5).log_prob(torch.tensor([0.0, 0.4]))
    assert torch.allclose(scores, torch.stack([first, first + second], 1))
    assert module.most_confident(scores, 1, 0.0, None).tolist() == [0, 1]
    partly = module.confidences(latents[:1], torch.tensor([[-1, 1]]), codebooks, torch.ones(2))
    assert partly[0, 0] == -torch.inf and torch.isfinite(partly[0, 1])
    # the deeper code of the second frame is best: the frame shows its shallowest one
    scores = torch.tensor([[1.0, 0.0], [-2.0, 5.0]])
    assert module.most_confident(scores, 1, 0.0, None).tolist() == [0, 1]


def test_weights_that_give_no_numbers_are_refused():
    model, (codes, spoken, _) = network_of(), clips()
    model.body.norm.bias.data.fill_(torch.nan)
    with pytest.raises(CheckpointError, match="values that are not finite"):
        sample_codes(model, codes, spoken, options=Generation(steps=4), generators=generators(3))


def test_guidance_rises_linearly():
    options = Generation(guidance=2.42)
    weights = [guidance_weight(options, step, 5) for step in range(1, 6)]
    assert weights == pytest.approx([0.02, 0.62, 1.22, 1.82, 2.42])
