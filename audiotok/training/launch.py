"""Starts a run: sets threads, finds processes, and locks its folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from audiotok.training.folder import Folder
from audiotok.training.processes import ProcessGroup

Report = Callable[[int, int, dict[str, float]], None]  # step, steps, numbers
Note = Callable[[str], None]


def launch(
    make_run: Callable[[Any, Folder, ProcessGroup, Note], Any],
    recipe: Any,
    folder: Folder,
    *,
    report: Report | None,
    note: Note | None,
    fresh: bool,
    resume: bool,
    cpu: bool,
) -> None:
    """Trains `make_run(recipe, folder, group, note)`; the other arguments are those of `train`."""
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    group = ProcessGroup(cpu, recipe.precision == "bf16")
    note = note or (lambda text: None)
    if not group.is_main or report is None:
        report = lambda step, steps, numbers: None  # noqa: E731
    try:
        group.in_main(lambda: folder.claim(recipe, fresh, resume, note))
        make_run(recipe, folder, group, note).train(report)
    finally:
        folder.release()
