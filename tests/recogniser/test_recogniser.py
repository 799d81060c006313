"""A recogniser learns tones that stand for phones, stops and goes on, and becomes a teacher."""

import json

import numpy as np
import pytest
import soundfile
import torch
import yaml
from safetensors.torch import load_file
from support.training_kit import same_state

from audiotok.errors import CorpusError, RecipeError
from audiotok.recogniser.augment import augment
from audiotok.recogniser.model import Recogniser, collapse, transcribe
from audiotok.recogniser.phones import PHONES, classes_of
from audiotok.recogniser.recipe import AugmentConfig, load
from audiotok.recogniser.training import train
from audiotok.system import assets
from audiotok.training import load_recipe
from audiotok.training.settings import DistillationConfig
from audiotok.training.teacher import Teacher

pytest.importorskip("transformers")
pytest.importorskip("pocketsphinx")
TINY = {
    "name": "tiny",
    "encoder": {"dimension": 64, "layers": 1, "heads": 2, "seconds": 1.0},
    "batch": 8,
    "steps": 50,
    "validate_every": 25,
    "optimizer": {
        "learning_rate": 3e-3,
        "schedule": "constant",
        "warmup_steps": 10,
        "clip_norm": 1.0,
    },
}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The words a, see and go: a tone for each of their phones."""
    folder, rng = tmp_path_factory.mktemp("tones"), np.random.default_rng(0)
    rows = ["audio\ttext\tsplit"]
    for number in range(36):
        words = rng.choice(["a", "see", "go"], rng.integers(1, 3))
        parts = [np.zeros(800)]
        for phone in classes_of(" ".join(words)):
            time = np.arange(2000) / 16000
            parts += [0.3 * np.sin(2 * np.pi * 150 * phone * time), np.zeros(600)]
        sound = np.concatenate(parts) + 0.001 * rng.standard_normal(sum(map(len, parts)))
        soundfile.write(folder / f"{number}.wav", sound[:16000], 16000)
        rows.append(f"{number}.wav\t{' '.join(words)}\t{'train' if number < 30 else 'test'}")
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def recipe(corpus, tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(yaml.safe_dump(TINY | {"corpus": str(corpus)}))
    return path


@pytest.fixture(scope="module")
def run(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "whole"
    train(recipe, (), folder, cpu=True)
    return folder


def test_it_learns(run):
    scores = [json.loads(line)["phone_error_rate"] for line in (run / "log.jsonl").open()]
    assert len(scores) == 2 and scores[-1] < 0.2


def test_its_encoder_teaches(run, corpus):
    settings = DistillationConfig(teacher=str(run / "encoder"), layer="last", weight=1)
    teacher = Teacher(settings, torch.device("cpu"))
    model = Recogniser(load(run / "recipe.yaml").encoder)
    model.load_state_dict(torch.load(run / "state.pt", weights_only=True)["model"])
    model.encoder.load_state_dict(load_file(run / "encoder" / "model.safetensors"))  # the best
    sound = torch.from_numpy(soundfile.read(corpus / "0.wav", dtype="float32")[0])[:12_000]
    decoded = teacher(sound[None, None], 16000)
    frames = model.frames(len(sound))
    assert decoded.features.shape == (1, 64, 50)  # of 1 s
    assert abs(decoded.frames - frames) <= 1 and frames < 45
    with torch.no_grad():
        odds = model.eval().head(decoded.features.mT)
    assert collapse(odds[0, :frames].argmax(-1).tolist()) == transcribe(model, sound)


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(recipe, run, tmp_path):
    def stop(step, steps, numbers):
        if step == 26:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, (), tmp_path / "run", report=stop, cpu=True)
    train(recipe, (), tmp_path / "run", resume=True, cpu=True)
    assert same_state(tmp_path / "run/state.pt", run / "state.pt")
    assert len((tmp_path / "run/log.jsonl").read_text().splitlines()) == 2


def test_words_to_phones():
    assert [PHONES[number - 1] for number in classes_of("The cat's")] == [
        "DH",
        "AH",
        "K",
        "AE",
        "T",
        "S",
    ]
    assert len(PHONES) == 39
    with pytest.raises(CorpusError, match="the CMU dictionary has no 'xqzt', in 'a xqzt'"):
        classes_of("a xqzt")


def test_best_paths_collapse():
    assert collapse([0, 3, 3, 0, 3, 5, 5, 0, 0]) == [3, 3, 5]
    assert collapse([]) == []


def test_augmenting():
    sound = torch.sin(torch.arange(16_000) * 2 * torch.pi * 500 / 16_000)
    rng = np.random.default_rng(0)
    assert torch.equal(augment(sound, AugmentConfig(), rng), sound)
    fast = augment(sound, AugmentConfig(pace=(1.25,)), rng)
    assert len(fast) == 12_800
    peak = torch.fft.rfft(fast).abs().argmax() * 16_000 / len(fast)
    assert peak == pytest.approx(625, abs=2)
    noise = augment(sound, AugmentConfig(snr_db=(6, 6)), rng) - sound
    ratio = 10 * torch.log10(sound.square().mean() / noise.square().mean())
    assert ratio == pytest.approx(6, abs=0.01)
    loud = augment(sound, AugmentConfig(gain_db=(-20, -20)), rng)
    torch.testing.assert_close(loud, sound / 10)
    white = torch.randn(16_000, generator=torch.Generator().manual_seed(0))
    low = [
        augment(white, AugmentConfig(equaliser_db=1e-3, low_pass=4000), np.random.default_rng(seed))
        for seed in range(12)
    ]
    above = [torch.fft.rfft(one)[7990:].abs().mean() for one in low]
    assert 2 <= sum(level < 5 for level in above) <= 7  # a third of them end below 8 kHz
    room = augment(sound, AugmentConfig(reverberation=(0.3, 0.3)), np.random.default_rng(2))
    assert len(room) == 16_000 and not torch.equal(room, sound)


def test_what_is_wrong_is_one_line(corpus, recipe, tmp_path):
    for overrides, message in (
        (["encoder.width=3"], "unknown key 'encoder.width'"),
        (["corpus=nowhere"], "nowhere"),
    ):
        with pytest.raises((RecipeError, CorpusError), match=message) as caught:
            train(recipe, overrides, tmp_path / "run", cpu=True)
        assert "\n" not in str(caught.value)
    (tmp_path / "0.wav").write_bytes((corpus / "0.wav").read_bytes())
    (tmp_path / "manifest.tsv").write_text("audio\ttext\n0.wav\ta\n")
    with pytest.raises(CorpusError, match="no clip with a text and split train"):
        train(recipe, [f"corpus={tmp_path}"], tmp_path / "run", cpu=True)


def test_the_recipe_that_ships():
    path = assets.find("recipes", "asr-mini", RecipeError)
    recipe = load(path)
    assert recipe.name == "asr-mini"
    header = path.read_text().partition("\nname:")[0]
    assert header.startswith("# asr-mini: ") and "results/" in header
    with pytest.raises(RecipeError, match="train it with `audiotok train-asr`"):
        load_recipe(path)
