"""The promises of the conformance kit, for tests that need not check all of them."""

from audiotok.testing import PROMISES

WITHOUT_PROCESSES = [promise for promise in PROMISES if promise.name != "processes"]

# What the code of a class decides: the same for all its cards, so it is checked on one of them.
_OF_THE_CLASS = {
    "global state", "sample rates", "batches", "fast precision", "training mode", "ambient state",
    "threads", "simultaneous calls", "processes", "bad sounds",
}  # fmt: skip
assert {promise.name for promise in PROMISES} >= _OF_THE_CLASS
OF_THE_CARD = [promise for promise in PROMISES if promise.name not in _OF_THE_CLASS]
