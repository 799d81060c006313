"""Batches from worker processes, in order, starting at any step; a stalled loader is an error."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from audiotok.errors import RecipeError
from audiotok.system.processes import can_start_processes
from audiotok.training.crops import Crop, Crops


class _Numbers(Sampler[list[int]]):
    """Numbers of the crops of each batch of this process; processes share every pass."""

    def __init__(self, first: int, last: int, *, size: int, rank: int, count: int):
        self.passes, self.size, self.rank, self.count = range(first, last), size, rank, count

    def __len__(self) -> int:
        return len(self.passes)

    def __iter__(self) -> Iterator[list[int]]:
        for number in self.passes:
            start = (number * self.count + self.rank) * self.size
            yield list(range(start, start + self.size))


def batches(
    crops: Crops,
    first_pass: int,
    last_pass: int,
    *,
    broken: set[str],
    rank: int = 0,
    count: int = 1,
) -> Iterator[Tensor]:
    """Batches (B, C, samples) of the passes from `first_pass` on, read ahead.

    Args:
        broken: ids of recordings that could not be read are added to it.
        rank, count: index of this process, and number of processes that share each pass.

    Raises:
        RecipeError: no batch came within the time-out of the recipe, a worker died, or no recording
            of the corpus can be read.
    """
    settings = crops.settings
    workers = settings.workers if can_start_processes() else 0
    loader = DataLoader(
        crops,
        batch_sampler=_Numbers(
            first_pass, last_pass, size=settings.batch_size, rank=rank, count=count
        ),
        num_workers=workers,
        prefetch_factor=8 if workers else None,
        timeout=settings.timeout_seconds if workers else 0,
        collate_fn=_collate,
        pin_memory=torch.cuda.is_available(),
        generator=torch.Generator(),  # does not change the global random state
    )
    iterator = iter(loader)
    while True:
        try:
            waveforms, unreadable = next(iterator)
        except StopIteration:
            return
        except RuntimeError as error:
            raise _explained(error, settings.timeout_seconds) from error
        broken.update(unreadable)
        if waveforms is None:
            raise RecipeError(
                f"no recording can be read any more; {len(broken)} are broken, "
                f"{min(broken)!r} among them: look at data.corpus {settings.corpus}"
            )
        yield waveforms


def _collate(crops: list[Crop]) -> tuple[Tensor | None, list[str]]:
    unreadable = sorted({name for crop in crops for name in crop.broken})
    if any(crop.waveform is None for crop in crops):
        return None, unreadable
    return torch.stack([crop.waveform for crop in crops]), unreadable


def _explained(error: RuntimeError, seconds: float) -> Exception:
    text = str(error)
    if "timed out" in text:
        return RecipeError(
            f"the loader has stalled: no batch came within data.timeout_seconds {seconds:g}; "
            "look at the disk or network that holds data.corpus, or take more data.workers"
        )
    if "exited unexpectedly" in text or "is killed by signal" in text:
        return RecipeError(
            f"a worker that reads the data died ({' '.join(text.split())[:200]}): "
            "it may have run out of memory; take fewer data.workers"
        )
    return error
