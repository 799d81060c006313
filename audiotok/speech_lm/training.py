"""Training of a speech language model by a recipe, on one process or many through Accelerate.

A run's folder is that of a codec's training (`training.trainer`): the resolved recipe,
environment.json, log.jsonl, `state.pt`, `model.safetensors` (the best validation).
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors.torch import save as to_safetensors
from torch import Tensor

from audiotok.errors import RecipeError
from audiotok.speech_lm import trained
from audiotok.speech_lm.contexts import Contexts
from audiotok.speech_lm.recipe import LMRecipe, load
from audiotok.system.files import replacing
from audiotok.training import state
from audiotok.training.folder import Folder, cut_log, environment
from audiotok.training.launch import Note, Report, launch
from audiotok.training.optimisers import apply_gradients, make_optimizer
from audiotok.training.processes import ProcessGroup


def train(
    recipe: LMRecipe | str | Path,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    *,
    report: Report | None = None,
    note: Note | None = None,
    fresh: bool = False,
    resume: bool = False,
    cpu: bool = False,
) -> Path:
    """Train a language model of tokens; arguments, folder and errors as for `training.train`.

    Returns:
        The path of the weights with the fewest bits per second in validation, as safetensors.
    """
    if not isinstance(recipe, LMRecipe):
        recipe = load(recipe, overrides)
    folder = Folder(Path(out or Path("runs") / recipe.name), load)
    make = lambda recipe, folder, group, note: Run(recipe, folder, group)  # noqa: E731
    launch(make, recipe, folder, report=report, note=note, fresh=fresh, resume=resume, cpu=cpu)
    return folder.best


class Run:
    """One training run in its folder."""

    def __init__(self, recipe: LMRecipe, folder: Folder, group: ProcessGroup):
        self.recipe, self.folder, self.group = recipe, folder, group
        self.contexts = contexts(recipe)
        state.seed_everything(recipe.seed + group.rank)
        self.model = recipe.model(self.contexts.sizes, self.contexts.strides).to(group.device)
        group.copy_from_first(self.model)
        if recipe.compile:
            self.model.transformer.compile()
        self.optimizer = make_optimizer(self.model.parameters(), recipe.optimizer)
        self.step, self.seconds, self.best = 0, 0.0, math.inf
        self._parts = {"model": self.model, "optimizer": self.optimizer}
        if folder.state.exists():
            progress = state.load(folder.state, self._parts, group)
            self.step, self.seconds, self.best = (progress[k] for k in ("step", "seconds", "best"))
        elif group.is_main:
            about = environment(group, torch.get_num_threads())
            folder.write(folder.environment, json.dumps(about, indent=1))
        weights = torch.tensor(recipe.weights or [1.0] * len(self.contexts.sizes))
        self._weights = weights.to(group.device) / weights.mean()

    def train(self, report: Report) -> None:
        """Trains to the last step."""
        recipe, group = self.recipe, self.group
        contexts_per_step = recipe.batch * recipe.accumulate
        stream = self.contexts.of_process(group.rank, group.count, self.step * contexts_per_step)
        started = time.monotonic() - self.seconds
        if group.is_main:
            cut_log(self.folder.path / "log.jsonl", self.step)
        while self.step < recipe.steps:
            numbers = self.update(_batches(stream, recipe.batch), self.step)
            self.step += 1
            self.seconds = time.monotonic() - started
            report(self.step, recipe.steps, numbers)
            last = self.step == recipe.steps
            if last or self.step % recipe.validate_every == 0:
                self._validate(numbers)

    def update(self, batches: Iterator[Tensor], step: int) -> dict[str, float]:
        """One step; loss in nats per code, with the codebook weights of the recipe."""
        recipe, group = self.recipe, self.group
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        for codes in itertools.islice(batches, recipe.accumulate):
            with group.autocast():
                nats = self.model(codes.to(group.device)).nats
            free = self.model.free(codes.shape[2]).to(nats).sum(1) * len(codes)
            loss = (self._weights * nats.sum((0, 2)) / free).mean()
            loss.backward()
            losses.append(loss.detach())
        group.average_gradients(self.model.parameters(), recipe.accumulate)
        mean = group.sum(torch.stack(losses).mean()) / group.count
        rate = apply_gradients(
            self.optimizer, self.model.parameters(), recipe.optimizer,
            step=step, steps=recipe.steps, loss=mean,
        )  # fmt: skip
        return {"loss": float(mean), "rate": rate}

    @torch.no_grad()
    def _validate(self, numbers: dict[str, float]) -> None:
        recipe, group = self.recipe, self.group
        self.model.eval()
        validation = contexts(recipe, recipe.validation)
        count = -(-recipe.validation_contexts // group.count)
        bits = torch.zeros((), dtype=torch.float64, device=group.device)
        for context in itertools.islice(validation.of_process(group.rank, group.count, 0), count):
            with group.autocast():
                bits += self.model.bits(context[None].to(group.device)).sum()
        rate = frame_rate(validation)
        seconds = count * group.count * recipe.context / rate
        score = float(group.sum(bits)) / seconds
        if group.is_main:
            line = numbers | {"step": self.step, "seconds": round(self.seconds, 1)}
            with (self.folder.path / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(line | {"bits_per_second": score}) + "\n")
            if score < self.best:
                content = {k: v.contiguous().cpu() for k, v in self.model.state_dict().items()}
                with replacing(self.folder.best, RecipeError) as file:
                    file.write(
                        to_safetensors(content, trained.metadata(recipe, self._training_tokens()))
                    )
        self.best = min(self.best, score)
        progress = {"step": self.step, "seconds": self.seconds, "best": self.best}
        state.save(self.folder.state, self._parts, progress, group)

    def _training_tokens(self) -> trained.TrainingTokens:
        source = self.contexts
        codec, fingerprint = (source.shards.metadata[key] for key in ("codec", "fingerprint"))
        return trained.TrainingTokens(codec, fingerprint, source.sizes, source.strides)


def contexts(recipe: LMRecipe, folder: str | None = None) -> Contexts:
    """The contexts that a recipe trains on, or those of another folder with the same settings."""
    return Contexts(folder or recipe.tokens, recipe.context, recipe.num_codebooks, recipe.seed)


def frame_rate(contexts: Contexts) -> float:
    """Frames per second of the codec of these tokens."""
    card = contexts.shards.metadata["card"]
    return card["sample_rate_in"] / card["hop_length"]


def _batches(stream: Iterator[Tensor], size: int) -> Iterator[Tensor]:
    while True:
        yield torch.stack(list(itertools.islice(stream, size)))


def dry_run(recipe: LMRecipe | str | Path, overrides: Sequence[str] = ()) -> list[str]:
    """A description of a run, in lines: parameters, sound in a step, memory of the state. The model
    is built without allocating its weights, and a text model needs only its config."""
    if not isinstance(recipe, LMRecipe):
        recipe = load(recipe, overrides)
    source = contexts(recipe)
    with torch.device("meta"):
        model = recipe.model(source.sizes, source.strides, weights=False)
    body = sum(p.numel() for p in model.transformer.parameters())
    total = sum(p.numel() for p in model.parameters())
    seconds = recipe.context / frame_rate(source)
    count = recipe.batch * recipe.accumulate  # contexts per step
    hours = count * seconds / 3600
    start = f"from {recipe.text_model}" if recipe.text_model else "from random weights"
    return [
        f"{recipe.name}: {source.shards.metadata['codec']}, {recipe.pattern}, {start}",
        f"parameters: {total:,} (body {body:,}; embeddings and heads {total - body:,})",
        f"tokens: {len(source.shards):,} clips, codebooks {' + '.join(map(str, source.sizes))}",
        f"a context: {recipe.context} frames, {seconds:.1f} s of sound",
        f"a step of one process: {count} contexts, {hours:.3f} hours of sound",
        f"the run: {recipe.steps:,} steps, {recipe.steps * hours:,.0f} hours of sound for each "
        "process",
        f"memory: {16 * total / 2**30:.2f} GiB of weights, gradients and moments, and activations",
    ]
