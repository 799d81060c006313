"""Training learns, leaves what it promises, goes on bit for bit, and says when it goes wrong."""

import json

import numpy as np
import pytest
import torch
import yaml
from support.training_kit import (
    ADVERSARIAL,
    SLOW,
    TINY,
    assert_close_states,
    same_state,
    same_tensors,
    write_recipe,
)

import audiotok
from audiotok.codec import checkpoints
from audiotok.errors import CheckpointError, CodecError, RecipeError
from audiotok.nn.mini import MiniConfig
from audiotok.training import load_recipe, train
from audiotok.training.monitor import Usage, check_finite, perplexity
from audiotok.training.settings import StopConfig


def tensors(path):
    return checkpoints.read_state(path)[0]


def test_training_lowers_the_loss_and_leaves_what_it_promises(corpus, tmp_path):
    recipe = write_recipe(tmp_path / "tiny.yaml", corpus)
    seen, out = [], tmp_path / "run"
    overrides = ["steps=60", "validate_every=20", "trackers=[tensorboard]"]
    weights = train(recipe, overrides, out, lambda *a: seen.append(a))
    assert [step for step, *_ in seen] == list(range(1, 61))
    first, last = (np.mean([n["mel"] for *_, n in part]) for part in (seen[:10], seen[-10:]))
    assert last < 0.8 * first
    assert {"commitment", "usage", "perplexity", "dead_codes", "gradient"} <= seen[-1][-1].keys()
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [20, 40, 60]
    assert 1 <= lines[-1]["validation"]["perplexity"] <= 16
    state, metadata = checkpoints.read_state(weights)
    assert metadata["name"] == "tiny"
    assert state["quantizer.codebook"].shape == (16, 8)
    assert state["quantizer.codebook"].dtype == torch.float32
    assert load_recipe(out / "recipe.yaml").steps == 60
    assert checkpoints.read_metadata(out / "last.safetensors")["step"] == "60"
    assert {"packages", "git", "hardware"} <= json.loads(
        (out / "environment.json").read_text()
    ).keys()
    card = (out / "README.md").read_text()
    assert "| Recordings | 4 |" in card and "steps: 60" in card and "| mel |" in card
    events = b"".join(path.read_bytes() for path in out.glob("tensorboard/events*"))
    for part in (b"train/mel", b"validation/perplexity", b"reconstruction", b"audio/wav", b"PNG"):
        assert part in events


def test_what_was_trained_loads_by_its_path(recipe_file, corpus, tmp_path):
    weights = train(recipe_file, (), tmp_path / "run")
    codec = audiotok.load(weights)
    assert codec.card.name.startswith("tiny@")
    assert (codec.sample_rate, codec.hop_length, codec.codebook_sizes) == (8000, 160, (16,))
    sound = codec.reconstruct(corpus / "0.wav")
    assert (sound.sample_rate, sound.num_samples) == (16000, 16000)
    with pytest.raises(CodecError, match="holds its weights"):
        audiotok.load(weights, checkpoint=weights)
    with pytest.raises(CheckpointError, match="is not wavtokenizer-mini"):
        audiotok.load("wavtokenizer-mini", checkpoint=weights)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        ADVERSARIAL | {"accumulate": 2, "balancer": {"total_norm": 10.0}},
        ADVERSARIAL | {"precision": "bf16", "data": {"workers": 0, "gain_db": [-6, 3]}},
    ],
)
def test_an_interrupted_run_goes_on_bit_for_bit(corpus, tmp_path, changes):
    recipe = write_recipe(tmp_path / "tiny.yaml", corpus, **changes)
    train(recipe, (), tmp_path / "whole")

    def stop(step, steps, numbers):
        if step == 6:  # between two checkpoints
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, (), tmp_path / "parts", stop)
    torch.manual_seed(99)  # what happens in between does not matter
    notes = []
    train(recipe, (), tmp_path / "parts", note=notes.append)
    assert notes == ["going on from step 4 of 8"]
    assert same_state(tmp_path / "whole/state.pt", tmp_path / "parts/state.pt")
    for name in ("model.safetensors", "last.safetensors"):
        assert same_tensors(tmp_path / "whole" / name, tmp_path / "parts" / name)


def test_a_run_that_is_complete_stays_as_it_is(recipe_file, tmp_path):
    weights = train(recipe_file, (), tmp_path / "run")
    before = weights.read_bytes()
    steps = []
    assert train(recipe_file, (), tmp_path / "run", lambda *a: steps.append(a)) == weights
    assert not steps and weights.read_bytes() == before


def test_accumulated_passes_are_one_of_the_double_batch(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.nn.Dropout, "forward", lambda self, hidden: hidden)
    changes = ADVERSARIAL | SLOW | {"steps": 6, "losses": {"stft": 0.0}}  # no mean over the clips
    recipe = write_recipe(tmp_path / "tiny.yaml", corpus, **changes)
    train(recipe, ["accumulate=2"], tmp_path / "two")
    train(recipe, ["data.batch_size=4"], tmp_path / "one")
    assert_close_states(tmp_path / "one/state.pt", tmp_path / "two/state.pt")


def test_a_damaged_state_is_one_line(recipe_file, tmp_path):
    train(recipe_file, ["steps=4"], tmp_path / "run")
    (tmp_path / "run/state.pt").write_bytes(b"x" * 1000)
    with pytest.raises(RecipeError, match="state.pt cannot be read.*--fresh"):
        train(recipe_file, ["steps=4"], tmp_path / "run")


def test_folders_are_never_taken_or_deleted_in_silence(recipe_file, tmp_path):
    with pytest.raises(RecipeError, match="holds no state to resume"):
        train(recipe_file, ["steps=4"], tmp_path / "run", resume=True)
    assert not (tmp_path / "run").exists()
    weights = train(recipe_file, ["steps=4"], tmp_path / "run")
    with pytest.raises(RecipeError, match=r"another recipe \(steps 4 there, 5 here\)"):
        train(recipe_file, ["steps=5"], tmp_path / "run")
    before, notes = weights.read_bytes(), []
    train(recipe_file, ["steps=5"], tmp_path / "run", note=notes.append, fresh=True)
    assert "run.old-1" in notes[0]
    assert (tmp_path / "run.old-1/model.safetensors").read_bytes() == before
    assert load_recipe(tmp_path / "run/recipe.yaml").steps == 5

    def meanwhile(step, steps, numbers):
        train(recipe_file, ["steps=6"], tmp_path / "busy")

    with pytest.raises(RecipeError, match="another process trains in"):
        train(recipe_file, ["steps=6"], tmp_path / "busy", meanwhile)


def test_finetuning_goes_on_from_the_weights(recipe_file, corpus, tmp_path):
    weights = train(recipe_file, (), tmp_path / "run")
    changes = {"start_from": str(weights), "quantizer": {"start_step": 0}}
    tune = write_recipe(tmp_path / "tune.yaml", corpus, **changes)
    text = tune.read_text()
    tune.write_text(text[: text.index("model:")] + text[text.index("name:") :])  # without a model
    assert load_recipe(tune).model == load_recipe(recipe_file).model
    small = ["steps=1", "optimizer.learning_rate=1.0e-9", "quantizer.decay=0.99999"]
    before, after = tensors(weights), tensors(train(tune, small, tmp_path / "tuned"))
    for key in before:
        torch.testing.assert_close(after[key], before[key], rtol=1e-3, atol=1e-3)
    assert not torch.equal(after["quantizer.codebook"], before["quantizer.codebook"])
    with pytest.raises(RecipeError, match="model.dimension is 16, but 8 in start_from"):
        other = write_recipe(tmp_path / "other.yaml", corpus, **changes)
        train(other, ["model.dimension=16"], tmp_path / "other")


def test_another_quantizer_takes_the_place_of_the_checkpoints(recipe_file, corpus, tmp_path):
    weights = train(recipe_file, ["model.backbone_dim=64"], tmp_path / "run")
    model = {key: value for key, value in TINY["model"].items() if key in MiniConfig.model_fields}
    rvq = {"kind": "rvq", "num_codebooks": 2, "codebook_size": 16}
    changes = {
        "family": "mini",
        "start_from": str(weights),
        "quantizer": TINY["quantizer"] | {"new": True, "start_step": 1},
    }
    other = write_recipe(tmp_path / "other.yaml", corpus, **changes)
    content = yaml.safe_load(other.read_text()) | {
        "model": model | {"backbone_dim": 64, "quantizer": rvq}
    }
    other.write_text(yaml.safe_dump(content))
    small = ["steps=2", "validate_every=1", "optimizer.learning_rate=1.0e-9"]
    before, after = tensors(weights), tensors(train(other, small, tmp_path / "other"))
    assert after["quantizer.codebooks"].abs().sum() > 0
    for key in before.keys() - {"quantizer.codebook"}:
        torch.testing.assert_close(after[key], before[key], rtol=1e-3, atol=1e-3)
    with pytest.raises(RecipeError, match=r"has shape \(\d+,.* in this recipe, but \(\d+,"):
        train(other, [*small, "model.dimension=16"], tmp_path / "wider")
    with pytest.raises(RecipeError, match="is a wavtokenizer, not a mini"):
        train(other, [*small, "quantizer.new=false"], tmp_path / "same")
    with pytest.raises(RecipeError, match="only beside start_from"):
        train(other, [*small, "start_from=null"], tmp_path / "alone")


def test_a_frozen_discriminator_stays_random_and_has_a_part(corpus, tmp_path):
    quirk = [dict(ADVERSARIAL["discriminators"][0], frozen=True)]
    recipe = write_recipe(tmp_path / "tiny.yaml", corpus, discriminators=quirk)
    states, seen = [], []
    for steps in (1, 4):
        train(
            recipe,
            [f"steps={steps}", "quantizer.start_step=0"],
            tmp_path / str(steps),
            lambda *a: seen.append(a[-1]),
        )
        states.append(torch.load(tmp_path / f"{steps}/state.pt", weights_only=True))
    first, last = (state["discriminators"] for state in states)
    assert all(torch.equal(first[key], last[key]) for key in first)
    assert "adversarial_multi_period" in seen[-1] and "discriminator_multi_period" not in seen[-1]


def test_a_loss_that_is_not_finite_stops_the_run(recipe_file, tmp_path):
    with pytest.raises(RecipeError, match=r"step \d+: not finite: .*lower the learning rate"):
        train(recipe_file, ["optimizer.learning_rate=1e30"], tmp_path / "run")
    with pytest.raises(RecipeError, match=r"step 3: not finite: mel nan \(beside stft 1\)"):
        check_finite(3, {"mel": float("nan"), "stft": 1.0}, "runs/x")


def test_a_codebook_that_collapses_stops_the_run(recipe_file, tmp_path):
    few = ["data.batch_size=1", "data.crop_seconds=0.1", "quantizer.kmeans_latents=16"]
    few += ["stop.usage_below=0.9", "stop.for_steps=2", "log_every=1", "steps=30"]
    with pytest.raises(RecipeError, match=r"codebook 0 has collapsed: \d+ of 16 codes in 2 steps"):
        train(recipe_file, few, tmp_path / "run")


def test_usage_counts_codes():
    usage = Usage([4, 8], StopConfig(for_steps=2, usage_below=0.2))
    usage.update(torch.tensor([[[0, 1, 1, -1], [7, 7, 7, 7]]]))
    assert usage.numbers() == {
        "usage": 1 / 8,
        "perplexity": pytest.approx((np.exp(0.6365) + 1) / 2, rel=1e-3),
        "dead_codes": 9,
    }
    usage.update(torch.tensor([[[2, 2], [-1, -1]]]))  # the second codebook was left out
    assert usage.numbers()["dead_codes"] == 1 + 7
    usage.update(torch.tensor([[[2, 2], [6, 6]]]))
    assert usage.numbers()["dead_codes"] == 3 + 7  # what was met three steps ago counts no more
    with pytest.raises(RecipeError, match="codebook 1 has collapsed: 1 of 8 codes"):
        usage.check()
    torch.testing.assert_close(perplexity(torch.ones(1, 5)), torch.tensor([5.0]))
