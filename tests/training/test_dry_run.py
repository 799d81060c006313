"""A dry run says what a recipe costs and keeps nothing; the verb `train` and its options."""

import re

import pytest
from support.training_kit import ADVERSARIAL, write_recipe
from typer.testing import CliRunner

from audiotok import cli
from audiotok.cli import show
from audiotok.errors import RecipeError
from audiotok.training import dry_run
from audiotok.training.model import Model


def test_a_dry_run_says_what_a_recipe_costs(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = write_recipe(tmp_path / "tiny.yaml", corpus, accumulate=2, **ADVERSARIAL)
    text = "\n".join(dry_run(recipe, ["steps=7200"]))
    for expected in (
        "tiny: wavtokenizer, 8000 Hz, 50 frames per second",
        "waveform (2, 1, 4000), 1 processes, 2 passes per step: 2 s of sound",
        "latents (2, 8, 25), codes (2, 1, 25) of 16, waveform out (2, 1, 4000)",
        "4 recordings of 2 speakers",
        "parameters: codec 73,149 (encoder 17,851, backbone 34,112, head 21,186)",
        "parameters: discriminator multi_period 236",
    ):
        assert expected in text
    memory = float(re.search(r"memory: ([\d.]+) GiB", text)[1])
    speed = float(re.search(r"speed: (\S+) steps per second over 8 steps on cpu", text)[1])
    hours = float(re.search(r"time: 7200 steps take (\S+) hours", text)[1])
    assert 0.1 < memory < 30
    assert hours == pytest.approx(2 / speed, rel=0.02)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


def test_a_dry_run_without_a_quantizer_starts_no_codebooks(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(Model, "start_codebooks", None)
    recipe = write_recipe(tmp_path / "tiny.yaml", corpus, quantizer={"start_step": None})
    assert any("steps per second" in line for line in dry_run(recipe))


def test_the_verb(corpus, tmp_path):
    recipe = str(write_recipe(tmp_path / "tiny.yaml", corpus))
    runner, out = CliRunner(), str(tmp_path / "run")
    dry = runner.invoke(cli.app, ["train", recipe, "--dry-run", "--cpu"])
    assert dry.exit_code == 0 and "steps per second" in dry.stdout
    early = runner.invoke(cli.app, ["train", recipe, "--out", out, "--resume"])
    assert isinstance(early.exception, RecipeError) and "no state to resume" in str(early.exception)
    done = runner.invoke(cli.app, ["train", recipe, "steps=4", "--out", out])
    assert done.exit_code == 0 and done.stdout.strip().endswith("run/model.safetensors")
    again = runner.invoke(cli.app, ["train", recipe, "steps=4", "--out", out, "--resume"])
    assert again.exit_code == 0
    both = runner.invoke(cli.app, ["train", recipe, "--out", out, "--resume", "--fresh"])
    assert "give one of them" in str(both.exception)


def test_only_the_first_process_speaks(monkeypatch):
    assert show.first_process()
    monkeypatch.setenv("RANK", "1")
    assert not show.first_process()
