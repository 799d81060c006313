"""A promise: its name, one line of what it says, and a check that yields counter-examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal


class NotChecked(Exception):
    """Raised by a check that cannot be made for this codec; the message is the reason."""


class Broken(Exception):
    """Raised where a codec breaks a promise so that a check cannot go on."""


@dataclass(frozen=True)
class Promise:
    """What a codec promises.

    Attributes:
        name: a word or two.
        says: one line.
        check: of a `Case`; yields counter-examples, one line each, and nothing where the promise
            is kept; may raise NotChecked, and puts what it measures into `case.numbers`.
    """

    name: str
    says: str
    check: Callable[..., Iterator[str]]


@dataclass(frozen=True)
class Outcome:
    """What became of a promise.

    Attributes:
        promise, says: as in Promise.
        state: whether it is kept.
        why: the first counter-example, or why it was not checked; None where it is kept.
        numbers: what was measured, by name; the names say the units.
        seconds: that the check took.
    """

    promise: str
    says: str
    state: Literal["kept", "broken", "not checked"]
    why: str | None
    numbers: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


def promise(name: str, says: str) -> Callable[[Callable], Promise]:
    """Makes a Promise of the function below it."""
    return lambda check: Promise(name, says, check)


@contextmanager
def trying(what: str) -> Iterator[None]:
    """Whatever goes wrong inside breaks the promise, and `what` says where."""
    try:
        yield
    except (NotChecked, Broken):
        raise
    except Exception as reason:
        raise Broken(f"{what} raises {described(reason)}") from reason


def described(reason: BaseException) -> str:
    """An exception in one line."""
    return f"{type(reason).__name__}: {' '.join(str(reason).split())}"[:300]
