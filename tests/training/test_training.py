"""Recipes are strict; training learns, resumes bit for bit, and refuses what cannot work."""

import json

import numpy as np
import pytest
import soundfile
import torch
import yaml

import audiotok
from audiotok import assets, checkpoints
from audiotok.errors import CheckpointError, CodecError, RecipeError
from audiotok.training import load_recipe, train
from audiotok.training.crops import Crops, split_speakers
from audiotok.training.trainer import _Run

TINY = {
    "name": "tiny",
    "family": "wavtokenizer",
    "steps": 12,
    "validate_every": 4,
    "model": {
        "sample_rate": 8000,
        "strides": [2, 4, 4, 5],
        "dimension": 8,
        "codebook_size": 16,
        "num_filters": 2,
        "num_lstm_layers": 1,
        "backbone_dim": 64,
        "backbone_intermediate_dim": 64,
        "backbone_layers": 1,
        "num_conditions": 1,
    },
    "data": {"corpus": "", "validation_fraction": 0.34, "crop_seconds": 0.5, "batch_size": 2},
    "loss": {"mel_bands": {256: 20}, "mel": 1.0, "stft": 0.5, "commitment": 0.25},
    "optimizer": {
        "learning_rate": 1e-3,
        "weight_decay": 0.01,
        "warmup_steps": 2,
        "clip_norm": 1.0,
    },
    "quantizer": {"start_step": 3, "kmeans_latents": 60, "kmeans_iterations": 3},
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Three speakers, two clips each, at two rates; one shorter than a crop, one in stereo."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    rows = ["audio\tspeaker"]
    for index in range(6):
        rate, seconds = (8000, 1.5) if index % 2 else (16000, 0.3 if index == 2 else 1.0)
        time = np.arange(int(rate * seconds)) / rate
        tone = 0.3 * np.sin(2 * np.pi * (150 + 60 * index) * time) * (1 + np.sin(9 * time)) / 2
        tone += 0.01 * rng.standard_normal(len(time))
        sound = np.stack([tone, tone], axis=1) if index == 3 else tone
        soundfile.write(folder / f"{index}.wav", sound, rate)
        rows.append(f"{index}.wav\tspeaker{index // 2}")
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def recipe_file(corpus, tmp_path):
    path = tmp_path / "tiny.yaml"
    content = {**TINY, "data": {**TINY["data"], "corpus": str(corpus)}}
    path.write_text(yaml.safe_dump(content))
    return path


def tensors(path):
    return checkpoints.read_state(path)[0]


def test_training_lowers_the_loss_and_leaves_what_it_promises(recipe_file, tmp_path):
    seen = []
    out = tmp_path / "run"
    weights = train(recipe_file, ["steps=60", "validate_every=20"], out, lambda *a: seen.append(a))
    assert [step for step, *_ in seen] == list(range(1, 61))
    first, last = (np.mean([n["mel"] for *_, n in part]) for part in (seen[:10], seen[-10:]))
    assert last < 0.8 * first
    assert {"commitment", "codes_used"} <= seen[-1][-1].keys()
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [20, 40, 60]
    assert 1 <= lines[-1]["validation"]["perplexity"] <= 16
    state, metadata = checkpoints.read_state(weights)
    assert metadata["name"] == "tiny"
    assert state["quantizer.codebook"].shape == (16, 8)
    assert load_recipe(out / "recipe.yaml").steps == 60


def test_an_interrupted_run_goes_on_bit_for_bit(recipe_file, tmp_path):
    whole = train(recipe_file, (), tmp_path / "whole")

    def stop(step, steps, numbers):
        if step == 6:  # between two checkpoints
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe_file, (), tmp_path / "parts", stop)
    parts = train(recipe_file, (), tmp_path / "parts")
    expected, found = tensors(whole), tensors(parts)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[key], found[key]) for key in expected)


def test_a_damaged_state_is_one_line(recipe_file, tmp_path):
    train(recipe_file, ["steps=4"], tmp_path / "run")
    (tmp_path / "run/state.pt").write_bytes(b"x" * 1000)
    with pytest.raises(RecipeError, match="state.pt cannot be read"):
        train(recipe_file, ["steps=4"], tmp_path / "run")


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


def test_a_folder_of_another_recipe_is_refused(recipe_file, tmp_path):
    train(recipe_file, ["steps=4"], tmp_path / "run")
    with pytest.raises(RecipeError, match="another recipe"):
        train(recipe_file, ["steps=5"], tmp_path / "run")


def test_no_speaker_is_on_both_sides(recipe_file):
    run = _Run(load_recipe(recipe_file), recipe_file.parent)
    from audiotok import data

    train_clips, validation = split_speakers(data.load(run.recipe.data.corpus), run.recipe)
    assert len(train_clips) + len(validation) == 6
    assert not {c.speaker for c in train_clips} & {c.speaker for c in validation}


def test_crops_depend_on_their_number_alone(recipe_file):
    from audiotok import data

    recipe = load_recipe(recipe_file, ["data.gain_db=[-6, 6]"])
    clips, _ = split_speakers(data.load(recipe.data.corpus), recipe)
    one, other = Crops(clips, recipe), Crops(clips, recipe)
    drawn = [one[i] for i in (3, 1, 2)]
    assert all(crop.shape == (1, 4000) for crop in drawn)
    assert torch.equal(other[2], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])


def test_a_loss_that_is_not_finite_stops_the_run(recipe_file, tmp_path):
    with pytest.raises(RecipeError, match="not finite"):
        train(
            recipe_file, ["optimizer.learning_rate=1e30", "data.crop_seconds=0.25"], tmp_path / "r"
        )


def test_the_recipe_that_ships_is_the_codec_that_ships():
    from audiotok.codecs.wavtokenizer import _MINI, WavTokenizer

    path = assets.find("recipes", "wavtokenizer-mini", RecipeError)
    recipe = load_recipe(path)
    assert recipe.model == _MINI
    assert recipe.name == WavTokenizer.DEFAULT
    assert len(set(recipe.data.clips)) == 251


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stepps=3", "unknown key 'stepps'; did you mean 'steps'"),
        ("model.stride=[2]", "unknown key 'model.stride'; did you mean 'strides'"),
        ("steps=many", "steps = 'many'"),
        ("steps=0", "steps = 0"),
        ("steps", "has no '='"),
        ("steps.more=1", "holds no keys"),
        ("family=other", "has no trainer"),
        ("quantizer.start_step=12", "not before the last of 12 steps"),
        ("quantizer.kmeans_latents=15", "below model.codebook_size"),
        ("data.crop_seconds=0.01", "shorter than the longest window"),
        ("data.validation_fraction=0.01", "leave 6 clips to train on and 0"),
        ("data.clips=[nine]", "1 of 1 clips of the recipe are not in corpus"),
        ("data.corpus=/nowhere/at/all", "neither a file"),
    ],
)
def test_what_cannot_work_is_explained(override, message, recipe_file, tmp_path):
    from audiotok.errors import AudiotokError

    with pytest.raises(AudiotokError, match=message) as caught:
        train(recipe_file, [override], tmp_path / "run")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["a: [1", "- 1\n- 2\n", "\x00", ""])
def test_files_that_are_no_recipe(content, tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text(content)
    with pytest.raises(RecipeError):
        load_recipe(path)


def test_a_codebook_needs_latents_to_start_from(recipe_file):
    few = ["quantizer.start_step=11", "data.batch_size=1", "data.crop_seconds=0.1"]
    with pytest.raises(RecipeError, match="see 5 latents, fewer than model.codebook_size 16"):
        load_recipe(recipe_file, few)


def test_a_recipe_written_out_reads_back_equal(recipe_file, tmp_path):
    recipe = load_recipe(recipe_file)
    (tmp_path / "again.yaml").write_text(recipe.to_yaml())
    assert load_recipe(tmp_path / "again.yaml") == recipe
