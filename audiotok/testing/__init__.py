"""The conformance kit: what every codec promises, tried on sounds made here.

    from audiotok.testing import check_codec
    check_codec(audiotok.load("my_codec.py"))

`check_codec` raises at the first promise that is broken; `examine` tries all of them and says of
each whether it is kept, broken (with the first counter-example) or was not checked (with the
reason). `audiotok check` is its command. The suite runs it on every codec of this package, and a
codec of somebody else's can run it too. docs/conformance.md says what each promise means.
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
    context.global_state,  # early, so that a state which only the first call changes is seen
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
)


def examine(
    codec: Codec,
    promises: Iterable[Promise | str] = PROMISES,
    before: Callable[[Promise], None] = lambda promise: None,
) -> list[Outcome]:
    """What became of each promise.

    Args:
        codec: as loaded; it is left as it is.
        promises: those to try, or their names.
        before: is told of each promise before it is tried.
    """
    known = {promise.name: promise for promise in PROMISES}
    case, outcomes = Case(codec), []
    for promise in promises:
        promise = known[promise] if isinstance(promise, str) else promise
        before(promise)
        outcomes.append(judge(promise, case))
    return outcomes


def check_codec(codec: Codec) -> None:
    """Raises AssertionError with one line that says which promise is broken first, and how."""
    case = Case(codec)
    for promise in PROMISES:
        outcome = judge(promise, case)
        if outcome.state == "broken":
            raise AssertionError(f"{codec.card.name}: {promise.name}: {outcome.why}")
