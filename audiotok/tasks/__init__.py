"""Tasks: what `bench` measures of a codec. One file per task; the folder is the list.

A task is a Task subclass in the module of its name. It is built and prepared in the main process,
pickled, and scores one clip at a time in worker processes. An option of a task follows its name:
`asr_whisper:large-v3`.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from audiotok.errors import AudiotokError, MetricError
from audiotok.metrics import Column

if TYPE_CHECKING:
    import pandas

    from audiotok.codec.codec import Codec
    from audiotok.data import Clip, Corpus
    from audiotok.sound.audio import Audio
    from audiotok.tokens.tokens import Tokens

__all__ = ["Column", "Item", "Task", "declared", "get", "list_tasks", "names"]


@dataclass(frozen=True)
class Item:
    """One clip through one codec: the input of `Task.score`."""

    clip: Clip
    reference: Audio | None  # None: a given reconstruction without its original
    reconstruction: Audio
    tokens: Tokens | None = None  # None in the ceiling row, which is the reference itself
    seconds_encode: float | None = None
    seconds_decode: float | None = None
    hardware: str | None = None  # what encode and decode ran on, see `speed.hardware`
    observed: Any = None  # what this task's `observe` returned


class Task:
    """Base of all tasks; a subclass sets `name`, `version`, `columns` and `ranked`, with the reason
    in its docstring, and writes `score`.

    A column is ranked if it measures quality (a codec whose codes never change must not win) and is
    not derived from another one (no single seed of a mean, no other form of the same number). Costs
    (bits, parameters, seconds) are never ranked.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    columns: tuple[Column, ...] = ()
    ranked: ClassVar[tuple[str, ...]] = ()  # columns that codecs are ranked by
    quality: ClassVar[tuple[str, ...]] = ()  # quality axis of Pareto fronts; (): `ranked`
    costs: ClassVar[tuple[str, ...]] = ()  # cost axis of Pareto fronts
    timing: ClassVar[bool] = False  # True: columns are times, kept apart from scores
    reconstructs: ClassVar[bool] = True  # False: it also measures tokens that have no decoder
    observes: ClassVar[bool] = False  # True: `observe` is called
    concludes: ClassVar[bool] = False  # True: `conclude` is called
    uses_codec: ClassVar[bool] = False  # True: `conclude` runs the codec, not only reads tokens
    computes: ClassVar[tuple[str, ...]] = ()  # names of metrics that it calls
    option: ClassVar[str | None] = None  # what may follow the name, the one argument of the class
    identity: dict[str, str] = {}  # what scores depend on besides the version, e.g. weights

    def available(self) -> str | None:
        """None, or one line saying why the task cannot run here (a package or weights missing)."""
        return None

    def left_out(self) -> dict[str, str]:
        """{column: one line} for columns that cannot be filled here though the task can run."""
        return {}

    def unsuited(self, corpus: Corpus) -> str | None:
        """None, or one line saying why nothing can be measured on these clips (no labels)."""
        return None

    def prepare(self, corpus: Corpus) -> None:
        """Store what scoring needs from the corpus; the task must stay picklable."""

    def cache_key(self, corpus: Corpus) -> str:
        """What the scores of a clip depend on besides its sounds, tokens, descriptions, versions
        and options: the whole corpus if the task has a `prepare`. A task may return only the part
        that it uses, so that cached scores stay valid when other clips are added or removed."""
        return "" if type(self).prepare is Task.prepare else corpus.sha256

    def observe(self, codec: Codec, reference: Audio, tokens: Tokens) -> Any:
        """What needs the codec itself, such as the tokens of the same sound with noise. Called in
        the main process; the result is pickled and reaches `score` as `item.observed`."""
        raise NotImplementedError

    def score(self, item: Item) -> dict[str, float | str | AudiotokError]:
        """The columns of one clip. A column without a value is left out. The value of a column that
        failed is its MetricError (if it is raised, all columns failed): missing, and counted as
        failed."""
        raise NotImplementedError

    def conclude(
        self,
        corpus: Corpus,
        tokens: Sequence[Tokens | None] | None,
        note: Callable[[str], None],
        codec: Codec | None = None,
    ) -> dict[int, dict[str, float]]:
        """Columns of clips that need all clips, such as scores of the test clips by a model that
        was trained on the other clips: {index of the clip: {column: value}}.

        Called in the main process when all clips are coded. `tokens` has an entry for each clip,
        None if the clip failed; in rows without a codec (the ceiling: `clip.original()`) `tokens`
        is None. `codec` made the tokens; None in rows without a codec, and where codecs may not
        run.
        """
        raise NotImplementedError

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        """Numbers of the corpus that are not means of its clips; `rows` has this task's columns.
        For a number without values of clips, `basis` names the column that has them."""
        return {}

    def basis(self, column: str) -> str:
        """The column whose clips are counted as n of `column`."""
        return column

    def details(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, Any]:
        """What fits no column, such as numbers of each codebook or the points of a curve; the
        summary stores it unchanged. `rows` has all that `score` returned, also values without a
        column."""
        return {}


def names() -> list[str]:
    """The names of all tasks, sorted; imports none of them."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def get(name: str) -> Task:
    """A new task of this name, `task` or `task:option`, or MetricError with the nearest names."""
    name, _, option = name.partition(":")
    if name not in (available := names()):
        close = difflib.get_close_matches(name, available, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise MetricError(f"no task is named {name!r}; {hint}there are: {', '.join(available)}")
    module = importlib.import_module(f"{__name__}.{name}")
    task_class = next(
        task_class
        for task_class in vars(module).values()
        if isinstance(task_class, type)
        and issubclass(task_class, Task)
        and task_class.__module__ == module.__name__
    )
    if option and task_class.option is None:
        raise MetricError(f"the task {name} takes no option, but {option!r} follows it: use {name}")
    return task_class(option) if option else task_class()


@cache
def declared(name: str, attribute: str) -> tuple[str, ...]:
    """The value of `ranked`, `quality` or `costs` of a task, `task` or `task:option`; () if it is
    not set or there is no such task.

    Read from the source, so that tables do not import torch, which many tasks need. For a task with
    an option, the names of the columns begin with the names given here.
    """
    path = Path(__file__).with_name(f"{name.partition(':')[0]}.py")
    if path.stem not in names():
        return ()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == attribute:
            return ast.literal_eval(node.value)
    return ()


def list_tasks() -> list[Task]:
    """All tasks, by name."""
    return [get(name) for name in names()]
