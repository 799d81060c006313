"""A promise: its name, its statement in one line, and a check that yields counter-examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal


class NotChecked(Exception):
    """Raised by a check that does not apply to this codec; the message is the reason."""


class Broken(Exception):
    """Raised if a codec breaks a promise such that the check cannot continue."""


@dataclass(frozen=True)
class Promise:
    """A promise of the interface.

    Attributes:
        name: one or two words.
        says: the statement, one line.
        check: function of a `Case`; yields counter-examples, one line each, and nothing if the
            promise is kept; may raise NotChecked, and stores measured values in `case.numbers`.
    """

    name: str
    says: str
    check: Callable[..., Iterator[str]]


@dataclass(frozen=True)
class Outcome:
    """The result of checking a promise.

    Attributes:
        promise, says: as in Promise.
        state: whether it is kept.
        why: the first counter-example, or the reason why it was not checked; None if it is kept.
        numbers: measured values by name; the names contain the units.
        seconds: duration of the check.
    """

    promise: str
    says: str
    state: Literal["kept", "broken", "not checked"]
    why: str | None
    numbers: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0


def promise(name: str, says: str) -> Callable[[Callable], Promise]:
    """A decorator that makes a Promise of a check."""
    return lambda check: Promise(name, says, check)


@contextmanager
def trying(what: str) -> Iterator[None]:
    """Any exception in the block breaks the promise; `what` describes the operation."""
    try:
        yield
    except (NotChecked, Broken):
        raise
    except Exception as reason:
        raise Broken(f"{what} raises {described(reason)}") from reason


def described(reason: BaseException) -> str:
    """An exception in one line."""
    return f"{type(reason).__name__}: {' '.join(str(reason).split())}"[:300]
