"""The network and the loss of ResGen, beside a plain implementation in loops and fp64."""

from dataclasses import replace

import pytest
import torch
from support import plain_resgen
from support.resgen import clips, codes_of, condition, network_of

from audiotok.errors import RecipeError, SpeechError
from audiotok.tts.resgen.loss import draw_state, losses
from audiotok.tts.resgen.network import Network, NetworkConfig


@pytest.mark.parametrize("ours", [True, False])
def test_the_loss_equals_a_plain_implementation(ours):
    network = network_of(visible_counts=ours, phone_positions=ours).double()
    codes, spoken, raw = clips()
    visible, layer = draw_state(network, spoken, torch.Generator().manual_seed(2))
    assert layer is None
    found = losses(network, codes, spoken, state=(visible, None))
    parts, frames = torch.zeros(4).double(), 0
    for row, clip in enumerate(raw):
        length = sum(clip[1])
        one = codes[row, :, :length].tolist(), visible[row, :length].tolist()
        parts += torch.tensor(plain_resgen.loss(network, *one, clip))
        frames += length - clip[2]
    share = frames * network.settings.latents
    expected = [parts[0] / share, parts[1] / share, parts[2] / parts[3]]
    assert torch.allclose(torch.stack(found[1:]).detach(), torch.stack(expected), rtol=1e-9)
    assert torch.allclose(found.loss.detach(), sum(expected))
    found.loss.backward()
    idle = [n for n, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == ["no_text"]  # no clip was dropped


def test_what_is_masked_or_padded_or_dropped_does_not_matter():
    network, (codes, spoken, raw) = network_of().double(), clips()
    visible, _ = draw_state(network, spoken, torch.Generator().manual_seed(0))

    def hidden(codes, spoken):
        encoded, _ = network.encode_text(spoken)
        return network(codes, visible, network.expand(encoded, spoken), spoken)

    first = hidden(codes, spoken)
    other = (codes + 1) % network.size
    hide = torch.arange(network.depth)[None, :, None] >= visible[:, None]
    frames = torch.arange(codes.shape[2])
    inside = frames < spoken.lengths[:, None]
    again = hidden(other.where(hide | ~inside[:, None], codes), spoken)
    assert torch.allclose(first[inside], again[inside], atol=1e-12)
    assert not torch.allclose(first[inside], hidden(other, spoken)[inside], atol=1e-3)
    dropped = torch.tensor([True, False, True])
    free = replace(spoken, dropped=dropped)
    prompt = frames < spoken.prompt_frames[:, None]
    changed = other.where(prompt[:, None] & dropped[:, None, None], codes)
    raw[0], raw[2] = ([9, 8, 7], *raw[0][1:]), ([6], *raw[2][1:])
    one, two = hidden(codes, free), hidden(changed, replace(condition(*raw), dropped=dropped))
    rows = inside & dropped[:, None]
    assert torch.allclose(one[rows], two[rows], atol=1e-12)
    assert not torch.allclose(one[rows], first[rows], atol=1e-3)
    assert torch.allclose(one[1], first[1], atol=1e-12)


@pytest.mark.parametrize(
    "clip", [([1, 2], [3], 1), ([1, 2], [3, 0], 1), ([1, 2], [3, 1], 4), ([], [], 0)]
)
def test_clips_that_do_not_fit_are_refused(clip):
    with pytest.raises(SpeechError, match="do not fit: expected a duration of 1 or more"):
        condition(clip)


def test_codebooks_that_do_not_fit_are_refused():
    settings = NetworkConfig(latents=3)
    for wrong in ({"strides": (1, 2, 1, 1)}, {"codebook_sizes": (8, 8, 8, 16)}):
        with pytest.raises(RecipeError, match="residual codebooks of one size, all at the rate"):
            Network(settings, replace(codes_of(), **wrong))


def test_tokens_are_learnt_one_layer_at_a_time():
    network, (codes, spoken, _) = network_of(predictor="tokens"), clips()
    generator, layers = torch.Generator().manual_seed(0), set()
    frames = torch.arange(codes.shape[2])
    wanted = (frames >= spoken.prompt_frames[:, None]) & (frames < spoken.lengths[:, None])
    for _ in range(40):
        visible, layer = draw_state(network, spoken, generator)
        layers.add(layer)
        assert set(visible[wanted].tolist()) <= {layer, layer + 1}
        assert (visible[~wanted] == network.depth).all()
    assert layers == set(range(network.depth))
    visible[2] = layer  # something is masked
    found = losses(network, codes, spoken, state=(visible, layer))
    learnt = (wanted & (visible == layer)).sum() / wanted.sum()
    uniform = torch.log(torch.tensor(float(network.size)))  # the head starts at 0
    assert float(found.regression.detach()) == pytest.approx(float(learnt * uniform), rel=1e-5)
    found.loss.backward()
    used = network.head.grad.abs().sum((1, 2)) > 0
    assert used.nonzero().flatten().tolist() == [layer]
