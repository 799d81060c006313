"""Options of a run: no quantizer, a moving average of the weights, metrics on validation."""

import json

import numpy as np
import pytest
import soundfile
import torch
from support.training_kit import same_state, same_tensors, write_recipe

import audiotok
from audiotok.codec import checkpoints
from audiotok.errors import AudiotokError, MetricError
from audiotok.nn.outputs import Output
from audiotok.system.names import Recorded
from audiotok.training import load_recipe, sounds, train
from audiotok.training.objectives import Reconstruction
from audiotok.training.processes import ProcessGroup
from audiotok.training.settings import LossConfig
from audiotok.training.validation import Validation

WITHOUT = {"quantizer": {"start_step": None}}


def tensors(path):
    return checkpoints.read_state(path)[0]


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def test_an_autoencoder_is_where_another_recipe_starts(corpus, tmp_path):
    auto = write_recipe(tmp_path / "auto.yaml", corpus, **WITHOUT)
    weights = train(auto, (), tmp_path / "auto")
    lines = log(tmp_path / "auto")
    assert all("commitment" not in line["train"] | line["validation"] for line in lines)
    assert (tmp_path / "auto/last.safetensors").exists()
    refused = "without a trained quantizer"
    for name, checkpoint in (str(weights), None), ("wavtokenizer-mini", weights):
        with pytest.raises(AudiotokError, match=refused) as error:
            audiotok.load(name, checkpoint)
        assert str(weights) in str(error.value) and "\n" not in str(error.value)
    recorded = Recorded("wavtokenizer-mini", "the header")
    with pytest.raises(AudiotokError, match=refused):
        audiotok.load(recorded, weights)
    with pytest.raises(AudiotokError, match=refused):
        audiotok.load(tmp_path / "auto/last.safetensors")
    before = tensors(weights)
    assert not before["quantizer.codebook"].any()
    changes = {"start_from": str(weights), "quantizer": {"start_step": 0, "new": True}}
    tune = write_recipe(tmp_path / "tune.yaml", corpus, **changes)
    small = ["steps=1", "optimizer.learning_rate=1.0e-9"]
    after = tensors(train(tune, small, tmp_path / "tuned"))
    assert after["quantizer.codebook"].abs().sum() > 0
    assert audiotok.load(tmp_path / "tuned/model.safetensors").card.num_codebooks == 1
    for key in before.keys() - {"quantizer.codebook"}:
        torch.testing.assert_close(after[key], before[key], rtol=1e-3, atol=1e-3)


def test_an_autoencoder_needs_no_start_of_codebooks(corpus, tmp_path):
    changes = {"quantizer": {"start_step": None, "kmeans_latents": None}}
    recipe = load_recipe(write_recipe(tmp_path / "auto.yaml", corpus, **changes))
    assert recipe.quantizer.start_step is None
    (tmp_path / "again.yaml").write_text(recipe.to_yaml())
    assert load_recipe(tmp_path / "again.yaml") == recipe


def test_the_moving_average_is_what_comes_out(corpus, tmp_path):
    """Written out by hand: the weights of each step come from runs without the option."""
    recipe = write_recipe(tmp_path / "tiny.yaml", corpus, validate_every=1, optimizer={
        "learning_rate": 1e-2, "schedule": "constant"})  # fmt: skip
    states = []

    def collect(step, steps, numbers):
        states.append(step)

    for steps in (1, 2, 3, 4):
        train(recipe, [f"steps={steps}", "quantizer.start_step=0"], tmp_path / str(steps))
    plain = [tensors(tmp_path / f"{steps}/last.safetensors") for steps in (1, 2, 3, 4)]
    out = tmp_path / "average"
    train(recipe, ["steps=4", "quantizer.start_step=0", "ema=0.75"], out, report=collect)
    found, key = tensors(out / "last.safetensors"), "head.linear.weight"
    expected = plain[0][key]
    for later in plain[1:]:
        expected = 0.75 * expected + 0.25 * later[key]
    torch.testing.assert_close(found[key], expected)
    assert torch.equal(found["quantizer.codebook"], plain[-1]["quantizer.codebook"])
    state = torch.load(out / "state.pt", weights_only=True)
    assert torch.equal(state["network"][key], plain[-1][key])
    scores = [line["validation"]["mel"] for line in (log(out)[-1], log(tmp_path / "4")[-1])]
    assert scores[0] != scores[1]  # validation is of the average too


def test_a_run_with_an_average_goes_on_bit_for_bit(corpus, tmp_path):
    recipe = write_recipe(tmp_path / "tiny.yaml", corpus, ema=0.9)
    train(recipe, (), tmp_path / "whole")

    def stop(step, steps, numbers):
        if step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, (), tmp_path / "parts", report=stop)
    train(recipe, (), tmp_path / "parts")
    assert same_state(tmp_path / "whole/state.pt", tmp_path / "parts/state.pt")
    for name in ("model.safetensors", "last.safetensors"):
        assert same_tensors(tmp_path / "whole" / name, tmp_path / "parts" / name)


def test_validation_reports_metrics(corpus, tmp_path):
    recipe = write_recipe(tmp_path / "tiny.yaml", corpus, validate_every=8)
    train(recipe, ["data.validation_metrics=[sdr, stft_distance]"], tmp_path / "run")
    found = log(tmp_path / "run")[-1]["validation"]
    assert {"mel", "sdr", "stft_distance"} <= found.keys()
    assert "| sdr |" in (tmp_path / "run/README.md").read_text()


def test_metrics_without_a_value_are_left_out_of_the_mean(tmp_path):
    rng = np.random.default_rng(0)
    for name, level in (("a", 0.1), ("b", 0.2), ("c", 0.0)):
        soundfile.write(tmp_path / f"{name}.wav", level * rng.standard_normal(8000), 8000)

    class Echo(torch.nn.Module):
        def forward(self, waveform, quantize):
            return Output(waveform + 0.1 * waveform.roll(97, -1), waveform, None, {})

    def validated(names):
        validation = Validation(
            sounds.load(str(tmp_path)), names, seconds=None, sample_rate=8000, channels=1,
            metrics=["si_sdr"],
        )  # fmt: skip
        losses = Reconstruction(LossConfig(waveform_l1=1.0), 8000)
        return validation(
            Echo(), losses, sizes=[4], quantize=False, group=ProcessGroup(cpu=True), broken=set()
        ).numbers

    both, all_three = validated([0, 1]), validated([0, 1, 2])
    assert both["si_sdr"] == pytest.approx(20, abs=0.1)
    assert all_three["si_sdr"] == pytest.approx(both["si_sdr"])
    assert all_three["waveform_l1"] == pytest.approx(both["waveform_l1"] * 2 / 3, rel=1e-5)
    assert "si_sdr" not in validated([2])


def test_unknown_metrics_are_explained(recipe_file, tmp_path):
    with pytest.raises(MetricError, match="no metric is named 'stoy'; did you mean 'stoi'"):
        train(recipe_file, ["data.validation_metrics=[stoy]"], tmp_path / "run")
    with pytest.raises(AudiotokError, match="ema"):
        train(recipe_file, ["ema=1"], tmp_path / "run")
