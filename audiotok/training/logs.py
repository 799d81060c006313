"""Logs of a run: log.jsonl, and the trackers of Accelerate with sound and spectrograms."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiotok.errors import MissingPackageError, RecipeError
from audiotok.nn.losses import MelSpectrogram
from audiotok.training.folder import cut_log
from audiotok.training.processes import ProcessGroup
from audiotok.training.validation import Example


class Logs:
    """Logs of a run; only the main process writes.

    Args:
        folder: of the run.
        trackers: names of trackers of Accelerate.
        step: the last finished one; lines of later steps, from a killed run, are removed.
    """

    def __init__(
        self, folder: Path, trackers: Sequence[str], *, group: ProcessGroup, step: int, rate: int
    ):
        self.path, self._group, self._rate = folder / "log.jsonl", group, rate
        self._tensorboard = None
        if group.is_main:
            cut_log(self.path, step)
            self._start(folder, trackers, step)

    def scalars(self, step: int, numbers: dict[str, float], prefix: str = "train") -> None:
        if self._group.is_main:
            prefixed = {f"{prefix}/{name}": value for name, value in numbers.items()}
            self._group.accelerator.log(prefixed, step=step)

    def line(self, content: dict[str, Any]) -> None:
        """Writes a line of log.jsonl."""
        if self._group.is_main:
            with self.path.open("a", encoding="utf-8") as log:
                log.write(json.dumps(content) + "\n")

    def examples(self, step: int, examples: Sequence[Example]) -> None:
        """Writes sound and spectrograms, for TensorBoard only."""
        if self._tensorboard is None:
            return
        for example in examples:
            for side in ("reference", "reconstruction"):
                sound = getattr(example, side)
                writer, name = self._tensorboard, f"{example.id}/{side}"
                mono = sound.mean(0, keepdim=True).clamp(-1, 1)
                writer.add_audio(name, mono, step, self._rate)
                writer.add_image(name, spectrogram_image(mono, self._rate), step)
        self._tensorboard.flush()

    def close(self) -> None:
        if self._group.is_main:
            self._group.accelerator.end_training()

    def _start(self, folder: Path, trackers: Sequence[str], step: int) -> None:
        from accelerate.tracking import filter_trackers

        accelerator = self._group.accelerator
        try:
            available = filter_trackers(list(trackers), folder)
        except ValueError as error:
            raise RecipeError(f"trackers: {' '.join(str(error).split())}") from error
        missing = [name for name in trackers if name not in map(str, available)]
        if missing:
            raise MissingPackageError(missing[0], "train", f"trackers: [{missing[0]}]")
        accelerator.log_with, accelerator.project_configuration.logging_dir = available, str(folder)
        settings = {"tensorboard": {"purge_step": step + 1}} if "tensorboard" in trackers else {}
        accelerator.init_trackers("tensorboard", init_kwargs=settings)
        if "tensorboard" in trackers:
            self._tensorboard = accelerator.get_tracker("tensorboard", unwrap=True)


def spectrogram_image(waveform: Tensor, sample_rate: int) -> Tensor:
    """Log-mel spectrogram (3, 80, T) of a waveform (1, L): a range of 80 dB from black to white,
    low frequencies at the bottom."""
    if waveform.shape[-1] < 1024:
        waveform = torch.nn.functional.pad(waveform, (0, 1024 - waveform.shape[-1]))
    mel = MelSpectrogram(sample_rate, 1024, 256, 80)(waveform)[0]
    level = 20 * mel.clamp(min=1e-5).log10()
    shade = ((level - level.max()) / 80 + 1).clamp(0, 1)
    return shade.flip(0).expand(3, -1, -1)
