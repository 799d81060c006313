"""Training of ResGen by a recipe, on one process or many.

A run's folder is that of a codec's training (`training.trainer`): the resolved recipe,
environment.json, log.jsonl, `state.pt`, `model.safetensors` (the lowest loss in validation).
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from audiotok.errors import RecipeError
from audiotok.training import state
from audiotok.training.folder import Folder, cut_log, environment
from audiotok.training.launch import Report
from audiotok.training.optimisers import (
    clipped_norm,
    learning_rate,
    make_optimizer,
    set_learning_rate,
)
from audiotok.training.processes import ProcessGroup
from audiotok.tts.resgen import trained
from audiotok.tts.resgen.batches import Batches, Utterance
from audiotok.tts.resgen.loss import draw_state, losses
from audiotok.tts.resgen.model import Condition, ResGen, ResGenConfig
from audiotok.tts.resgen.recipe import ResGenRecipe


@dataclass(frozen=True)
class Clips:
    """What a run trains on, read from its folders.

    Attributes:
        training, validation: aligned clips of the recipe's depth.
        about: codec, its fingerprint and rate, and the phones in the order of their ids.
        codebooks: codewords (D, V, H).
        deviations: sigma_j (D,).
    """

    training: list[Utterance]
    validation: list[Utterance]
    about: trained.About
    codebooks: Tensor
    deviations: Tensor


class Run:
    """One training run in its folder."""

    def __init__(self, recipe: ResGenRecipe, folder: Folder, group: ProcessGroup, clips: Clips):
        self.recipe, self.folder, self.group, self.clips = recipe, folder, group, clips
        state.seed_everything(recipe.seed)
        self.model = new_model(recipe, clips).to(group.device)
        group.copy_from_first(self.model)
        frames = [round(s * clips.about.frame_rate) for s in recipe.prompt_seconds]
        settings = {
            "size": recipe.batch,
            "prompt_frames": (max(1, frames[0]), max(1, *frames)),
            "prompt_phone": self.model.prompt_phone,
        }
        self.batches = Batches(clips.training, drop=recipe.drop, seed=recipe.seed, **settings)
        settings["size"] = min(recipe.batch, len(clips.validation))
        self.validation = Batches(clips.validation, drop=0.0, seed=0, **settings)
        self.optimizer = make_optimizer(self.model.parameters(), recipe.optimizer)
        self.step, self.seconds, self.best = 0, 0.0, math.inf
        self._parts = {"model": self.model, "optimizer": self.optimizer}
        if folder.state.exists():
            progress = state.load(folder.state, self._parts, group)
            self.step, self.seconds, self.best = (progress[k] for k in ("step", "seconds", "best"))
        elif group.is_main:
            about = environment(group, torch.get_num_threads())
            folder.write(folder.environment, json.dumps(about, indent=1))

    def train(self, report: Report) -> None:
        """Trains to the last step."""
        recipe = self.recipe
        started = time.monotonic() - self.seconds
        if self.group.is_main:
            cut_log(self.folder.path / "log.jsonl", self.step)
        while self.step < recipe.steps:
            numbers = self.update(self.step)
            self.step += 1
            self.seconds = time.monotonic() - started
            report(self.step, recipe.steps, numbers)
            if self.step == recipe.steps or self.step % recipe.validate_every == 0:
                self._validate(numbers)

    def update(self, step: int) -> dict[str, float]:
        """One step; the losses of `loss.Losses`."""
        recipe, group = self.recipe, self.group
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        found = []
        for turn in range(recipe.accumulate):
            number = (step * recipe.accumulate + turn) * group.count + group.rank
            one = self._losses(self.batches, number)
            one.total.backward()
            found.append(torch.stack([part.detach() for part in one]))
        group.average_gradients(self.model.parameters(), recipe.accumulate)
        rate = learning_rate(recipe.optimizer, step, recipe.steps)
        set_learning_rate(self.optimizer, rate)
        norm = clipped_norm(self.model.parameters(), recipe.optimizer.clip_norm)
        mean = group.sum(torch.stack(found).mean(0)) / group.count
        if not torch.isfinite(mean).all() or not torch.isfinite(norm):
            raise RecipeError(
                f"step {step + 1}: loss {float(mean[0]):g}, norm of the gradient {float(norm):g}: "
                "not finite; lower optimizer.learning_rate, or set optimizer.clip_norm"
            )
        self.optimizer.step()
        names = ("loss", "regression", "classification", "duration")
        return dict(zip(names, mean.tolist(), strict=True)) | {"rate": rate}

    def _losses(self, batches: Batches, number: int):
        codes, condition = batches[number]
        generator = torch.Generator().manual_seed(batches.seed * 2**32 + number)
        drawn = draw_state(self.model, condition, generator)
        device, recipe = self.group.device, self.recipe
        condition = Condition(*(part.to(device) for part in vars(condition).values()))
        with self.group.autocast():
            return losses(
                self.model, codes.to(device), condition, state=(drawn[0].to(device), drawn[1]),
                q_gradient=recipe.q_gradient, duration_weight=recipe.duration_weight,
            )  # fmt: skip

    @torch.no_grad()
    def _validate(self, numbers: dict[str, float]) -> None:
        recipe, group = self.recipe, self.group
        self.model.eval()
        mine = range(group.rank, recipe.validation_batches, group.count)
        totals = [self._losses(self.validation, number).total for number in mine]
        total = group.sum(torch.stack(totals).sum() if totals else torch.zeros(()))
        score = float(total) / recipe.validation_batches
        if group.is_main:
            line = numbers | {"step": self.step, "seconds": round(self.seconds, 1)}
            with (self.folder.path / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(line | {"validation": score}) + "\n")
            if score < self.best:
                trained.save(self.folder.best, self.model, self.clips.about)
        self.best = min(self.best, score)
        progress = {"step": self.step, "seconds": self.seconds, "best": self.best}
        state.save(self.folder.state, self._parts, progress, group)


def new_model(recipe: ResGenRecipe, clips: Clips) -> ResGen:
    """A model with random weights for a recipe's clips."""
    depth, size, latents = clips.codebooks.shape
    config = ResGenConfig(
        depth=depth, codebook_size=size, latents=latents, phones=len(clips.about.phones),
        **recipe.network.model_dump(),
    )  # fmt: skip
    model = ResGen(config)
    model.set_codec(clips.codebooks, clips.deviations)
    return model
