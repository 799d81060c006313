"""Training of a speech model by a recipe, on one process or many through Accelerate.

A run's folder is that of a codec's training (`training.trainer`): the resolved recipe,
environment.json, log.jsonl, `state.pt`, and model.safetensors, the best validation in float16.
Codes and phones that are missing are computed first; this resumes where it stopped, too.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from audiotok.codec import registry
from audiotok.errors import CorpusError, RecipeError
from audiotok.system.files import replacing
from audiotok.training import state
from audiotok.training.folder import Folder, cut_log, environment
from audiotok.training.launch import Note, Report, launch
from audiotok.training.optimisers import apply_gradients, make_optimizer
from audiotok.training.processes import ProcessGroup
from audiotok.tts import corpus, trained
from audiotok.tts.base import Codes, Example, crop
from audiotok.tts.corpus import Utterance, Utterances
from audiotok.tts.recipe import TTSRecipe, load

SORTED_BATCHES = 32  # the clips of this many batches are sorted by length


def train(
    recipe: TTSRecipe | str | Path,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    *,
    report: Report | None = None,
    note: Note | None = None,
    fresh: bool = False,
    resume: bool = False,
    cpu: bool = False,
) -> Path:
    """Train a speech model; arguments, folder and errors as for `training.train`.

    Returns:
        The path of the weights with the lowest loss in validation.
    """
    if not isinstance(recipe, TTSRecipe):
        recipe = load(recipe, overrides)
    folder = Folder(Path(out or Path("runs") / recipe.name), load)
    launch(Run, recipe, folder, report=report, note=note, fresh=fresh, resume=resume, cpu=cpu)
    return folder.best


class Run:
    """One training run in its folder."""

    def __init__(self, recipe: TTSRecipe, folder: Folder, group: ProcessGroup, note: Note):
        self.recipe, self.folder, self.group = recipe, folder, group
        if recipe.start_from is not None and not folder.state.exists():
            trained.find_part(recipe.model.kind, recipe.start_from)  # before the long preparation
        group.in_main(lambda: [_prepare(recipe, codec, note) for codec in recipe.codecs])
        self.datasets = [Dataset(recipe, codec) for codec in recipe.codecs]
        state.seed_everything(recipe.seed)
        self.model = recipe.model.build(self.datasets[0].codes).to(group.device)
        self.optimizer = make_optimizer(self.model.parameters(), recipe.optimizer)
        self.step, self.seconds, self.best = 0, 0.0, math.inf
        self._parts = {"model": self.model, "optimizer": self.optimizer}
        if folder.state.exists():
            progress = state.load(folder.state, self._parts, group)
            self.step, self.seconds, self.best = (progress[k] for k in ("step", "seconds", "best"))
            return
        self.model.fit()
        if recipe.start_from is not None:
            trained.start(self.model, recipe.model.kind, recipe.start_from)
        if group.is_main:
            about = environment(group, torch.get_num_threads())
            folder.write(folder.environment, json.dumps(about, indent=1))

    def train(self, report: Report) -> None:
        """Trains to the last step."""
        started = time.monotonic() - self.seconds
        if self.group.is_main:
            cut_log(self.folder.path / "log.jsonl", self.step)
        while self.step < self.recipe.steps:
            numbers = self.update(self.step)
            self.step += 1
            self.seconds = time.monotonic() - started
            report(self.step, self.recipe.steps, numbers)
            if self.step % self.recipe.validate_every == 0 or self.step == self.recipe.steps:
                self._validate(numbers)
            elif self.step % self.recipe.log_every == 0:
                self._log(numbers)

    def update(self, step: int) -> dict[str, float]:
        """One step on the examples that belong to it, a function of the seed."""
        recipe, group = self.recipe, self.group
        number = step * group.count + group.rank
        dataset = self.datasets[number % len(self.datasets)]
        examples = dataset.examples(number // len(self.datasets))
        generator = torch.Generator().manual_seed(recipe.seed * 2**32 + number)
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        with group.autocast():
            losses = self.model.loss(examples, generator)
        losses["loss"].backward()
        group.average_gradients(self.model.parameters(), 1)
        means = {name: group.sum(x.detach()) / group.count for name, x in losses.items()}
        rate = apply_gradients(
            self.optimizer, self.model.parameters(), recipe.optimizer,
            step=step, steps=recipe.steps, loss=means["loss"],
        )  # fmt: skip
        return {name: float(x) for name, x in means.items()} | {"rate": rate}

    @torch.no_grad()
    def _validate(self, numbers: dict[str, float]) -> None:
        self.model.eval()
        sums: dict[str, float] = {}
        batches = [batch for dataset in self.datasets for batch in dataset.validation()]
        for number, examples in enumerate(batches):
            generator = torch.Generator().manual_seed(number)
            with self.group.autocast():
                losses = self.model.loss(examples, generator)
            for name, x in losses.items():
                sums[name] = sums.get(name, 0.0) + float(x) / len(batches)
        self._log(numbers | {f"validation_{name}": x for name, x in sums.items()})
        if self.group.is_main and sums["loss"] < self.best:
            training = {"recipe": self.recipe.name, "seed": self.recipe.seed, "step": self.step}
            with replacing(self.folder.best, RecipeError) as file:
                file.write(trained.content(self.recipe.model.kind, self.model, training))
        self.best = min(self.best, sums["loss"])
        progress = {"step": self.step, "seconds": self.seconds, "best": self.best}
        state.save(self.folder.state, self._parts, progress, self.group)

    def _log(self, numbers: dict[str, float]) -> None:
        if self.group.is_main:
            line = {"step": self.step, "seconds": round(self.seconds, 1)} | numbers
            with (self.folder.path / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(line) + "\n")


class Dataset:
    """The examples of one codec; the clips of a batch depend on its number and the seed."""

    def __init__(self, recipe: TTSRecipe, codec: str):
        self.recipe = recipe
        card = registry.find_card(codec)
        merge = card.strides[0]
        utterances = Utterances(recipe.tokens, codec, merge)
        self.codes = Codes(
            codec, utterances.fingerprint, tuple(card.codebook_sizes), tuple(card.strides),
            utterances.frame_rate,
        )  # fmt: skip
        self.merge = merge
        train, validation = utterances.split(recipe.validation_every)
        self.train, self.train_speakers = _with_prompts(train)
        self.held_out, self.held_out_speakers = _with_prompts(validation)
        if not self.train or not self.held_out:
            raise CorpusError(
                f"{recipe.corpus} has too few clips per speaker: expected two or more to train on, "
                f"and {2 * recipe.validation_every} or more with validation_every "
                f"{recipe.validation_every}"
            )

    def examples(self, number: int) -> list[Example]:
        """Batch `number` of training."""
        recipe = self.recipe
        batches = max(1, len(self.train) // recipe.batch)
        epoch, place = divmod(number, batches)
        return [
            self._example(
                self.train[index],
                self.train_speakers,
                np.random.default_rng([recipe.seed, 1, number, position]),
            )
            for position, index in enumerate(self._order(epoch)[place])
        ]

    @lru_cache(maxsize=2)  # noqa: B019
    def _order(self, epoch: int) -> list[list[int]]:
        """The batches of an epoch: clips of similar length together, which saves padding."""
        rng, batch = np.random.default_rng([self.recipe.seed, 0, epoch]), self.recipe.batch
        order = rng.permutation(len(self.train))
        batches = []
        for start in range(0, len(order), SORTED_BATCHES * batch):
            window = order[start : start + SORTED_BATCHES * batch].tolist()
            window.sort(key=lambda index: self.train[index].codes.shape[1])
            batches += [window[at : at + batch] for at in range(0, len(window), batch)]
        batches = [indices for indices in batches if len(indices) == batch] or batches
        return [batches[place] for place in rng.permutation(len(batches))]

    def validation(self) -> list[list[Example]]:
        """Batches, the same every time."""
        count, batch = self.recipe.validation_clips, self.recipe.batch
        targets = self.held_out[:: max(1, len(self.held_out) // count)][:count]
        examples = [
            self._example(target, self.held_out_speakers, np.random.default_rng([number]))
            for number, target in enumerate(targets)
        ]
        return [examples[at : at + batch] for at in range(0, len(examples), batch)]

    def _example(
        self, target: Utterance, speakers: dict[str, list[Utterance]], rng: np.random.Generator
    ) -> Example:
        """The target with a random piece of another utterance of its speaker as the prompt."""
        candidates = [other for other in speakers[target.speaker] if other.id != target.id]
        prompt = candidates[rng.integers(len(candidates))]
        rate = self.codes.frame_rate / self.merge
        available = -(-prompt.codes.shape[1] // self.merge)
        length = min(available, round(rng.uniform(*self.recipe.prompt_seconds) * rate))
        start = int(rng.integers(available - length + 1))
        return Example(target, crop(prompt, start, max(1, length), self.merge))


def _prepare(recipe: TTSRecipe, codec: str, note: Note) -> None:
    if not corpus.is_prepared(recipe.corpus, recipe.tokens, codec):
        corpus.prepare(recipe.corpus, recipe.tokens, codec, note)


def _with_prompts(
    utterances: Sequence[Utterance],
) -> tuple[list[Utterance], dict[str, list[Utterance]]]:
    """The utterances whose speaker has others, which can be prompts; and all by speaker."""
    speakers = corpus.by_speaker(utterances)
    return [target for target in utterances if len(speakers[target.speaker]) > 1], speakers
