"""Tasks: what `bench` asks of a codec. One file per task, found by itself.

A task is a Task subclass in the module of its name. It is built and prepared in the main process,
pickled, and scores one clip at a time in worker processes.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from audiotok.errors import AudiotokError, MetricError
from audiotok.metrics import Column

if TYPE_CHECKING:
    import pandas

    from audiotok.audio import Audio
    from audiotok.codec import Codec
    from audiotok.data import Clip, Corpus
    from audiotok.tokens import Tokens

__all__ = ["Column", "Item", "Task", "get", "list_tasks", "names"]


@dataclass(frozen=True)
class Item:
    """One clip through one codec: all that a task may look at."""

    clip: Clip
    reference: Audio
    reconstruction: Audio
    tokens: Tokens | None = None  # None in the ceiling row, which is the reference itself
    seconds_encode: float | None = None
    seconds_decode: float | None = None
    hardware: str | None = None  # what encode and decode ran on, see `speed.hardware`
    observed: Any = None  # what this task's `observe` gave


class Task:
    """Base of all tasks; a subclass sets `name`, `version`, `columns` and writes `score`."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    columns: tuple[Column, ...] = ()
    timing: ClassVar[bool] = False  # True: columns are times, kept apart from scores
    observes: ClassVar[bool] = False  # True: `observe` is called
    concludes: ClassVar[bool] = False  # True: `conclude` is called

    def available(self) -> str | None:
        """None, or one line saying why the task cannot run here (a package or weights missing)."""
        return None

    def left_out(self) -> dict[str, str]:
        """{column: one line} for columns that cannot be filled here though the task can run."""
        return {}

    def prepare(self, corpus: Corpus) -> None:
        """Take what scoring needs of the corpus; the task must stay picklable."""

    def observe(self, codec: Codec, reference: Audio, tokens: Tokens) -> Any:
        """What only the codec itself can tell of a clip, such as the tokens of the same sound with
        noise. Called in the main process; it arrives, pickled, as `item.observed` in `score`."""
        raise NotImplementedError

    def score(self, item: Item) -> dict[str, float | str | AudiotokError]:
        """The columns of one clip. A column that has no value there is left out; one that failed
        holds its MetricError (raised, it stands for all columns): missing, and counted."""
        raise NotImplementedError

    def conclude(
        self, corpus: Corpus, tokens: Sequence[Tokens] | None, note: Callable[[str], None]
    ) -> dict[int, dict[str, float]]:
        """Columns of clips that only all clips together give, such as what a model trained on some
        of them says of the others: {index of the clip: {column: value}}.

        Called in the main process when all clips are coded; `tokens` are those of every clip, None
        in the ceiling row, and where a clip failed its place in `tokens` is None.
        """
        raise NotImplementedError

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        """Numbers of the corpus that are not means of its clips; `rows` has this task's columns."""
        return {}

    def details(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, Any]:
        """What fits no column, such as numbers of each codebook or the points of a curve: it goes
        into the summary as it is. `rows` has all that `score` gave, also what is no column."""
        return {}


def names() -> list[str]:
    """The names of all tasks, sorted; imports none of them."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def get(name: str) -> Task:
    """A new task of this name, or MetricError with the nearest names."""
    if name not in (known := names()):
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise MetricError(f"no task is named {name!r}; {hint}there are: {', '.join(known)}")
    module = importlib.import_module(f"{__name__}.{name}")
    return next(
        kind()
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Task) and kind.__module__ == module.__name__
    )


def list_tasks() -> list[Task]:
    """All tasks, by name."""
    return [get(name) for name in names()]
