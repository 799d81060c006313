"""The training loop: steps, validation, full-state checkpoints, resume.

A run folder holds the resolved recipe, `log.jsonl` (one line per validation), `state.pt` (all that
a resume needs) and `model.safetensors` (the weights with the best validation loss).
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiotok import checkpoints, data
from audiotok.errors import RecipeError
from audiotok.nn.losses import MultiResolutionSpectralLoss
from audiotok.nn.quantizers import CodebookLearner
from audiotok.nn.wavtokenizer import Output, WavTokenizerNetwork
from audiotok.training.crops import Crops, batches, split_speakers, validation_waveforms
from audiotok.training.recipe import Recipe, load_recipe

Report = Callable[[int, int, dict[str, float]], None]  # step, steps, losses


def train(
    recipe: Recipe | str | Path,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    report: Report | None = None,
) -> Path:
    """Train a codec; a run folder that holds a state of the same recipe goes on from there.

    Args:
        recipe: a recipe or the path of one.
        overrides: `key=value` changes to it.
        out: run folder; `runs/<name>` if None.
        report: called after every step with its number, the number of all steps, and its losses.

    Returns:
        The path of the weights with the best validation loss, as safetensors.

    Raises:
        RecipeError: the recipe or its data do not fit, the folder belongs to another recipe, or a
            loss stopped being finite.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe, overrides)
    folder = Path(out or Path("runs") / recipe.name)
    folder.mkdir(parents=True, exist_ok=True)
    _claim(folder / "recipe.yaml", recipe)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    run = _Run(recipe, folder)
    run.resume()
    run.train(report or (lambda step, steps, numbers: None))
    return folder / "model.safetensors"


def _claim(path: Path, recipe: Recipe) -> None:
    if path.exists() and load_recipe(path) != recipe:
        raise RecipeError(
            f"{path} holds another recipe: a run is never continued with changed settings; "
            "choose another folder, or delete this one"
        )
    _replace(path, lambda temporary: temporary.write_text(recipe.to_yaml(), encoding="utf-8"))


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    temporary = path.with_name(path.name + ".partial")
    write(temporary)
    os.replace(temporary, path)


class _Run:
    """The state of one training run."""

    def __init__(self, recipe: Recipe, folder: Path):
        self.recipe, self.folder = recipe, folder
        torch.manual_seed(recipe.seed)
        self.network = WavTokenizerNetwork(recipe.model)
        self.learner = CodebookLearner(self.network.quantizer)
        self.loss = MultiResolutionSpectralLoss(recipe.model.sample_rate, recipe.loss.mel_bands)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(),
            lr=recipe.optimizer.learning_rate,
            betas=recipe.optimizer.betas,
            weight_decay=recipe.optimizer.weight_decay,
        )
        clips, validation = split_speakers(data.load(recipe.data.corpus), recipe)
        self.crops = Crops(clips, recipe)
        self.validation = validation_waveforms(validation, recipe.model.sample_rate)
        self.step, self.best, self.seconds = 0, math.inf, 0.0

    def train(self, report: Report) -> None:
        started = time.monotonic() - self.seconds
        self.network.train()
        for waveform in batches(self.crops, self.step):
            if self.step == self.recipe.quantizer.start_step:
                self._start_codebook()
            numbers = self._train_step(waveform)
            self.step += 1
            self.seconds = time.monotonic() - started
            report(self.step, self.recipe.steps, numbers)
            if self.step % self.recipe.validate_every == 0 or self.step == self.recipe.steps:
                self._validate(numbers)
                self._save()

    def _train_step(self, waveform: Tensor) -> dict[str, float]:
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        total, numbers, output = self._losses(waveform)
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        clip_norm = self.recipe.optimizer.clip_norm
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), clip_norm)
        if not torch.isfinite(norm):
            raise RecipeError(
                f"step {self.step}: the gradient is not finite, losses {numbers}; the state of the "
                f"last validation is in {self.folder}: lower optimizer.learning_rate"
            )
        self.optimizer.step()
        if output.codes is not None:
            self.learner.update(output.latents, output.codes)
        return numbers

    def _losses(self, waveform: Tensor) -> tuple[Tensor, dict[str, float], Output]:
        weights = self.recipe.loss
        output = self.network(waveform, self._quantizing)
        reconstruction = output.waveform[:, 0, : waveform.shape[-1]]
        mel, stft = self.loss(waveform[:, 0], reconstruction)
        total = weights.mel * mel + weights.stft * stft
        numbers = {"mel": mel.item(), "stft": stft.item()}
        if output.codes is not None:
            total = total + weights.commitment * output.commitment
            numbers["commitment"] = output.commitment.item()
            numbers["codes_used"] = output.codes.unique().numel()
        return total, numbers, output

    @property
    def _quantizing(self) -> bool:
        return self.step >= self.recipe.quantizer.start_step

    def _learning_rate(self) -> float:
        settings = self.recipe.optimizer
        warm_up = min(1.0, (self.step + 1) / max(1, settings.warmup_steps))
        cosine = (1 + math.cos(math.pi * self.step / self.recipe.steps)) / 2
        return settings.learning_rate * warm_up * cosine

    @torch.no_grad()
    def _start_codebook(self) -> None:
        """k-means on latents of the crops to come."""
        settings, latents, found = self.recipe.quantizer, [], 0
        for waveform in batches(self.crops, self.step):
            rows = self.network.encoder(waveform).transpose(1, 2).flatten(0, 1)
            latents.append(rows)
            found += rows.shape[0]
            if found >= settings.kmeans_latents:
                break
        rows_per_step = len(latents[0])
        self.learner.start(torch.cat(latents), settings.kmeans_iterations, rows_per_step)

    @torch.no_grad()
    def _validate(self, numbers: dict[str, float]) -> None:
        self.network.eval()
        losses, codes = [], []
        for waveform in self.validation:
            _, row, output = self._losses(waveform)
            losses.append(row)
            if output.codes is not None:
                codes.append(output.codes.flatten())
        self.network.train()
        line = {name: sum(row[name] for row in losses) / len(losses) for name in ("mel", "stft")}
        if codes:
            counts = torch.bincount(torch.cat(codes), minlength=self.recipe.model.codebook_size)
            shares = counts[counts > 0] / counts.sum()
            line["codes_used"] = len(shares)
            line["perplexity"] = shares.log().mul(shares).sum().neg().exp().item()
        self._log(
            {
                "step": self.step,
                "seconds": round(self.seconds, 1),
                "validation": line,
                "train": numbers,
            }
        )
        score = self.recipe.loss.mel * line["mel"] + self.recipe.loss.stft * line["stft"]
        if self._quantizing and score < self.best:
            self.best = score
            self._export()

    def _log(self, line: dict[str, Any]) -> None:
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")

    def _export(self) -> None:
        metadata = {
            "family": self.recipe.family,
            "name": self.recipe.name,
            "config": self.recipe.model.model_dump_json(),
            "step": str(self.step),
        }
        checkpoints.save(self.folder / "model.safetensors", self.network.state_dict(), metadata)

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "learner": self.learner.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "best": self.best,
            "seconds": self.seconds,
            "random": torch.get_rng_state(),
        }
        _replace(self.folder / "state.pt", lambda temporary: torch.save(state, temporary))

    def resume(self) -> None:
        path = self.folder / "state.pt"
        if not path.exists():
            return
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged file may raise anything
            raise RecipeError(
                f"{path} cannot be read ({type(error).__name__}): delete the folder to start again"
            ) from error
        self.network.load_state_dict(state["network"])
        self.learner.load_state_dict(state["learner"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.best, self.seconds = state["step"], state["best"], state["seconds"]
        torch.set_rng_state(state["random"])
