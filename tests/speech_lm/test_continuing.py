"""`audiotok generate`: what is continued, the files and the page, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

import audiotok
from audiotok.cli import app
from audiotok.codec import checkpoints
from audiotok.errors import AudiotokError, CodecError
from audiotok.report import continuations
from audiotok.sound import comments
from audiotok.sound.audio import read
from audiotok.speech_lm import continuing, recipe, trained

CODEC = "rvq-small:codebooks=2,merge=2"
RATE = 16_000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained language model of a bundled codec."""
    codec = audiotok.load(CODEC)
    tiny = recipe.LMRecipe(
        name="x", tokens="t", validation="t", context=2, batch=1, steps=1, validate_every=1,
        optimizer={"learning_rate": 1}, dimension=8, layers=1, heads=2,
    )  # fmt: skip
    strides = tuple(codec.card.strides)
    learnt = trained.TrainingTokens(CODEC, codec.fingerprint, codec.codebook_sizes, strides)
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    state = tiny.model(codec.codebook_sizes, strides).state_dict()
    checkpoints.save(path, state, trained.metadata(tiny, learnt))
    return path


@pytest.fixture(scope="module")
def prompt(tmp_path_factory):
    path = tmp_path_factory.mktemp("prompt") / "clip.wav"
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(RATE), RATE)
    return path


def test_each_begins_with_the_prompt_through_the_codec(model, prompt):
    found = continuing.continue_sound(
        model, prompt, count=3, prompt_seconds=0.5, seconds=0.3, device="cpu"
    )
    codec = audiotok.load(CODEC)
    tokens = codec.encode(prompt)
    frames = round(found.prompt_seconds * codec.frame_rate)
    assert found.prompt_seconds == pytest.approx(0.5, abs=2 / codec.frame_rate)
    for codes, sound in zip(found.codes, found.sounds, strict=True):
        assert torch.equal(codes[..., :frames], tokens.codes[..., :frames].long())
        assert sound.duration == pytest.approx(0.8, abs=4 / codec.frame_rate)
    assert len({one.numpy().tobytes() for one in found.codes}) == 3
    assert found.reference.duration == pytest.approx(found.sounds[0].duration, abs=1e-3)


def test_the_same_seed_goes_on_alike(model, prompt):
    options = {"count": 1, "prompt_seconds": 0.2, "seconds": 0.2, "device": "cpu"}
    first, again, other = (
        continuing.continue_sound(model, prompt, seed=seed, **options).codes[0]
        for seed in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_the_page_and_the_files_say_that_they_are_synthetic(model, prompt, tmp_path):
    out = tmp_path / "out"
    words = ["generate", str(model), "--prompt", str(prompt), "-o", str(out), "-n", "2",
             "--prompt-seconds", "0.3", "--seconds", "0.2", "--device", "cpu"]  # fmt: skip
    run = CliRunner().invoke(app, words)
    assert run.exit_code == 0 and run.stdout.strip().endswith("index.html")
    data = (out / "data.js").read_text().removeprefix("window.listening = ").rstrip(";\n")
    (clip,) = json.loads(data)
    assert [v["name"] for v in clip["versions"]] == ["reference", *continuations.names(2)]
    for name in continuations.names(2):
        about = json.loads(comments.read(out / f"{name}.wav"))
        assert about["synthetic"] is True and about["codec"] == CODEC
        assert read(out / f"{name}.wav").sample_rate == RATE
    heard = out / clip["versions"][1]["file"]
    assert json.loads(comments.read(heard))["made_by"] == "audiotok generate"
    assert not comments.read(out / clip["versions"][0]["file"])
    again = CliRunner().invoke(app, words)
    assert isinstance(again.exception, AudiotokError) and "--overwrite" in str(again.exception)
    assert CliRunner().invoke(app, [*words, "--overwrite"]).exit_code == 0


def test_what_cannot_be_continued_is_one_line(model, prompt, tmp_path):
    options = {"count": 1, "device": "cpu"}
    for lengths in ({"prompt_seconds": 0.001}, {"seconds": 0.001}):
        with pytest.raises(AudiotokError, match=r"at least one step of the model \(0.0.. s\)"):
            continuing.continue_sound(model, prompt, **options, **lengths)
    with pytest.raises(AudiotokError, match="lengths above 0"):
        continuing.continue_sound(model, prompt, seconds=-1, **options)
    with pytest.raises(CodecError, match="was trained on tokens of"):
        continuing.continue_sound(model, prompt, tokenizer="wavtokenizer-mini", **options)
    (tmp_path / "other.txt").write_text("mine")
    with pytest.raises(AudiotokError, match="holds other files"):
        continuations.check(tmp_path, prompt, 1)
