"""The promises of the conformance kit, for tests that need not check all of them."""

from collections.abc import Iterator
from dataclasses import replace
from unittest.mock import patch

from audiotok.testing import PROMISES, codes
from audiotok.testing.case import Case

WITHOUT_PROCESSES = [promise for promise in PROMISES if promise.name != "processes"]

# What the code of a class decides: the same for all its cards, so it is checked on one of them.
_OF_THE_CLASS = {
    "global state", "sample rates", "batches", "fast precision", "training mode", "ambient state",
    "threads", "simultaneous calls", "processes", "bad sounds",
}  # fmt: skip
assert {promise.name for promise in PROMISES} >= _OF_THE_CLASS


def _lengths_to_3_s(case: Case) -> Iterator[str]:
    """Like 10 s they are one window (of 60 s), so only the first card of a class gets 10 s."""
    with patch.object(codes, "SECONDS", 3):
        yield from codes.lengths.check(case)


OF_THE_CARD = [
    replace(promise, check=_lengths_to_3_s) if promise.name == "lengths" else promise
    for promise in PROMISES
    if promise.name not in _OF_THE_CLASS
]
