"""Runs killed at random moments, and gone on with, end bit for bit like one that was left alone."""

import json
import multiprocessing
import random
import time

from support.training_kit import ADVERSARIAL, same_state, same_tensors, write_recipe

from audiotok.training import train

OVERRIDES = ["steps=14", "validate_every=6", "save_every=2", "data.workers=2"]


def start(recipe, out):
    """Training in a process of its own."""
    process = multiprocessing.get_context("fork").Process(
        target=train, args=(recipe, OVERRIDES, out)
    )
    process.start()
    return process


def log(folder):
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


def test_killed_runs_end_like_one_left_alone(corpus, tmp_path):
    recipe = write_recipe(tmp_path / "tiny.yaml", corpus, **ADVERSARIAL)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    began = time.monotonic()
    process = start(recipe, whole)
    process.join()
    assert process.exitcode == 0
    lasted = time.monotonic() - began
    rng, kills = random.Random(), 0
    for _ in range(4):
        process = start(recipe, parts)
        process.join(rng.uniform(0.1, 0.7) * lasted)
        if process.exitcode is not None:
            break
        process.kill()  # SIGKILL
        process.join()
        kills += 1
    process = start(recipe, parts)
    process.join()
    assert process.exitcode == 0 and kills >= 1
    assert same_state(whole / "state.pt", parts / "state.pt")
    assert log(whole) == log(parts)
    for name in ("model.safetensors", "last.safetensors"):
        assert same_tensors(whole / name, parts / name)
    assert not list(parts.glob(".*.tmp"))
