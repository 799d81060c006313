"""One training step: who learns from what. Which checkpoint comes out, and how it was validated."""

import copy
import json
import math
import types

import pytest
import torch
from support.training_kit import ADVERSARIAL, write_recipe

from audiotok.codec import checkpoints
from audiotok.nn.adversarial import discriminator_loss, feature_matching, generator_loss
from audiotok.nn.outputs import Output
from audiotok.nn.quantizers import VectorQuantizer
from audiotok.nn.quantizers.moving_average import k_means
from audiotok.training import load_recipe, train
from audiotok.training.codebooks import Codebooks
from audiotok.training.distillation import Distillation
from audiotok.training.model import Model
from audiotok.training.objectives import Reconstruction
from audiotok.training.processes import ProcessGroup
from audiotok.training.settings import DistillationConfig, QuantizerConfig
from audiotok.training.teacher import TeacherFeatures
from audiotok.training.validation import Validation

RATES = {"learning_rate": 1e-3, "warmup_steps": 4}


@pytest.fixture
def model(corpus, tmp_path):
    """With two discriminators, the second from step 2 on; gradients are not clipped."""
    changes = ADVERSARIAL | {
        "discriminator_optimizer": RATES | {"learning_rate": 2e-3},
        "optimizer": {"clip_norm": None} | RATES,
        "losses": {"mel_bands": {256: 20}, "mel": 1.0},
    }
    recipe = load_recipe(write_recipe(tmp_path / "tiny.yaml", corpus, **changes))
    return Model(recipe, ProcessGroup(cpu=True), tmp_path)


@pytest.fixture
def waveform():
    return 0.1 * torch.randn(2, 1, 4000, generator=torch.Generator().manual_seed(0))


def record(module):
    """What goes into a module and comes out, call by call."""
    calls = []

    def hook(module, inputs, output):
        learns, sound = inputs[0].requires_grad, inputs[0].detach().clone()
        calls.append(types.SimpleNamespace(input=sound, learns=learns, output=output))

    module.register_forward_hook(hook)
    return calls


def weights(module):
    return [parameter.detach().clone() for parameter in module.parameters()]


def changed(before, module):
    return [not torch.equal(b, p) for b, p in zip(before, module.parameters(), strict=True)]


def test_discriminators_compare_the_real_sound_with_the_reconstruction(model, waveform):
    made, calls = record(model.network), record(model.adversary.members[0])
    numbers = model.step([waveform], 0)
    reconstruction = made[0].output.waveform[..., :4000]
    real, fake, for_codec = calls
    assert torch.equal(real.input, waveform) and not real.learns
    assert torch.equal(fake.input, reconstruction) and not fake.learns
    assert torch.equal(for_codec.input, reconstruction) and for_codec.learns
    expected = {
        "discriminator": discriminator_loss(real.output, fake.output, "hinge", "mean"),
        "adversarial": generator_loss(for_codec.output, "hinge", "mean"),
        "features": feature_matching(real.output, for_codec.output, "mean"),
    }
    for name, loss in expected.items():
        assert numbers[f"{name}_multi_period"] == pytest.approx(loss.item(), rel=1e-5)


def test_discriminators_learn_from_their_own_loss_alone(model, waveform):
    first, second = model.adversary.members
    judge, before = copy.deepcopy(first), weights(first)
    made = record(model.network)
    model.step([waveform], 0)
    fake = made[0].output.waveform[..., :4000].detach()
    discriminator_loss(judge(waveform), judge(fake), "hinge", "mean").backward()
    for own, expected in zip(first.parameters(), judge.parameters(), strict=True):
        torch.testing.assert_close(own.grad, expected.grad)
    assert all(changed(before, first))
    (group,) = model.discriminator_optimizer.param_groups
    assert group["lr"] == pytest.approx(2e-3 / 4)  # warm-up of its own optimizer
    (group,) = model.optimizer.param_groups
    assert group["lr"] == pytest.approx(1e-3 / 4)
    assert all(parameter.grad is None for parameter in second.parameters())


def test_discriminators_get_better_and_the_codec_worse_for_them(model, waveform):
    """Each side moves down its own loss, with the other one held."""
    first = model.adversary.members[0]
    with torch.no_grad():
        fake = model.network(waveform, False).waveform[..., :4000]
    loss = lambda: discriminator_loss(first(waveform), first(fake), "hinge", "mean").item()  # noqa: E731
    before = loss()
    model.step([waveform], 0)
    assert loss() < before


def test_a_discriminator_takes_part_from_its_step_on(model, waveform):
    second = model.adversary.members[1]
    before = weights(second)
    early = model.step([waveform], 1)
    assert "discriminator_multi_resolution" not in early and not any(changed(before, second))
    late = model.step([waveform], 2)
    assert "discriminator_multi_resolution" in late and all(changed(before, second))


def test_all_of_the_codec_learns(model, waveform):
    before = weights(model.network)
    model.step([waveform], 0)
    names = [name for name, _ in model.network.named_parameters()]
    left = [n for n, moved in zip(names, changed(before, model.network), strict=True) if not moved]
    # what a normalisation cancels has no gradient
    assert all(name.endswith(("bias", "conv1.weight")) or "norm" in name for name in left), left


@pytest.mark.parametrize("quantize", [True, False])
def test_distillation_teaches_the_encoder(quantize):
    """By the vectors of the first codebook, straight through to the latents."""
    features = torch.randn(2, 6, 20, generator=torch.Generator().manual_seed(1))
    teacher = types.SimpleNamespace(width=6)
    taught = Distillation(DistillationConfig(teacher="t", weight=1.0), teacher, 8000, 4)
    taught._teacher = [lambda waveform, rate: TeacherFeatures(features, 20)]
    quantizer = VectorQuantizer(8, 4)
    quantizer.codebook.copy_(torch.randn(8, 4))
    waveform = torch.randn(2, 1, 80, generator=torch.Generator().manual_seed(2))
    encoder = torch.nn.Conv1d(1, 4, 4, stride=4)
    latents = encoder(waveform)
    codes = quantizer.encode(latents) if quantize else None
    taught(waveform, Output(waveform, latents, codes, {}), quantizer).backward()
    assert encoder.weight.grad.abs().min() > 0 and encoder.bias.grad.abs().min() > 0
    assert taught.projection.weight.grad.abs().max() > 0


def test_semantic_vectors_are_taught_where_a_network_has_them():
    features = TeacherFeatures(torch.randn(1, 6, 5), 5)
    teacher = types.SimpleNamespace(width=6)
    taught = Distillation(DistillationConfig(teacher="t", weight=1.0), teacher, 8000, 4)
    taught._teacher = [lambda waveform, rate: features]
    latents, semantic = (torch.randn(1, 4, 5, requires_grad=True) for _ in range(2))
    sound = torch.zeros(1, 1, 20)
    taught(sound, Output(sound, latents, None, {}, semantic), None).backward()
    assert semantic.grad.abs().min() > 0 and latents.grad is None


def scored(scores, monkeypatch):
    """Validations get these scores, in order."""
    left = iter(scores)
    monkeypatch.setattr(Reconstruction, "score", lambda self, found: next(left))


@pytest.mark.parametrize(("scores", "best"), [((3.0, 1.0, 2.0), 2), ((3.0, 2.0, 1.0), 3)])
def test_the_checkpoint_with_the_lowest_score_comes_out(
    corpus, tmp_path, monkeypatch, scores, best
):
    scored(scores, monkeypatch)
    recipe = write_recipe(tmp_path / "tiny.yaml", corpus)
    overrides = ["steps=3", "validate_every=1", "quantizer.start_step=0"]
    result, written = train(recipe, overrides, tmp_path / "run"), tmp_path / "run"
    state, metadata = checkpoints.read_state(result)
    last, _ = checkpoints.read_state(written / "last.safetensors")
    assert metadata["step"] == str(best)
    assert torch.equal(state["head.linear.weight"], last["head.linear.weight"]) == (best == 3)
    lines = [json.loads(line) for line in (written / "log.jsonl").read_text().splitlines()]
    mel = lines[best - 1]["validation"]["mel"]
    assert f"| mel | {mel:.4g} |" in (written / "README.md").read_text()
    assert f"at step {best};" in (written / "README.md").read_text()


def test_the_score_is_the_weighted_sum():
    from audiotok.training.settings import LossConfig

    losses = Reconstruction(LossConfig(mel_bands={256: 20}, mel=2.0, waveform_l1=0.5), 8000)
    assert losses.score({"mel": 3.0, "waveform_l1": 4.0, "stoi": 9.0, "commitment": 7.0}) == 8.0


def test_validation_is_in_evaluation_mode_and_leaves_training_mode(corpus, tmp_path, monkeypatch):
    modes = []
    whole = Validation.__call__

    def watched(self, network, *args, **kwargs):
        handle = network.register_forward_hook(
            lambda module, inputs, output: modes.append(
                {part.training for part in module.modules()} | {torch.is_grad_enabled()}
            )
        )
        found = whole(self, network, *args, **kwargs)
        handle.remove()
        modes.append({part.training for part in network.modules()})
        return found

    monkeypatch.setattr(Validation, "__call__", watched)
    recipe = write_recipe(tmp_path / "tiny.yaml", corpus)
    train(recipe, ["steps=1", "validate_every=1", "quantizer.start_step=0"], tmp_path / "run")
    *during, after = modes
    assert len(during) == 2 and all(mode == {False} for mode in during)
    assert after == {True}


def test_codebooks_start_by_as_many_iterations_as_the_recipe_says():
    latents = torch.randn(1, 3, 400, generator=torch.Generator().manual_seed(0))
    rows = latents[0].T
    found = {}
    for iterations in (1, 2, 20):
        quantizer = VectorQuantizer(16, 3)
        settings = QuantizerConfig(kmeans_latents=400, kmeans_iterations=iterations)
        codebooks = Codebooks(quantizer, settings, seed=5)
        codebooks.start(lambda least: latents, 400)
        generator = torch.Generator().manual_seed(5)
        expected = k_means(rows, 16, iterations, generator)
        assert torch.equal(quantizer.codebook, expected)
        distances = torch.cdist(rows, quantizer.codebook).amin(1)
        found[iterations] = distances.square().mean().item()
    random = torch.cdist(rows, rows[:16]).amin(1).square().mean().item()
    assert random > found[1] > found[2] > found[20]


def test_k_means_iterates_to_the_means_of_its_cells():
    rows = torch.randn(60, 2, generator=torch.Generator().manual_seed(3))
    centres = k_means(rows, 4, 50, torch.Generator().manual_seed(0))
    cells = torch.cdist(rows, centres).argmin(1)
    means = torch.stack([rows[cells == number].mean(0) for number in range(4)])
    torch.testing.assert_close(centres, means)
    start = k_means(rows, 4, 0, torch.Generator().manual_seed(0))
    assert all((rows == centre).all(1).any() for centre in start) and math.isfinite(start.sum())


def test_frozen_codebooks_stay_what_k_means_made_of_them():
    latents = torch.randn(1, 3, 400, generator=torch.Generator().manual_seed(0))
    moved = {}
    for frozen in (False, True):
        quantizer = VectorQuantizer(16, 3)
        settings = QuantizerConfig(kmeans_latents=400, frozen=frozen)
        codebooks = Codebooks(quantizer, settings, seed=5)
        codebooks.start(lambda least: latents, 400)
        before = quantizer.codebook.clone()
        codebooks.update(latents + 1, quantizer.encode(latents + 1))
        moved[frozen] = not torch.equal(before, quantizer.codebook)
    assert moved == {False: True, True: False}
