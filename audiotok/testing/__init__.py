"""The conformance kit: checks that a codec keeps all promises of the interface.

    from audiotok.testing import check_codec
    check_codec(audiotok.load("my_codec.py"))

`check_codec` raises at the first broken promise; `examine` checks all promises and returns for each
whether it is kept, broken (with the first counter-example) or not checked (with the reason). The
command is `audiotok check`. The test suite runs it on every codec of this package; it works on any
other codec too. docs/dev/conformance.md describes each promise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from audiotok.codec.codec import Codec
from audiotok.metrics._check import check_metric
from audiotok.testing import (
    codes,
    context,
    freshness,
    refusals,
    sharing,
    streaming,
    tensors,
    variants,
)
from audiotok.testing.case import Case, judge
from audiotok.testing.promise import Outcome, Promise

__all__ = ["PROMISES", "Outcome", "Promise", "check_codec", "check_metric", "examine"]

PROMISES: tuple[Promise, ...] = (
    codes.card,
    context.global_state,  # early, to detect state that only the first call changes
    codes.in_range,
    codes.repeatable,
    freshness.tokens_only,
    codes.lengths,
    codes.sample_rates,
    variants.codebooks,
    variants.channels,
    variants.merge,
    sharing.batches,
    variants.fast,
    sharing.lookahead,
    sharing.windows,
    streaming.streaming,
    tensors.tensor_level,
    context.training_mode,
    context.ambient_state,
    freshness.threads,
    freshness.simultaneous_calls,
    freshness.processes,
    refusals.bad_sounds,
    refusals.bad_tokens,
    refusals.no_decoder,
)


def examine(
    codec: Codec,
    promises: Iterable[Promise | str] = PROMISES,
    before: Callable[[Promise], None] = lambda promise: None,
) -> list[Outcome]:
    """The outcome of each promise.

    Args:
        codec: as loaded; it is not changed.
        promises: the promises to check, or their names.
        before: called with each promise before its check.
    """
    by_name = {promise.name: promise for promise in PROMISES}
    case, outcomes = Case(codec), []
    for promise in promises:
        promise = by_name[promise] if isinstance(promise, str) else promise
        before(promise)
        outcomes.append(judge(promise, case))
    return outcomes


def check_codec(codec: Codec, promises: Iterable[Promise] = PROMISES) -> None:
    """Raises AssertionError with one line about the first broken promise."""
    case = Case(codec)
    for promise in promises:
        outcome = judge(promise, case)
        if outcome.state == "broken":
            raise AssertionError(f"{codec.card.name}: {promise.name}: {outcome.why}")
