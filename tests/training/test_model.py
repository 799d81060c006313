"""A step, pass by pass: gradients, the balancer, and the frames that codebooks start from."""

import pytest
import torch
from support.training_kit import ADVERSARIAL, write_recipe

from audiotok.training import load_recipe
from audiotok.training.model import Model
from audiotok.training.processes import ProcessGroup


@pytest.fixture
def make(corpus, tmp_path, monkeypatch):
    """A model of a recipe with these changes; without dropout, so that a step can be repeated."""
    monkeypatch.setattr(torch.nn.Dropout, "forward", lambda self, hidden: hidden)

    def make(**changes):
        recipe = load_recipe(write_recipe(tmp_path / "tiny.yaml", corpus, **changes))
        return Model(recipe, ProcessGroup(cpu=True), tmp_path)

    return make


def noise(clips, samples=2000):
    return 0.1 * torch.randn(clips, 1, samples, generator=torch.Generator().manual_seed(0))


def test_latents_are_quantized_from_the_start_step_on(make):
    assert [make().quantizes(step) for step in (0, 2, 3, 4)] == [False, False, True, True]
    never = make(quantizer={"start_step": None})
    assert not any(never.quantizes(step) for step in range(9))


def test_a_step_leaves_no_gradient_to_the_next(make):
    slow = {"learning_rate": 1e-12, "clip_norm": None}
    model = make(**ADVERSARIAL | {"optimizer": slow, "discriminator_optimizer": slow})
    first, second = (model.step([noise(2)], 0) for _ in range(2))
    for norm in ("gradient", "discriminator_gradient"):
        assert second[norm] == pytest.approx(first[norm], rel=1e-3) and first[norm] > 0


def test_balanced_gradients_of_two_passes_are_those_of_the_double_batch(make):
    """Each clip has the same share of total_norm, in one pass or in two."""
    changes = {"balancer": {"total_norm": 10.0}, "optimizer": {"clip_norm": None}}
    one, two = make(**changes), make(accumulate=2, **changes)
    whole = one.step([noise(2).repeat(2, 1, 1)], 0)
    parts = two.step([noise(2), noise(2)], 0)
    assert parts["gradient"] == pytest.approx(whole["gradient"], rel=1e-3)


def test_codebooks_start_from_as_many_frames_as_they_need_and_know_those_of_a_step(make):
    model = make(accumulate=2, data={"crop_seconds": 0.51})  # 25.5 frames of 160 samples
    started = []
    model.codebooks.start = lambda collect, frames: started.append((collect(31), frames))
    batches = [noise(4, 800), *(noise(1, 800) for _ in range(5))]  # of 20, then 5 frames each
    left = iter(batches)
    model.start_codebooks(left)
    ((latents, frames),) = started
    assert frames == 26 * 2 * 2  # of two crops in two passes
    assert latents.shape == (7, 8, 5) and len(list(left)) == 2
