"""The network and the loss of ResGen, beside a plain implementation in loops and fp64."""

import pytest
import torch
from support import plain_resgen
from support.resgen import clips, model_of

from audiotok.tts.resgen.loss import draw_state, losses
from audiotok.tts.resgen.model import Condition, condition_of


@pytest.mark.parametrize("counts", [True, False])
def test_the_loss_equals_a_plain_implementation(counts):
    model, (codes, condition, raw) = model_of(visible_counts=counts).double(), clips()
    visible, layer = draw_state(model, condition, torch.Generator().manual_seed(2))
    assert layer is None
    found = losses(model, codes, condition, state=(visible, None))
    parts, frames = torch.zeros(4).double(), 0
    for row, clip in enumerate(raw):
        length = sum(clip[1])
        one = codes[row, :, :length].tolist(), visible[row, :length].tolist()
        parts += torch.tensor(plain_resgen.loss(model, *one, clip))
        frames += length - clip[2]
    share = frames * model.config.latents
    assert float(found.regression) == pytest.approx(float(parts[0]) / share, rel=1e-9)
    assert float(found.classification) == pytest.approx(float(parts[1]) / share, rel=1e-9)
    assert float(found.duration) == pytest.approx(float(parts[2] / parts[3]), rel=1e-9)
    assert float(found.total) == pytest.approx(float(sum(found[1:])))
    found.total.backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None]
    assert idle == ["no_text"]


def test_what_is_masked_or_padded_or_dropped_does_not_matter():
    model, (codes, condition, _) = model_of().double(), clips()
    visible, _ = draw_state(model, condition, torch.Generator().manual_seed(0))

    def hidden(codes, condition):
        encoded, _ = model.encode_text(condition)
        return model(codes, visible, model.expand(encoded, condition), condition)

    first = hidden(codes, condition)
    other = (codes + 1) % model.config.codebook_size
    hide = torch.arange(model.config.depth)[None, :, None] >= visible[:, None]
    padding = torch.arange(codes.shape[2]) >= condition.lengths[:, None]
    again = hidden(other.where(hide | padding[:, None], codes), condition)
    inside = ~padding
    assert torch.allclose(first[inside], again[inside], atol=1e-12)
    alone = condition_of([[1, 2]], [[3, 5]], [3])
    assert not torch.allclose(first[inside], hidden(other, condition)[inside], atol=1e-3)
    dropped = torch.tensor([True, False, True])
    free = Condition(condition.phones, condition.durations, condition.prompt_frames, dropped)
    spoken = Condition(
        condition.phones.flip(1), condition.durations, condition.prompt_frames, dropped
    )
    prompt = torch.arange(codes.shape[2]) < condition.prompt_frames[:, None]
    changed = other.where(prompt[:, None] & dropped[:, None, None], codes)
    one, two = hidden(codes, free), hidden(changed, spoken)
    rows = inside & dropped[:, None]
    assert torch.allclose(one[rows], two[rows], atol=1e-12)
    assert not torch.allclose(one[rows], first[rows], atol=1e-3)
    assert alone.lengths.tolist() == [8]


def test_clips_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="2 phones, durations"):
        condition_of([[1, 2]], [[3]], [1])
    with pytest.raises(ValueError, match="a duration of 1 or more"):
        condition_of([[1, 2]], [[3, 0]], [1])
    with pytest.raises(ValueError, match="more than the prompt"):
        condition_of([[1, 2]], [[3, 1]], [4])


def test_tokens_are_learnt_one_layer_at_a_time():
    model, (codes, condition, _) = model_of(predictor="tokens"), clips()
    generator, layers = torch.Generator().manual_seed(0), set()
    for _ in range(40):
        visible, layer = draw_state(model, condition, generator)
        layers.add(layer)
        frames = torch.arange(codes.shape[2])
        wanted = (frames >= condition.prompt_frames[:, None]) & (
            frames < condition.lengths[:, None]
        )
        assert set(visible[wanted].tolist()) <= {layer, layer + 1}
        assert (visible[~wanted] == model.config.depth).all()
    assert layers == set(range(model.config.depth))
    state = draw_state(model, condition, generator)
    found = losses(model, codes, condition, state=state)
    learnt = (state[0] == state[1]).sum() / (condition.lengths - condition.prompt_frames).sum()
    uniform = torch.log(torch.tensor(float(model.config.codebook_size)))
    assert float(found.regression) == pytest.approx(float(learnt * uniform), rel=1e-5)
    found.total.backward()
    assert model.head.grad[state[1]].abs().sum() > 0
