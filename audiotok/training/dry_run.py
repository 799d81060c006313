"""Cost of a recipe: shapes, parameters, memory, steps per second, time. No file is kept."""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from audiotok.training import codebooks, families
from audiotok.training.folder import Folder
from audiotok.training.processes import ProcessGroup
from audiotok.training.reading import load_recipe
from audiotok.training.recipe import Recipe
from audiotok.training.trainer import Run

STEPS = 10
_WARM_UP = 2  # first steps, not timed


def dry_run(
    recipe: Recipe | str | Path, overrides: Sequence[str] = (), cpu: bool = False
) -> list[str]:
    """Runs ten steps with every part of the recipe; returns the lines of a report.

    The quantizer, if the recipe has one, and all discriminators start at the first step. Codebooks
    start by one iteration of k-means on as few latents as possible.

    Raises:
        AudiotokError: as `train`.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe, overrides)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    group = ProcessGroup(cpu, recipe.precision == "bf16")
    with tempfile.TemporaryDirectory() as folder:
        run = Run(_with_all_parts(recipe), Folder(Path(folder)), group, lambda text: None)
        lines = [*_shapes(run), *_parameters(run), ""]
        seconds = _step_seconds(run)
        return [*lines, *_cost(recipe, run, seconds)]


def _with_all_parts(recipe: Recipe) -> Recipe:
    with torch.device("meta"):
        min_latents = max(codebooks.sizes(families.build(recipe.family, recipe.model).quantizer))
    start = None if recipe.quantizer.start_step is None else 0
    quantizer = recipe.quantizer.model_copy(
        update={"start_step": start, "kmeans_iterations": 1, "kmeans_latents": min_latents}
    )
    discriminators = [
        config.model_copy(update={"start_step": 0}) for config in recipe.discriminators
    ]
    changes = {"quantizer": quantizer, "discriminators": tuple(discriminators), "trackers": ()}
    return recipe.model_copy(update=changes)


def _step_seconds(run: Run) -> float:
    """Seconds per step."""
    passes = run.data.batches(0, endless=True)
    if run.model.quantizes(0):
        run.model.start_codebooks(passes)
    started = 0.0
    for step in range(STEPS):
        if step == _WARM_UP:
            _synchronise(run.group)
            started = time.perf_counter()
        run.model.step([next(passes) for _ in range(run.recipe.accumulate)], step)
    _synchronise(run.group)
    return (time.perf_counter() - started) / (STEPS - _WARM_UP)


def _synchronise(group: ProcessGroup) -> None:
    if group.device.type == "cuda":
        torch.cuda.synchronize()


@torch.no_grad()
def _shapes(run: Run) -> list[str]:
    settings, model = run.recipe.data, run.model
    shape = settings.batch_size, model.channels, run.recipe.crop_samples
    waveform = torch.zeros(shape, device=run.group.device)
    latents = model.network.encoder(waveform[:1])
    output = model.network(waveform[:1], False).waveform
    rate, batch, frames = run.recipe.model.sample_rate, shape[0], latents.shape[-1]
    facts = run.data.facts
    return [
        f"{run.recipe.name}: {run.recipe.family}, {rate} Hz, "
        f"{rate / model.network.hop_length:g} frames per second",
        f"waveform {shape}, {run.group.count} processes, {run.recipe.accumulate} passes per step: "
        f"{_sound(run):g} s of sound",
        f"latents {(batch, latents.shape[1], frames)}, "
        f"codes {(batch, len(model.sizes), frames)} of {' + '.join(map(str, model.sizes))}, "
        f"waveform out {(batch, *output.shape[1:])}",
        f"{facts['Recordings']} recordings of {facts['Speakers']} speakers, {facts['Hours']} "
        f"hours; {facts['Recordings to validate on']} to validate on; "
        f"{len(run.data.broken)} cannot be read",
    ]


def _sound(run: Run) -> float:
    """Seconds of sound in a step."""
    settings = run.recipe.data
    passes = run.group.count * run.recipe.accumulate
    return settings.batch_size * settings.crop_seconds * passes


def _parameters(run: Run) -> list[str]:
    def count(module: nn.Module | None) -> int:
        return 0 if module is None else sum(weight.numel() for weight in module.parameters())

    codec = {name: count(part) for name, part in run.model.network.named_children()}
    parts = ", ".join(f"{name} {number:,}" for name, number in codec.items() if number)
    lines = [f"parameters: codec {count(run.model.network):,} ({parts})"]
    for config, member in zip(run.recipe.discriminators, run.model.adversary.members, strict=True):
        frozen = ", frozen" if config.frozen else ""
        lines.append(f"parameters: discriminator {config.kind} {count(member):,}{frozen}")
    if (distillation := run.model.distillation) is not None:
        lines.append(f"parameters: teacher {count(distillation.teacher.encoder):,}, frozen")
        if count(distillation):
            lines.append(f"parameters: projection to the teacher {count(distillation):,}")
    return lines


def _cost(recipe: Recipe, run: Run, seconds: float) -> list[str]:
    trained = sum(p.numel() for p in [*run.model.codec_weights, *run.model.adversary.learning()])
    state = 4 * 4 * trained / 2**30  # weights, gradients, two moments, fp32
    if run.group.device.type == "cuda":
        peak, device = torch.cuda.max_memory_allocated() / 2**30, "of the GPU"
    else:
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
        device = "of this process"
    hours = recipe.steps * seconds / 3600
    return [
        f"memory: {peak:.2f} GiB {device} at most, {state:.2f} GiB of it weights, gradients and "
        "moments",
        f"speed: {1 / seconds:.3g} steps per second over {STEPS - _WARM_UP} steps on "
        f"{run.group.device}, {_sound(run) / seconds:.3g} s of sound per second",
        f"time: {recipe.steps} steps take {hours:.3g} hours, validation not counted",
    ]
