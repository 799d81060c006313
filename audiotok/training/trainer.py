"""The training loop: steps, validation, checkpoints, and resuming from them.

A run's folder holds the resolved recipe, environment.json, log.jsonl (one line per validation),
TensorBoard's files, `state.pt` (everything that resuming needs), `model.safetensors` (the weights
with the best validation), `last.safetensors`, and README.md, their model card.
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from audiotok.errors import RecipeError
from audiotok.training import export, state
from audiotok.training.folder import Folder, environment, read_json
from audiotok.training.launch import Note, Report, launch
from audiotok.training.logs import Logs
from audiotok.training.model import Model
from audiotok.training.model_card import model_card
from audiotok.training.processes import ProcessGroup
from audiotok.training.reading import load_recipe
from audiotok.training.recipe import Recipe
from audiotok.training.training_data import TrainingData


def train(
    recipe: Recipe | str | Path,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    *,
    report: Report | None = None,
    note: Note | None = None,
    fresh: bool = False,
    resume: bool = False,
    cpu: bool = False,
) -> Path:
    """Train a codec; resumes if the folder of the run has a state of the same recipe.

    Args:
        recipe: a recipe or the path of one.
        overrides: `key=value` changes to it.
        out: folder of the run; `runs/<name>` if None.
        report: called in the main process after every step with its number, the number of steps,
            and the losses and norms by name.
        note: called with messages for the user, e.g. about recordings that cannot be read.
        fresh: start anew; an existing folder is renamed, not deleted.
        resume: fail if there is no run to resume.
        cpu: use the CPU even if there is a GPU.

    Returns:
        The path of the weights with the best validation loss, as safetensors.

    Raises:
        AudiotokError: the recipe does not fit its data, the folder belongs to another recipe, or
            training failed: a loss is not finite, a codebook collapsed, a loader stalled.
    """
    if not isinstance(recipe, Recipe):
        recipe = load_recipe(recipe, overrides)
    folder = Folder(Path(out or Path("runs") / recipe.name))
    launch(Run, recipe, folder, report=report, note=note, fresh=fresh, resume=resume, cpu=cpu)
    return folder.best


class Run:
    """One training run in its folder."""

    def __init__(self, recipe: Recipe, folder: Folder, group: ProcessGroup, note: Note):
        self.recipe, self.folder, self.group, self.note = recipe, folder, group, note
        self.step, self.seconds = 0, 0.0
        self.best = {"score": math.inf, "step": None, "numbers": {}}
        self.model = Model(recipe, group, folder.path)
        self.data = TrainingData(recipe, self.model.channels, group, folder.index)
        if folder.state.exists():
            self._resume()
        self._note_broken()
        if group.is_main and (self.step == 0 or not folder.environment.exists()):
            content = environment(group, torch.get_num_threads())
            folder.write(folder.environment, json.dumps(content, indent=1))

    def train(self, report: Report) -> None:
        """Trains to the last step."""
        rate = self.recipe.model.sample_rate
        self.logs = Logs(
            self.folder.path, self.recipe.trackers, group=self.group, step=self.step, rate=rate
        )
        started = time.monotonic() - self.seconds
        passes = self.data.batches(self.step)
        while self.step < self.recipe.steps:
            if self.step == self.recipe.quantizer.start_step:
                by_k_means = self.recipe.starts_codebooks and self.model.codebooks.learners
                if self.group.is_main and by_k_means:
                    self.note("the codebooks start by k-means, which may take minutes")
                self.model.start_codebooks(self.data.batches(self.step, endless=True))
            waveforms = itertools.islice(passes, self.recipe.accumulate)
            numbers = self.model.step([w.to(self.group.device) for w in waveforms], self.step)
            self.step += 1
            self.seconds = time.monotonic() - started
            self._after_step(numbers, report)
        self.logs.close()

    def _after_step(self, numbers: dict[str, float], report: Report) -> None:
        is_last = self.step == self.recipe.steps
        is_logged = is_last or self.step % self.recipe.log_every == 0
        is_validated = is_last or self.step % self.recipe.validate_every == 0
        if self.model.quantizes(self.step - 1):
            numbers |= self.model.usage.numbers()
            if is_logged:
                self.model.usage.check()
        report(self.step, self.recipe.steps, numbers)
        if is_logged:
            self.logs.scalars(self.step, numbers)
            self._note_broken()
        if is_validated:
            self._validate(numbers)
        if is_validated or (self.recipe.save_every and self.step % self.recipe.save_every == 0):
            self._save()

    def _validate(self, numbers: dict[str, float]) -> None:
        model = self.model
        quantizes = model.quantizes(self.step - 1)
        values, examples = self.data.validation(
            model.result,
            model.reconstruction,
            sizes=model.sizes,
            quantize=quantizes,
            group=self.group,
            broken=self.data.broken,
        )
        self.logs.scalars(self.step, values, "validation")
        self.logs.examples(self.step, examples)
        line = {"step": self.step, "seconds": round(self.seconds, 1)}
        self.logs.line(line | {"validation": values, "train": numbers})
        score = model.reconstruction.score(values)
        if self._is_result and score < self.best["score"]:
            self.best = {"score": score, "step": self.step, "numbers": values}
            if self.group.is_main:
                export.weights(self.folder.best, self.recipe, model.result, self.step)

    @property
    def _is_result(self) -> bool:
        """Whether weights are kept: False while the codebooks have not started yet."""
        never_quantizes = self.recipe.quantizer.start_step is None
        return never_quantizes or self.model.quantizes(self.step - 1)

    def _save(self) -> None:
        """Writes weights and card, then the state: a resumed run repeats the steps after it."""
        self._note_broken()
        network = self.model.result
        if self.group.is_main:
            if self._is_result:
                export.weights(self.folder.last, self.recipe, network, self.step)
            card = model_card(
                self.recipe,
                step=self.step,
                best_step=self.best["step"],
                facts=export.facts(self.recipe, network, self.model.sizes),
                data=self.data.facts,
                broken=sorted(self.data.broken),
                numbers=self.best["numbers"],
                environment=read_json(self.folder.environment),
            )
            self.folder.write(self.folder.card, card)
        progress = {
            "step": self.step,
            "seconds": self.seconds,
            "best": self.best,
            "broken": sorted(self.data.broken),
            "data": self.data.digest,
        }
        state.save(self.folder.state, self.model.parts, progress, self.group)

    def _resume(self) -> None:
        progress = state.load(self.folder.state, self.model.parts, self.group)
        if progress["data"] != self.data.digest:
            raise RecipeError(
                f"the recordings of {self.data.facts['Corpus']} are not those that "
                f"{self.folder.path} was trained on so far: bring them back, or start with --fresh"
            )
        self.step, self.seconds = progress["step"], progress["seconds"]
        self.best = progress["best"]
        self.data.broken |= set(progress["broken"])
        self.data.reported = set(progress["broken"])
        if self.group.is_main and self.step < self.recipe.steps:
            self.note(f"going on from step {self.step} of {self.recipe.steps}")

    def _note_broken(self) -> None:
        if self.group.is_main:
            self.data.note_broken(self.note)
