"""Tasks: what `bench` asks of a codec. One file per task, found by itself.

A task is a Task subclass in the module of its name. It is built and prepared in the main process,
pickled, and scores one clip at a time in worker processes. Where a task has an option, it follows
the name: `asr_whisper:large-v3`.
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
    """One clip through one codec: all that a task may look at."""

    clip: Clip
    reference: Audio | None  # None: a given reconstruction whose original is not there
    reconstruction: Audio
    tokens: Tokens | None = None  # None in the ceiling row, which is the reference itself
    seconds_encode: float | None = None
    seconds_decode: float | None = None
    hardware: str | None = None  # what encode and decode ran on, see `speed.hardware`
    observed: Any = None  # what this task's `observe` gave


class Task:
    """Base of all tasks; a subclass sets `name`, `version`, `columns` and `ranked`, with the reason
    in its docstring, and writes `score`.

    A column is ranked if it measures quality, so that a codec whose code never changes does not
    win, and stands for itself: no seed of a mean, no other form of the same number. Costs (bits,
    parameters, seconds) are never ranked.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    columns: tuple[Column, ...] = ()
    ranked: ClassVar[tuple[str, ...]] = ()  # columns that codecs are ranked by
    quality: ClassVar[tuple[str, ...]] = ()  # columns that Pareto fronts are drawn of; (): `ranked`
    costs: ClassVar[tuple[str, ...]] = ()  # columns that they are drawn against
    timing: ClassVar[bool] = False  # True: columns are times, kept apart from scores
    observes: ClassVar[bool] = False  # True: `observe` is called
    concludes: ClassVar[bool] = False  # True: `conclude` is called
    hears: ClassVar[bool] = (
        False  # True: what it concludes depends on more of the codec than tokens
    )
    computes: ClassVar[tuple[str, ...]] = ()  # names of metrics that it gets by name
    option: ClassVar[str | None] = None  # what may follow the name, the one argument of the class
    identity: dict[str, str] = {}  # what scores depend on beside the version: which weights

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
        """Take what scoring needs of the corpus; the task must stay picklable."""

    def cache_key(self, corpus: Corpus) -> str:
        """What scores of a clip depend on beside its sounds, tokens and descriptions, versions and
        options. The whole corpus, where `prepare` looks at it; a task that knows what it takes of
        it may say less, so that scores outlast other clips coming and going."""
        return "" if type(self).prepare is Task.prepare else corpus.sha256

    def observe(self, codec: Codec, reference: Audio, tokens: Tokens) -> Any:
        """What only the codec itself can tell of a clip, such as the tokens of the same sound with
        noise. Called in the main process; it arrives, pickled, as `item.observed` in `score`."""
        raise NotImplementedError

    def score(self, item: Item) -> dict[str, float | str | AudiotokError]:
        """The columns of one clip. A column that has no value there is left out; one that failed
        holds its MetricError (raised, it stands for all columns): missing, and counted."""
        raise NotImplementedError

    def conclude(
        self,
        corpus: Corpus,
        tokens: Sequence[Tokens | None] | None,
        note: Callable[[str], None],
        codec: Codec | None = None,
    ) -> dict[int, dict[str, float]]:
        """Columns of clips that only all clips together give, such as what a model trained on some
        of them says of the others: {index of the clip: {column: value}}.

        Called in the main process when all clips are coded; `tokens` are those of every clip, None
        in rows of sounds (the ceiling: `clip.original()`), and where a clip failed its place in
        `tokens` is None. `codec` is what made them; None in rows of sounds, and where codecs may
        not be run.
        """
        raise NotImplementedError

    def summarise(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, float]:
        """Numbers of the corpus that are not means of its clips; `rows` has this task's columns.
        A number without values of clips names in `basis` the column that has them."""
        return {}

    def basis(self, column: str) -> str:
        """The column of the rows whose clips the number of `column` is made of: its n."""
        return column

    def details(self, rows: pandas.DataFrame, tokens: list[Tokens]) -> dict[str, Any]:
        """What fits no column, such as numbers of each codebook or the points of a curve: it goes
        into the summary as it is. `rows` has all that `score` gave, also what is no column."""
        return {}


def names() -> list[str]:
    """The names of all tasks, sorted; imports none of them."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def get(name: str) -> Task:
    """A new task of this name, `task` or `task:option`, or MetricError with the nearest names."""
    name, _, option = name.partition(":")
    if name not in (known := names()):
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise MetricError(f"no task is named {name!r}; {hint}there are: {', '.join(known)}")
    module = importlib.import_module(f"{__name__}.{name}")
    kind = next(
        kind
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, Task) and kind.__module__ == module.__name__
    )
    if option and kind.option is None:
        raise MetricError(f"the task {name} takes no option, but {option!r} follows it: say {name}")
    return kind(option) if option else kind()


@cache
def declared(name: str, attribute: str) -> tuple[str, ...]:
    """What the class of a task, `task` or `task:option`, has in `ranked`, `quality` or `costs`; ()
    where it has nothing there or no task has that name.

    Read from the source, where these are written out: tables need no torch, which many tasks
    import. In a task with an option the names of the columns begin with those given here.
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
