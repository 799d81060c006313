"""Training of a recogniser by a recipe, on one process or many through Accelerate.

A run's folder is that of a codec's training (`training.trainer`): the resolved recipe,
environment.json, log.jsonl, `state.pt`, and `encoder/`, the encoder at its best validation in the
format of transformers.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import jiwer
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from audiotok import data
from audiotok.data import Clip
from audiotok.errors import CorpusError
from audiotok.nn.log_mel import SAMPLE_RATE
from audiotok.recogniser.augment import augment
from audiotok.recogniser.model import Recogniser, transcribe
from audiotok.recogniser.phones import BLANK, classes_of
from audiotok.recogniser.recipe import RecogniserRecipe, load
from audiotok.training import state
from audiotok.training.folder import Folder, cut_log, environment
from audiotok.training.launch import Note, Report, launch
from audiotok.training.optimisers import apply_gradients, make_optimizer
from audiotok.training.processes import ProcessGroup


def train(
    recipe: RecogniserRecipe | str | Path,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    *,
    report: Report | None = None,
    note: Note | None = None,
    fresh: bool = False,
    resume: bool = False,
    cpu: bool = False,
) -> Path:
    """Train a recogniser; arguments, folder and errors as for `training.train`.

    Returns:
        The folder of the encoder with the lowest phone error rate in validation.
    """
    if not isinstance(recipe, RecogniserRecipe):
        recipe = load(recipe, overrides)
    folder = Folder(Path(out or Path("runs") / recipe.name), load)
    make_run = lambda recipe, folder, group, note: Run(recipe, folder, group)  # noqa: E731
    launch(make_run, recipe, folder, report=report, note=note, fresh=fresh, resume=resume, cpu=cpu)
    return folder.path / "encoder"


class Run:
    """One training run in its folder."""

    def __init__(self, recipe: RecogniserRecipe, folder: Folder, group: ProcessGroup):
        self.recipe, self.folder, self.group = recipe, folder, group
        corpus = data.load(recipe.corpus)
        self.train_clips, self.validation_clips = (
            _with_phones(corpus, split) for split in ("train", "test")
        )
        state.seed_everything(recipe.seed)
        self.model = Recogniser(recipe.encoder).to(group.device)
        self.optimizer = make_optimizer(self.model.parameters(), recipe.optimizer)
        self.step, self.seconds, self.best = 0, 0.0, math.inf
        self._parts = {"model": self.model, "optimizer": self.optimizer}
        if folder.state.exists():
            progress = state.load(folder.state, self._parts, group)
            self.step, self.seconds, self.best = (
                progress[key] for key in ("step", "seconds", "best")
            )
        elif group.is_main:
            content = environment(group, torch.get_num_threads())
            folder.write(folder.environment, json.dumps(content, indent=1))

    def train(self, report: Report) -> None:
        """Trains to the last step."""
        started = time.monotonic() - self.seconds
        while self.step < self.recipe.steps:
            numbers = self.update(self.step)
            self.step += 1
            self.seconds = time.monotonic() - started
            report(self.step, self.recipe.steps, numbers)
            if self.step % self.recipe.validate_every == 0 or self.step == self.recipe.steps:
                self._validate(numbers)

    def update(self, step: int) -> dict[str, float]:
        """One step; the loss is in nats per phone."""
        recipe, group = self.recipe, self.group
        sounds, targets = zip(*self._batch(step), strict=True)
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        longest = max(map(len, sounds))
        waveform = torch.stack([F.pad(sound, (0, longest - len(sound))) for sound in sounds])
        with group.autocast():
            log_probabilities = self.model(waveform.to(group.device))
        frames = torch.tensor([self.model.frames(len(sound)) for sound in sounds])
        counts = torch.tensor([len(target) for target in targets])
        loss = F.ctc_loss(
            log_probabilities.transpose(0, 1),
            torch.cat(targets),
            frames,
            counts,
            BLANK,
            zero_infinity=True,
        )
        loss.backward()
        group.average_gradients(self.model.parameters(), 1)
        mean_loss = group.sum(loss.detach()) / group.count
        rate = apply_gradients(
            self.optimizer, self.model.parameters(), recipe.optimizer,
            step=step, steps=recipe.steps, loss=mean_loss,
        )  # fmt: skip
        return {"loss": float(mean_loss), "rate": rate}

    def _batch(self, step: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Sound and classes of the clips of this step and process; a function of the seed."""
        recipe, group = self.recipe, self.group
        number = step * group.count + group.rank
        for index in range(number * recipe.batch, (number + 1) * recipe.batch):
            epoch, position = divmod(index, len(self.train_clips))
            order = np.random.default_rng([recipe.seed, epoch]).permutation(len(self.train_clips))
            clip, classes = self.train_clips[order[position]]
            rng = np.random.default_rng([recipe.seed, 1, index])
            sound = augment(sound_of(clip), recipe.augment, rng)
            yield sound[: self.model.num_samples], torch.tensor(classes)

    def _validate(self, numbers: dict[str, float]) -> None:
        score = phone_error_rate(self.model, self.validation_clips)
        if self.group.is_main:
            line = numbers | {"step": self.step, "seconds": round(self.seconds, 1)}
            path = self.folder.path / "log.jsonl"
            cut_log(path, self.step - 1)
            with path.open("a", encoding="utf-8") as log:
                log.write(json.dumps(line | {"phone_error_rate": score}) + "\n")
            if score < self.best:
                self.model.save(self.folder.path / "encoder")
        self.best = min(self.best, score)
        progress = {"step": self.step, "seconds": self.seconds, "best": self.best}
        state.save(self.folder.state, self._parts, progress, self.group)


def phone_error_rate(model: Recogniser, clips: Sequence[tuple[Clip, list[int]]]) -> float:
    """The phone error rate: edit distance divided by the number of phones in the texts."""
    model.eval()
    device = model.head.weight.device
    references, hypotheses = [], []
    for clip, classes in clips:
        references.append(" ".join(map(str, classes)))
        hypotheses.append(" ".join(map(str, transcribe(model, sound_of(clip).to(device)))))
    return jiwer.wer(references, hypotheses)


def sound_of(clip: Clip) -> Tensor:
    """(L,) at 16 kHz, channels mixed."""
    return clip.read().to_channels(1).resample(SAMPLE_RATE).waveform[0]


def _with_phones(corpus: data.Corpus, split: str) -> list[tuple[Clip, list[int]]]:
    clips = [(clip, classes_of(clip.text)) for clip in corpus if clip.split == split and clip.text]
    if not clips:
        raise CorpusError(
            f"{corpus.name} has no clip with a text and split {split}: expected a manifest with "
            "the columns audio, text and split"
        )
    return clips
